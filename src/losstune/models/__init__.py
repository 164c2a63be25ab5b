"""Architectures, each sized from the data's shape."""

from losstune.models.build import build_model, validate_model_name
from losstune.models.heads import adapt_head

__all__ = ["adapt_head", "build_model", "validate_model_name"]
