"""Validation of a loss's options: class weights, class counts, hyperparameters. Values are checked when they are given.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from losstune.losses.ranges import Domain, Value


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


_CLASS_WEIGHTS = "class weights are an option of the module: get({loss!r}).as_module(weight=torch.tensor([...]))"
_CLASS_COUNTS = (
    "class counts are an option of the module of a loss that needs them: get('ldam').as_module(class_counts=[...])"
)
_REDUCTION = "the reduction is an option of the module: get({loss!r}).as_module('mean'), 'sum' or 'none'"
_SMOOTHING = "label smoothing is a loss of its own: get('label_smoothing', eps=...)"
_ELSEWHERE = {
    **dict.fromkeys(("alpha", "weight", "weights", "class_weight", "class_weights"), _CLASS_WEIGHTS),
    **dict.fromkeys(("counts", "class_counts", "cls_num_list", "samples_per_cls", "samples_per_class"), _CLASS_COUNTS),
    **dict.fromkeys(("reduction", "reduce", "size_average"), _REDUCTION),
    **dict.fromkeys(("label_smoothing", "smoothing"), _SMOOTHING),
    "ignore_index": "the index to ignore is an option of the module: get({loss!r}).as_module(ignore_index=...)",
    "num_classes": "the number of classes is that of the logits",
    "from_logits": "every loss takes logits",
}


def unknown_hyperparameter(loss: str, name: str, known: Collection[str]) -> str:
    """Return the message for an argument that a loss does not have; it says where those of other libraries are."""
    hint = f"; {_ELSEWHERE[name].format(loss=loss)}" if name in _ELSEWHERE else ""
    return f"{loss} has no hyperparameter {name!r}; it has {', '.join(known) or 'none'}{hint}"


def unknown_option(loss: str, name: str, known: Collection[str]) -> str:
    """Return the message for an argument that ``as_module`` does not have."""
    if name in known:
        hint = f"it is a hyperparameter: get({loss!r}, {name}=...)"
    elif name in _ELSEWHERE:
        hint = _ELSEWHERE[name].format(loss=loss)
    else:
        hint = "it has reduction, weight, ignore_index, class_counts"
    return f"as_module has no option {name!r}; {hint}"


def _listed(values_C: Tensor, most: int = 5) -> str:
    shown = ", ".join(f"{value:g}" for value in values_C[:most].tolist())
    return f"[{shown}{', ...' if len(values_C) > most else ''}]"
