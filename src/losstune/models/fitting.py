"""Check whether a network can be trained on data of a shape, without the data."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from losstune.config.settings import ModelSettings
from losstune.core.errors import LosstuneError
from losstune.core.own_code import is_own
from losstune.models import weights_files
from losstune.models.build import BUILT_IN, build_model, without_weights
from losstune.models.freezing import freeze
from losstune.models.heads import adapt_head, head_of
from losstune.models.own import require_own_fit
from losstune.models.pretrained import match, require_frozen_weights, require_match

MAX_WEIGHTS = 2**24
MAX_PRODUCTS = 2**28
"""Limits up to which a forward pass is tried on the CPU: weights, and multiplications for one sample."""


def require_fit(
    settings: ModelSettings,
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    batch_size: int,
    heads: Mapping[str, Mapping[str, Any]],
) -> None:
    """Reject settings with which every training would fail.

    Examples are images or batches that are too small, and a last layer that cannot be replaced. The check takes up to
    a second for each kind of last layer, and at most about 100 MB, for a network of any size.

    Args:
        settings: The model's settings.
        input_shape: Shape of one sample: (C, H, W) for images or (D,) for features.
        num_classes: Number of logits.
        batch_size: Samples per training step.
        heads: For each loss, its requirements of the last layer, as arguments of :func:`losstune.models.adapt_head`.

    Raises:
        LosstuneError: If the settings do not fit; the message gives the key's path, what was found and what is needed.
    """
    kinds: list[Mapping[str, Any]] = []
    for loss, head in heads.items():
        if head in kinds:
            continue
        kinds.append(head)
        with torch.random.fork_rng(devices=[]):
            if is_own(settings.name):
                network = _build(settings, input_shape, num_classes, loss, head)
                _require_step(network, settings.name, input_shape, batch_size)
                require_own_fit(settings, network, input_shape, num_classes)
                continue
            with without_weights():
                network = _build(settings, input_shape, num_classes, loss, head)
            if _is_small(settings.name, network, input_shape):
                network = _build(settings, input_shape, num_classes, loss, head)
            else:
                network = network.to("meta")
            _require_step(network, settings.name, input_shape, batch_size)


def require_weights(settings: ModelSettings, input_shape: tuple[int, ...], num_classes: int) -> str:
    """Return a sentence on what ``model.weights`` loads, and what it does not.

    Args:
        settings: The model's settings, with weights.
        input_shape: Shape of one sample.
        num_classes: Number of logits.

    Raises:
        LosstuneError: If the file is missing or damaged, is that of another architecture, or lacks frozen layers.
    """
    weights = weights_files.read(settings)
    own = is_own(settings.name)
    with torch.random.fork_rng(devices=[]), nullcontext() if own else without_weights():
        network = build_model(settings, input_shape, num_classes)
    found = match(network, weights, head_of(network, num_classes))
    sentence = require_match(found, network, weights, str(settings.weights), settings.name)
    require_frozen_weights(found, settings.freeze, str(settings.weights))
    return sentence


def _build(
    settings: ModelSettings, input_shape: tuple[int, ...], num_classes: int, loss: str, head: Mapping[str, Any]
) -> nn.Module:
    network = build_model(settings, input_shape, num_classes)
    last = head_of(network, num_classes)
    try:
        network = adapt_head(network, num_classes, **head)
    except LosstuneError as error:
        raise LosstuneError(f"{error} (losses: {loss})") from None
    freeze(network, settings.freeze, last)
    return network


def _is_small(name: str, network: nn.Module, input_shape: tuple[int, ...]) -> bool:
    """Whether the network is small enough to try on the CPU, with weights.

    The meta device takes a network of any size, but there torch computes shapes with a module that takes as long to
    import as torch itself.
    """
    num_weights = sum(parameter.numel() for parameter in network.parameters())
    num_products = num_weights * math.prod(input_shape[1:])
    return name in BUILT_IN and num_weights <= MAX_WEIGHTS and num_products <= MAX_PRODUCTS


def _require_step(network: nn.Module, name: str, input_shape: tuple[int, ...], batch_size: int) -> None:
    problem = _problem(network, input_shape, batch_size)
    if problem is None:
        return
    shape = "x".join(str(size) for size in input_shape)
    if batch_size == 1 and _problem(network, input_shape, 2) is None:
        raise LosstuneError(
            f"training.batch_size: found 1 sample a step, expected 2 or more: '{name}' uses batch normalisation, "
            f"which fails with one sample of {shape} ({problem})"
        )
    raise LosstuneError(f"model.name: '{name}' can't take samples of {shape}: {problem}")


def _problem(network: nn.Module, input_shape: tuple[int, ...], batch_size: int) -> str | None:
    """Return why a training step's forward pass fails, or None."""
    try:
        with torch.no_grad(), warnings.catch_warnings(action="ignore"):
            # Two samples are enough: a network that fails with more also fails with two.
            network(torch.zeros(min(batch_size, 2), *input_shape, device=next(network.parameters()).device))
    except (ArithmeticError, AssertionError, RuntimeError, ValueError) as error:
        return " ".join(str(error).split()).rstrip(".!")
    return None
