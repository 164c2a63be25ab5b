"""Any classification model of timm (PyTorch Image Models), fitted to the data. timm is an extra, imported on first use.

A name may have the tag of pretrained weights after a point, as in timm: ``resnet18.a1_in1k``.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

from torch import nn

from losstune.core.errors import LosstuneError, did_you_mean, in_one_line

PREFIX = "timm:"
DEFAULT = "DEFAULT"
FILES = ("model.safetensors", "pytorch_model.bin")
"""The names that a repository of the Hugging Face Hub has for the weights of a timm model, the safe one first."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the weights of a timm model are published.

    Attributes:
        repository: Name in the Hugging Face Hub; None if they are not there.
        files: Their possible names in it.
        url: An address; None if they have none.
    """

    repository: str | None
    files: tuple[str, ...]
    url: str | None


def require_name(name: str) -> None:
    """Check that timm is installed and has a model of that name, with or without a tag.

    Raises:
        LosstuneError: If not; the message gives the nearest name.
    """
    architecture, _, tag = name.partition(".")
    known = _timm().list_models()
    if architecture not in known:
        raise LosstuneError(f"model.name: timm has no model '{architecture}'{did_you_mean(architecture, known)}")
    if tag:
        _require_tag("model.name", architecture, tag)


def build(name: str, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Build a timm model from scratch, with weights from torch's global random generator.

    Models whose size depends on the images, such as vision transformers, are built for the size of these images. A
    last layer that timm initialises with zeros gets torch's default initialisation for linear layers.

    Args:
        name: timm's name; a tag has no effect here.
        input_shape: (C, H, W) of one sample.
        num_classes: Number of logits.

    Raises:
        LosstuneError: If the architecture does not accept images of that shape.
    """
    timm = _timm()
    channels, height, width = input_shape
    architecture = name.partition(".")[0]
    config = timm.models.get_pretrained_cfg(architecture)
    size = {"img_size": (height, width)} if config is not None and config.fixed_input_size else {}
    try:
        model: nn.Module = timm.create_model(
            architecture, pretrained=False, num_classes=num_classes, in_chans=channels, **size
        )
    except (ArithmeticError, AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise LosstuneError(
            f"model.name: '{PREFIX}{name}' can't take images of {channels}x{height}x{width}: {in_one_line(error)}; see "
            "data.image_size"
        ) from None
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if layers and not layers[-1].weight.is_meta and not layers[-1].weight.any():
        layers[-1].reset_parameters()
    return model


def source_of(name: str, weights: str) -> Source:
    """Return where the weights are published.

    Args:
        name: timm's name, with or without a tag.
        weights: A tag, or DEFAULT for that of the name, or else timm's own choice.

    Raises:
        LosstuneError: If the model has no weights of that tag.
    """
    architecture, _, tag = name.partition(".")
    if weights != DEFAULT:
        _require_tag("model.weights", architecture, weights)
        tag = weights
    config = _timm().models.get_pretrained_cfg(f"{architecture}.{tag}" if tag else architecture)
    if config is None or not (config.hf_hub_id or config.url):
        raise LosstuneError(
            f"model.weights: timm has no pretrained weights of '{architecture}'; expected null or a file"
        )
    return Source(config.hf_hub_id, (config.hf_hub_filename,) if config.hf_hub_filename else FILES, config.url or None)


def _require_tag(key: str, architecture: str, tag: str) -> None:
    tags = [name.partition(".")[2] for name in _timm().list_models(f"{architecture}.*", pretrained=True)]
    if tag not in tags:
        raise LosstuneError(
            f"{key}: timm has no weights '{tag}' of '{architecture}', expected {', '.join(tags) or 'none'}"
            f"{did_you_mean(tag, tags)}"
        )


def _timm() -> ModuleType:
    try:
        import timm
    except ImportError:
        raise LosstuneError(
            f"model.name: a model '{PREFIX}...' needs timm, which is not installed; `pip install 'losstune[timm]'`"
        ) from None
    return timm  # type: ignore[no-any-return]
