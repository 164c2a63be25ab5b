"""The target of a loss: class indices or a distribution, brought into the two shapes that every loss takes.

For each batch only types and shapes are checked, so that the device is not synchronised. Values are read only where
a batch would otherwise be rejected.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor


def as_rows(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, torch.Size]:
    """Return logits (N, C), the target as int64 (N,) or as distributions (N, C), and the shape of the losses.

    As in ``nn.CrossEntropyLoss``, logits are (N, C), (N, C, d1, ...), or (C,) for one sample.

    Raises:
        ValueError: If types or shapes do not fit, or there is only one logit per sample.
    """
    if not isinstance(target, Tensor):
        raise ValueError(f"target: found {type(target).__name__}, expected a tensor: torch.as_tensor(target)")
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        found = logits.dtype if isinstance(logits, Tensor) else type(logits).__name__
        swapped = "; the order is (logits, target)" * target.is_floating_point()
        raise ValueError(f"logits: found {found}, expected a floating-point tensor of shape (N, C){swapped}")
    is_soft = target.is_floating_point()
    if target.dtype != torch.int64 and not is_soft:
        if target.dtype == torch.bool or target.is_complex():
            raise ValueError(
                f"target: found {target.dtype}, expected class indices (target.long()) or probabilities "
                "(target.float())"
            )
        # torch treats a uint8 tensor as a mask when indexing, and most of its functions reject int32.
        target = target.long()
    if logits.ndim < 2:
        return *_batch_of_one(logits, target), torch.Size()
    if logits.shape[1] == 1:
        raise ValueError(_two_logits(logits, "torch.cat"))
    shape = logits.shape[:1] + logits.shape[2:]
    if target.shape != (logits.shape if is_soft else shape):
        raise ValueError(_mismatch(logits, target, shape))
    if logits.ndim == 2:
        return logits, target, shape
    return _rows(logits), _rows(target) if is_soft else target.flatten(), shape


def one_hot_classes(target_NC: Tensor) -> Tensor | None:
    """Return the class indices (N,) of one-hot rows, or None if a row is another distribution. It reads the values."""
    is_one_hot = ((target_NC == 0) | (target_NC == 1)).all() & (target_NC.sum(1) == 1).all()
    return target_NC.argmax(1) if bool(is_one_hot) else None


def no_distribution(loss: str) -> str:
    """Return the message for a distribution as target of a loss for class indices."""
    from losstune.losses import list_losses

    return (
        f"target: found probabilities, but {loss} takes class indices or one-hot rows; losses that take probabilities: "
        f"{', '.join(list_losses(soft_targets=True))}"
    )


def require_in_range(target_N: Tensor, num_classes: int) -> None:
    """Check class indices on the CPU, after a loss has failed on them; elsewhere do nothing.

    Raises:
        ValueError: If one is not between 0 and C-1.
    """
    if target_N.ndim != 1 or target_N.device.type != "cpu" or not len(target_N):
        return
    low, high = (int(value) for value in target_N.aminmax())
    if low >= 0 and high < num_classes:
        return
    found = low if low < 0 else high
    if low == 1 and high == num_classes:
        hint = "classes that count from 1: target - 1"
    elif (low, high, num_classes) == (-1, 1, 2):
        hint = "labels of -1 and 1: (target + 1) // 2"
    elif low < 0 or high == 255:
        hint = f"to leave out samples of class {found}: as_module(ignore_index={found})"
    else:
        hint = f"{high + 1} classes need {high + 1} logits"
    raise ValueError(
        f"target: found class {found} for logits of {num_classes} classes, expected 0 to {num_classes - 1}; {hint}"
    )


def _rows(values: Tensor) -> Tensor:
    return values.movedim(1, -1).flatten(0, -2)


def _batch_of_one(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if logits.ndim == 0:
        raise ValueError("logits: found a single number, expected one logit per class, (N, C)")
    is_soft = target.is_floating_point()
    if target.ndim == 0 and is_soft:
        raise ValueError(_mismatch(logits, target, target.shape))
    # (N,) of 0 and 1 for one logit per sample has the same shape as a distribution for one sample; its sum tells.
    is_single = target.ndim == 0 or (is_soft and target.shape == logits.shape and _sums_to_1(target))
    if not is_single or len(logits) == 1:
        raise ValueError(_two_logits(logits, "torch.stack"))
    return logits.unsqueeze(0), target.unsqueeze(0)


def _sums_to_1(target_C: Tensor) -> bool:
    return target_C.is_meta or bool((target_C.sum() - 1).abs() < 1e-2)


def _two_logits(logits: Tensor, join: str) -> str:
    return (
        f"logits: found shape {tuple(logits.shape)}, one logit per sample; expected one per class, (N, C); for two "
        f"classes: {join}([torch.zeros_like(logits), logits], 1)"
    )


def _mismatch(logits: Tensor, target: Tensor, shape: torch.Size) -> str:
    found = f"target: found shape {tuple(target.shape)} for logits of shape {tuple(logits.shape)}, expected"
    if target.is_floating_point():
        is_index = target.ndim < logits.ndim or target.shape[1] == 1
        hint = "; class indices must be integers: target.long()" * is_index
        return f"{found} one probability per class, {tuple(logits.shape)}{hint}"
    hint = ""
    if target.shape == logits.shape:
        hint = "; one-hot rows must be floating-point: target.float()"
    elif target.ndim == logits.ndim and target.shape[1] == 1:
        hint = "; target.squeeze(1)"
    return f"{found} one class index per sample, {tuple(shape)}{hint}"
