"""Any classification model of torchvision, fitted to the data. torchvision is imported on first use."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import torch
from torch import nn

from losstune.core.errors import LosstuneError

SMALL_SIDE = 64
"""Largest side in pixels for which ResNets get the first layers for small images."""


@cache
def builders() -> tuple[str, ...]:
    """Return the names of torchvision's classification models, sorted."""
    import torchvision

    return tuple(torchvision.models.list_models(module=torchvision.models))


def build(builder: str, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Build a torchvision model from scratch, with weights from torch's global random generator.

    Inside :func:`~losstune.models.build.without_weights` it only checks that the images fit.

    The architecture is torchvision's, with these changes:

    - The head has `num_classes` outputs. If torchvision initialises it with zeros (vision transformers), it gets
      torch's default initialisation for linear layers.
    - The first convolution takes as many channels as the data has. If that is not three, its weights are drawn from a
      normal distribution, scaled so that its outputs have the same variance as with three.
    - ResNets, ResNeXts and wide ResNets on images of up to 64 pixels a side have a 3x3 convolution with stride 1, as
      is usual for CIFAR, instead of the 7x7 convolution with stride 2 and the pooling after it. Those would reduce a
      32x32 image to 8x8 before the first block.
    - SqueezeNet has no last ReLU, which would prevent negative logits.
    - GoogLeNet and Inception have no auxiliary classifiers.

    Args:
        builder: Name in ``torchvision.models``, such as ``"resnet18"``.
        input_shape: (C, H, W) of one sample.
        num_classes: Number of logits.

    Raises:
        LosstuneError: If the architecture does not accept images of that shape.
    """
    import torchvision

    channels, height, width = input_shape
    arguments: dict[str, Any] = {"weights": None, "num_classes": num_classes}
    if builder.startswith("vit_"):
        if height != width:
            raise _does_not_take(builder, input_shape, "it needs square images")
        arguments["image_size"] = height
    elif builder.startswith("maxvit"):
        arguments["input_size"] = (height, width)
    elif builder in {"googlenet", "inception_v3"}:
        arguments |= {"aux_logits": False, "init_weights": True}
    try:
        model: nn.Module = torchvision.models.get_model(builder, **arguments)
    except (AssertionError, ValueError) as error:  # raised if the patch size does not divide the image size
        raise _does_not_take(builder, input_shape, str(error)) from None

    if isinstance(model, torchvision.models.ResNet) and max(height, width) <= SMALL_SIDE:
        model.conv1 = nn.Conv2d(3, model.conv1.out_channels, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
        model.maxpool = nn.Identity()
    if isinstance(model, torchvision.models.SqueezeNet):
        model.classifier[2] = nn.Identity()
    if channels != 3:
        _replace_first_convolution(model, channels)
    head = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
    if not head.weight.is_meta and not head.weight.any():
        head.reset_parameters()
    _check_forward(model, builder, input_shape)
    return model


def _replace_first_convolution(model: nn.Module, channels: int) -> None:
    name, old = next((name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d))
    new = nn.Conv2d(
        channels,
        old.out_channels,
        kernel_size=old.kernel_size,  # type: ignore[arg-type]
        stride=old.stride,  # type: ignore[arg-type]
        padding=old.padding,  # type: ignore[arg-type]
        bias=old.bias is not None,
    )
    if not old.weight.is_meta:  # meta tensors have no values
        nn.init.normal_(new.weight, std=old.weight.std().item() * (old.in_channels / channels) ** 0.5)
    if new.bias is not None:
        nn.init.zeros_(new.bias)
    parent, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(parent), attribute, new)


def _check_forward(model: nn.Module, builder: str, input_shape: tuple[int, ...]) -> None:
    # A forward pass on the meta device: shapes only, no arithmetic, no random numbers.
    state = {name: tensor.to("meta") for name, tensor in model.state_dict().items()}
    try:
        with torch.no_grad(), warnings.catch_warnings(action="ignore"):
            torch.func.functional_call(model, state, torch.empty(2, *input_shape, device="meta"))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise _does_not_take(builder, input_shape, str(error)) from None


def _does_not_take(builder: str, input_shape: tuple[int, ...], cause: str) -> LosstuneError:
    channels, height, width = input_shape
    return LosstuneError(
        f"model.name: 'torchvision:{builder}' can't take images of {channels}x{height}x{width}: "
        f"{' '.join(cause.split()).rstrip('.!')}; see data.image_size"
    )
