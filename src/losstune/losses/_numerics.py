"""Arithmetic that several losses share: safe in float32 at any logits, without synchronising with the device.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

FLOOR = 1e-7
"""The smallest probability from links that can reach 0: limits the penalty of such a class to about 16 nats."""


def at_least_float32(logits_NC: Tensor) -> Tensor:
    """Return half-precision logits in float32, others unchanged."""
    return logits_NC.float() if logits_NC.dtype.itemsize < 4 else logits_NC


def finite_logits(logits_NC: Tensor) -> Tensor:
    """Return logits in at least float32, with minus infinity replaced by a finite number, so that 0 times it is 0.

    A class masked by minus infinity keeps a probability of 0, and its logit gets no gradient.
    """
    z_NC = at_least_float32(logits_NC)
    return z_NC.clamp_min(torch.finfo(z_NC.dtype).min / 64)


def class_cross_entropy(logits_NC: Tensor, target_N: Tensor) -> Tensor:
    """Return -log p_y per sample, in at least float32, for losses that are defined for one class per sample.

    Raises:
        ValueError: If the target is not a class index per sample.
    """
    require_classes(target_N)
    return F.cross_entropy(at_least_float32(logits_NC), target_N, reduction="none")


def require_classes(target_N: Tensor) -> None:
    """Reject a distribution as target. Only the shape is checked, which does not synchronise with the device.

    Raises:
        ValueError: If the target does not have the shape (N,).
    """
    if target_N.ndim != 1:
        raise ValueError(
            f"this loss takes a class index per sample, a target of shape (N,), found shape {tuple(target_N.shape)}; "
            "it is not defined for soft targets"
        )


def target_distribution(target: Tensor, logits_NC: Tensor) -> Tensor:
    """Return the target as a distribution (N, C) in the type of the logits; class indices become one-hot."""
    if target.ndim == 2:
        return target.to(logits_NC.dtype)
    return torch.zeros_like(logits_NC).scatter(1, target.unsqueeze(1), 1.0)


def at_target(values_NC: Tensor, target: Tensor) -> Tensor:
    """Return each sample's value at its class, or the expected value under a soft target; shape (N,)."""
    if target.ndim == 2:
        return (target.to(values_NC.dtype) * values_NC).sum(1)
    return values_NC.gather(1, target.unsqueeze(1)).squeeze(1)


def without_true_class(logits_NC: Tensor, target_N: Tensor) -> Tensor:
    """Return the logits with the true class's set to 0, without a gradient to it."""
    return logits_NC.scatter(1, target_N.unsqueeze(1), 0.0)


def less_at_target(values_NC: Tensor, target_N: Tensor, amount: Tensor | float) -> Tensor:
    """Subtract a number, or a tensor (N,), from each sample's value at its class, without a one-hot tensor."""
    index_N1 = target_N.unsqueeze(1)
    if isinstance(amount, Tensor):
        return values_NC.scatter_add(1, index_N1, -amount.unsqueeze(1).to(values_NC.dtype))
    return values_NC.scatter_add(1, index_N1, values_NC.new_full(index_N1.shape, -amount))


def less_target(p_NC: Tensor, target: Tensor) -> Tensor:
    """Return p - t, (N, C), for class indices or a distribution as target."""
    return less_at_target(p_NC, target, 1.0) if target.ndim == 1 else p_NC - target.to(p_NC.dtype)


def normalized(shares_NC: Tensor) -> Tensor:
    """Return probabilities: clip the values at :data:`FLOOR` from below, then normalise the rows to sum to 1."""
    floored_NC = shares_NC.clamp_min(FLOOR)
    return floored_NC / floored_NC.sum(1, keepdim=True)


def with_gradient(
    losses_N: Tensor, gradient_NC: Tensor, gradient: Callable[..., Tensor], logits_NC: Tensor, *tensors: Tensor
) -> Tensor:
    """Attach a known gradient to losses that were computed by an iteration.

    Args:
        losses_N: Losses, computed from detached logits.
        gradient_NC: Their derivative by the logits, computed from detached logits.
        gradient: The derivative as a function of the logits and `tensors`, of shape (N, C). It is called if higher
            derivatives may be needed; those of the losses, up to the fourth, are as accurate as its own.
        logits_NC: Logits in at least float32.
        tensors: Other inputs of `gradient`; they get no derivatives.
    """
    if forward_ad._current_level < 0:
        return _WithGradient.apply(gradient, losses_N, gradient_NC, logits_NC, *tensors)  # type: ignore[no-any-return]
    # PyTorch silently omits derivatives of a custom function's forward mode. So use only PyTorch's own operations:
    # integrate the gradient along a step of length 0 by Simpson's rule.
    start_NC = logits_NC.detach()
    step_NC = logits_NC - start_NC
    mean_NC = (gradient_NC + 4 * gradient(start_NC + step_NC / 2, *tensors) + gradient(logits_NC, *tensors)) / 6
    return losses_N + (step_NC * mean_NC).sum(1)


class _WithGradient(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(
        gradient: Callable[..., Tensor], losses_N: Tensor, gradient_NC: Tensor, logits_NC: Tensor, *tensors: Tensor
    ) -> Tensor:
        return losses_N.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.gradient, _, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, grad_N: Tensor) -> tuple[Tensor | None, ...]:
        gradient_NC, logits_NC, *tensors = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient may be differentiated again
            gradient_NC = ctx.gradient(logits_NC, *tensors)
        return None, None, None, grad_N.unsqueeze(1) * gradient_NC, *[None for _ in tensors]
