"""Validation of a loss's inputs besides logits: targets, class weights, class counts, hyperparameters.

For each batch only types and shapes are checked, so that the device is not synchronised. Values are checked once,
when they are given.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from losstune.losses.ranges import Domain, Value


def as_class_target(target: Tensor) -> Tensor:
    """Return class indices of any integer type as int64, and a distribution unchanged.

    torch treats a uint8 tensor as a mask when indexing, and most of its functions reject int32.

    Raises:
        ValueError: If the target is Boolean or complex, or is not a tensor.
    """
    if not isinstance(target, Tensor):
        raise ValueError(f"target: found {type(target).__name__}, expected a tensor")
    if target.dtype == torch.int64 or target.is_floating_point():
        return target
    if target.dtype == torch.bool or target.is_complex():
        raise ValueError(
            f"target: found {target.dtype}, expected class indices (target.long()) or probabilities (target.float())"
        )
    return target.long()


def as_class_weight(weight: Any) -> Tensor | None:
    """Return class weights unchanged.

    Raises:
        ValueError: If they are not one finite number per class.
    """
    if weight is None:
        return None
    if not isinstance(weight, Tensor):
        raise ValueError(
            f"weight: found {type(weight).__name__}, expected a tensor of shape (C,): torch.tensor(weight)"
        )
    if weight.ndim != 1:
        raise ValueError(f"weight: expected one value per class, found shape {tuple(weight.shape)}")
    if weight.dtype == torch.bool or weight.is_complex():
        raise ValueError(f"weight: found {weight.dtype}, expected a number per class")
    if not weight.is_meta and not weight.isfinite().all():
        raise ValueError(f"weight: expected finite numbers, found {_listed(weight)}")
    return weight


def as_class_counts(counts: Sequence[float] | Tensor, *, shares: bool) -> Tensor:
    """Return training samples per class (C,) in a floating type; a count of 0 becomes 1.

    Args:
        counts: The count of each class. A number between 0 and 1 means that they are class frequencies.
        shares: Whether class frequencies are allowed in place of counts.

    Raises:
        ValueError: If they are not one finite number of at least 0 per class, all are 0, or they are class frequencies
            and `shares` is false or one of them is 0.
    """
    try:
        counts_C = torch.as_tensor(counts)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(
            f"class_counts: found {counts!r}, expected the number of training samples of each class"
        ) from None
    if counts_C.ndim != 1 or not len(counts_C):
        raise ValueError(f"class_counts: expected one number per class, found shape {tuple(counts_C.shape)}")
    if counts_C.dtype == torch.bool or counts_C.is_complex():
        raise ValueError(f"class_counts: found {counts_C.dtype}, expected numbers")
    if not counts_C.is_floating_point():
        counts_C = counts_C.to(torch.get_default_dtype())
    if counts_C.is_meta:
        return counts_C
    if not bool((counts_C.isfinite() & (counts_C >= 0)).all()):
        raise ValueError(f"class_counts: expected finite numbers of at least 0, found {_listed(counts_C)}")
    if not bool(counts_C.any()):
        raise ValueError("class_counts: all are 0, expected the number of training samples of each class")
    if not bool(((counts_C > 0) & (counts_C < 1)).any()):
        return counts_C.clamp_min(1)
    if not shares:
        raise ValueError(
            f"class_counts: found {_listed(counts_C)}, which are frequencies; this loss needs counts: multiply by the "
            "number of training samples"
        )
    if not bool(counts_C.all()):
        raise ValueError(
            f"class_counts: found {_listed(counts_C)}, frequencies of which one is 0; expected all above 0, or counts"
        )
    return counts_C


def require_per_class(name: str, values_C: Tensor, logits_NC: Tensor) -> None:
    """Check that weights or counts have one value per class of the logits, without synchronising with the device.

    Raises:
        ValueError: If the lengths differ.
    """
    if values_C.shape[0] != logits_NC.shape[1]:
        raise ValueError(
            f"{name}: found {values_C.shape[0]} values for logits of {logits_NC.shape[1]} classes, "
            "expected one for each class"
        )


def as_hyperparameter(loss: str, name: str, value: Any, domain: Domain) -> Value:
    """Return a hyperparameter's value as a Python number.

    Raises:
        ValueError: If it is not a number, or outside the domain.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{loss}: found {name} {value!r} ({type(value).__name__}), expected {domain}")
    number: Value = int(value) if isinstance(value, Integral) else float(value)
    if not domain.contains(number):
        raise ValueError(f"{loss}: found {name} {number}, expected {domain}")
    return number


def _listed(values_C: Tensor, most: int = 5) -> str:
    shown = ", ".join(f"{value:g}" for value in values_C[:most].tolist())
    return f"[{shown}{', ...' if len(values_C) > most else ''}]"
