"""A user's own metric: ``metric(probabilities (N, K), labels (N,), **options) -> float``."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from losstune.config.metrics import KEY, MetricSettings
from losstune.core import own_code
from losstune.core.errors import LosstuneError, in_one_line

CONTRACT = "expected metric(probabilities (N, K), labels (N,), **options) -> float"
SAMPLES_PER_CLASS = 2


Score = Callable[[Tensor, Tensor], float]
"""Class probabilities (N, C) and true classes (N,) to the score."""


def load_metric(settings: MetricSettings, key: str = KEY) -> Score:
    """Load the metric for one training.

    Its score raises a :class:`LosstuneError` if the metric returns no finite number.

    Raises:
        LosstuneError: If there is no such function, or importing it fails.
    """
    metric, found = own_code.load(settings.name, key), _found(settings, key)

    def score(probabilities_NC: Tensor, target_N: Tensor) -> float:
        value = metric(*_arrays(probabilities_NC, target_N), **settings.options)
        return _number(value, f"{found}, which returned")

    return score


def check_metric(settings: MetricSettings, num_classes: int, key: str = KEY) -> None:
    """Call the metric on made-up probabilities of a few samples, so that a mistake is found before anything trains.

    Raises:
        LosstuneError: If there is no such function, it does not take the arguments, raises, changes its input, returns
            no finite number, or does not depend on its arguments alone.
    """
    metric, found = own_code.load(settings.name, key), _found(settings, key)
    _require_signature(metric, settings, found)
    generator = torch.Generator().manual_seed(0)
    logits_NC = torch.randn(SAMPLES_PER_CLASS * num_classes, num_classes, generator=generator, dtype=torch.float64)
    target_N = torch.arange(num_classes).repeat(SAMPLES_PER_CLASS)
    values = [_tried(metric, settings, logits_NC.softmax(1), target_N, found) for _ in range(2)]
    if values[0] != values[1]:
        raise LosstuneError(
            f"{found}, which returned {values[0]:g} and then {values[1]:g} for the same samples; it must depend on its "
            "arguments alone"
        )


def _tried(
    metric: Callable[..., Any], settings: MetricSettings, probabilities_NC: Tensor, target_N: Tensor, found: str
) -> float:
    shape = f"{len(target_N)} samples of {probabilities_NC.shape[1]} classes"
    try:
        value = metric(*_arrays(probabilities_NC, target_N), **settings.options)
    except Exception as error:
        if "read-only" in str(error):
            raise LosstuneError(f"{found}, which changes its input; work on a copy") from None
        raise LosstuneError(
            f"{found}, which raises on {shape}: {type(error).__name__}: {in_one_line(error)}; {CONTRACT}"
        ) from None
    return _number(value, f"{found}, which returned for {shape}")


def _found(settings: MetricSettings, key: str) -> str:
    return f"{key}: found {settings.name!r}"


def _require_signature(metric: Callable[..., Any], settings: MetricSettings, found: str) -> None:
    try:
        signature = inspect.signature(metric)
    except (TypeError, ValueError):  # a function of a compiled library has none
        return
    try:
        signature.bind(None, None, **settings.options)
    except TypeError as error:
        options = f" with options {', '.join(settings.options)}" if settings.options else ""
        raise LosstuneError(
            f"{found}, which takes {signature} and can't be called{options} ({error}); {CONTRACT}"
        ) from None


def _number(value: object, found: str) -> float:
    if isinstance(value, np.ndarray | Tensor) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool | np.bool) or not isinstance(value, Real):
        raise LosstuneError(f"{found} {_described(value)}, expected a number")
    if not math.isfinite(value):
        raise LosstuneError(f"{found} {float(value)}, expected a finite number")
    return float(value)


def _described(value: object) -> str:
    kind = type(value).__name__
    shape = tuple(value.shape) if isinstance(value, np.ndarray | Tensor) else None
    return "nothing (None)" if value is None else f"a {kind}" + (f" of shape {shape}" if shape is not None else "")


def _arrays(probabilities_NC: Tensor, target_N: Tensor) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return read-only copies, because the arguments of one call must not depend on another call."""
    arrays = probabilities_NC.double().cpu().numpy().copy(), target_N.cpu().numpy().copy()
    for array in arrays:
        array.flags.writeable = False
    return arrays
