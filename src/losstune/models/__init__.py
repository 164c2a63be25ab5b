"""Architectures, each sized from the data's shape."""

from losstune.models.build import build_model, build_network, validate_model_name
from losstune.models.heads import adapt_head, head_of

__all__ = ["adapt_head", "build_model", "build_network", "head_of", "validate_model_name"]
