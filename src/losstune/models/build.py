"""Build the network that ``model`` in ``params.yaml`` names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from losstune.config.settings import ModelSettings
from losstune.core.errors import LosstuneError, did_you_mean
from losstune.core.local_code import EXPECTED
from losstune.core.own_code import is_own, load
from losstune.models import timm_models, torchvision_models
from losstune.models.cnn import cnn
from losstune.models.freezing import freeze
from losstune.models.heads import adapt_head, head_of
from losstune.models.mlp import mlp
from losstune.models.own import KEY, build_own
from losstune.models.pretrained import Weights, load_matching
from losstune.models.resnet import resnet
from losstune.models.resnet9 import resnet9

BUILT_IN = ("linear", "mlp", "cnn", "resnet", "resnet9")
TORCHVISION, TIMM = "torchvision:", timm_models.PREFIX


def build_network(
    settings: ModelSettings,
    input_shape: tuple[int, ...],
    num_classes: int,
    head: Mapping[str, Any],
    weights: Weights | None = None,
) -> nn.Module:
    """Build the network that a training starts from: with the pretrained weights, the loss's last layer, frozen layers.

    The last layer is always new: it belongs to the classes of other data. All random numbers are drawn before the
    weights are loaded, so a training with weights has the same streams as one without.

    Args:
        settings: ``model`` in ``params.yaml``.
        input_shape: As for :func:`build_model`.
        num_classes: Number of logits.
        head: What the loss needs of the last layer, as arguments of :func:`losstune.models.adapt_head`.
        weights: The content of the file that ``model.weights`` names; None without one.

    Raises:
        LosstuneError: As :func:`build_model`, and if the last layer or the layers to freeze don't exist.
    """
    network = build_model(settings, input_shape, num_classes)
    last = head_of(network, num_classes)
    if weights is not None:
        load_matching(network, weights, last)
    network = adapt_head(network, num_classes, **head)
    freeze(network, settings.freeze, last)
    return network


def build_model(settings: ModelSettings, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Build a freshly initialised network, in training mode, on the CPU, in float32.

    It takes normalised float input (N, C, H, W) or (N, D) and returns logits (N, `num_classes`). The initial weights
    depend only on torch's global random generator; seed it first to get reproducible weights. No head starts at
    zero, where the losses on normalised logits have no usable gradient.

    On a CPU the ``cnn`` trains 1.2 times, the ``resnet`` 1.3 times and the ``resnet9`` 1.4 times faster in
    ``torch.channels_last``; the caller converts the network and its input.

    Args:
        settings: Name, width and depth. The models of torchvision and timm ignore width and depth, ``resnet9`` ignores
            depth.
        input_shape: Shape of one sample: (C, H, W) for images or (D,) for features.
        num_classes: Number of logits.

    Raises:
        LosstuneError: If there is no such model, or it does not accept input of that shape.
    """
    validate_model_name(settings.name)
    if len(input_shape) not in (1, 3) or min(input_shape) < 1:
        raise LosstuneError(f"model.name: a sample must be (C, H, W) or (D,), found shape {tuple(input_shape)}")
    if is_own(settings.name):
        return build_own(settings, input_shape, num_classes)
    if settings.name == "linear":
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), num_classes))
    if settings.name == "mlp":
        return mlp(math.prod(input_shape), settings.width, settings.depth, num_classes)
    if len(input_shape) != 3:
        raise LosstuneError(
            f"model.name: '{settings.name}' takes images, found samples of {input_shape[0]} features; "
            "the models for features are 'linear' and 'mlp'"
        )
    if settings.name == "cnn":
        return cnn(input_shape, settings.width, settings.depth, num_classes)
    if settings.name == "resnet":
        return resnet(input_shape, settings.width, settings.depth, num_classes)
    if settings.name == "resnet9":
        return resnet9(input_shape, settings.width, num_classes)
    if settings.name.startswith(TIMM):
        return timm_models.build(settings.name.removeprefix(TIMM), input_shape, num_classes)
    return torchvision_models.build(settings.name.removeprefix(TORCHVISION), input_shape, num_classes)


@contextmanager
def without_weights() -> Iterator[None]:
    """Move every parameter to the meta device when its module registers it, before it is initialised.

    ``torch.device("meta")`` as a context would also create all other tensors without values, but the RegNets compute
    their widths with tensors.
    """

    def on_meta(module: nn.Module, name: str, parameter: nn.Parameter) -> nn.Parameter:
        return nn.Parameter(parameter.to("meta"), parameter.requires_grad)

    # The annotation of the function does not mention that a hook may return a replacement parameter.
    handle = register_module_parameter_registration_hook(on_meta)  # type: ignore[arg-type]
    try:
        yield
    finally:
        handle.remove()


def validate_model_name(name: str) -> None:
    """Check that there is a model of that name. Imports torchvision only if no built-in model has the name.

    Raises:
        LosstuneError: If there is none; the message gives the nearest name.
    """
    if name in BUILT_IN:
        return
    if is_own(name):
        load(name, KEY)
        return
    if name.startswith(TIMM):
        timm_models.require_name(name.removeprefix(TIMM))
        return
    builders = torchvision_models.builders()
    if name.startswith(TORCHVISION):
        builder = name.removeprefix(TORCHVISION)
        if builder not in builders:
            raise LosstuneError(
                f"model.name: torchvision has no classification model '{builder}'{did_you_mean(builder, builders)}"
            )
        return
    # A torchvision builder without its prefix is more likely than a misspelt built-in name.
    guess = f"; did you mean '{TORCHVISION}{name}'?" if name in builders else did_you_mean(name, BUILT_IN)
    raise LosstuneError(
        f"model.name: unknown model '{name}', expected {', '.join(BUILT_IN)}, {TORCHVISION}<builder>, {TIMM}<model> "
        f"or {EXPECTED}"
        f"{guess}"
    )
