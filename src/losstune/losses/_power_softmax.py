"""The map shared by entmax, the tempered softmax and the alpha-divergences' softargmax, by Newton's method.

p_k = r_k b_k^(1/c) with the bases b_k = [1 + c (z_k - tau)]_+, and tau such that p sums to 1. For c > 0 it is sparse,
for c < 0 heavy-tailed; softmax of z + log r is the limit at c = 0.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

SMALL = 0.05
"""For |c| below this, the bases are so close to 1 that the code stores their difference from 1, to keep digits."""

LARGEST_WHOLE = 8
"""Integer exponents up to this are computed by products, several times faster than by logarithm and exponential."""


class PowerSoftmax(NamedTuple):
    """The result of the map before the last normalisation.

    Attributes:
        p_NC: r b^(1/c); its sum is close to 1.
        sum_N1: The sum of `p_NC`.
        base_NC: b.
        above_NC: b - 1 if b is close to 1 (see :data:`SMALL`), else None.
    """

    p_NC: Tensor
    sum_N1: Tensor
    base_NC: Tensor
    above_NC: Tensor | None

    def power(self, exponent: float) -> Tensor:
        """Return b^exponent."""
        return _power(self.base_NC, self.above_NC, exponent)

    def log(self) -> Tensor:
        """Return log b."""
        return self.base_NC.log() if self.above_NC is None else self.above_NC.log1p()


def power_softmax(z_NC: Tensor, c: float, weight_C: Tensor | None = None) -> PowerSoftmax:
    """Solve for tau by Newton's method on (sum p)^c, a norm of the bases.

    The function is convex in tau for c > 0 and concave for c < 0. The iteration starts where the largest logit would
    have all the mass; from that side, no step overshoots the root. A fixed number of steps gives an error in p below
    1e-5 in float32, for up to 1,000 classes, logits of any size and weights down to 1e-6. In float64, two more steps
    square the error twice.

    Args:
        z_NC: Finite logits in float32 or float64, without a gradient.
        c: Between -9 and 1, not 0.
        weight_C: r, positive, with sum 1; None for 1 everywhere.
    """
    gaps_NC = (z_NC.amax(1, keepdim=True) - z_NC).mul_(c)
    # The unknown is the base of the largest logit minus 1.
    shift_N1 = torch.zeros_like(gaps_NC[:, :1])
    if weight_C is not None:
        of_largest_NC = torch.where(gaps_NC == 0, weight_C, 0.0)
        shift_N1 = torch.expm1(-c * of_largest_NC.amax(1, keepdim=True).log())
    num_steps = 2 + math.ceil((6 if c > 0 else -4) * c) + (0 if weight_C is None else 4)
    for _ in range(num_steps + (2 if z_NC.dtype == torch.float64 else 0)):
        found, slope_N1 = _at(shift_N1, gaps_NC, c, weight_C)
        shift_N1 = shift_N1 + found.sum_N1 * torch.expm1(-c * found.sum_N1.log()) / slope_N1
    return _at(shift_N1, gaps_NC, c, weight_C)[0]


def probabilities(found: PowerSoftmax, z_NC: Tensor, c: float, weight_C: Tensor | None = None) -> Tensor:
    """Return the map's probabilities (N, C), differentiable by the logits if gradients are enabled.

    Args:
        found: The map at the detached logits.
        z_NC: The logits, finite.
        c: As for :func:`power_softmax`, or above 1.
        weight_C: As for :func:`power_softmax`.
    """
    p_NC = found.p_NC / found.sum_N1
    if not torch.is_grad_enabled():
        return p_NC
    moving_NC = _differentiable(found, z_NC, c, weight_C)
    return p_NC + (moving_NC - moving_NC.detach())


def _differentiable(found: PowerSoftmax, z_NC: Tensor, c: float, weight_C: Tensor | None) -> Tensor:
    """Return the probabilities with correct derivatives by the logits, up to the third.

    It differentiates two more steps of Newton's method; each step doubles the order of accuracy of a constant start.
    """
    r_C: Tensor | float = 1.0 if weight_C is None else weight_C
    start_NC = found.base_NC - 1 if found.above_NC is None else found.above_NC
    moved_NC = start_NC + c * (z_NC - z_NC.detach())
    inside_NC = found.p_NC > 0
    shift_N1 = torch.zeros_like(moved_NC[:, :1])
    for steps_left in (2, 1, 0):
        # Where a probability is 0, its power's slope may be infinite, and infinity times 0 is NaN.
        log_base_NC = torch.where(inside_NC, moved_NC - shift_N1, 0.0).log1p()
        p_NC = torch.where(inside_NC, r_C * torch.exp(log_base_NC / c), 0.0)
        sum_N1 = p_NC.sum(1, keepdim=True)
        if steps_left:
            slope_NC = torch.where(inside_NC, r_C * torch.exp(log_base_NC * (1 / c - 1)), 0.0)
            shift_N1 = shift_N1 + c * (sum_N1 - 1) / slope_NC.sum(1, keepdim=True)
    return p_NC / sum_N1


def _at(shift_N1: Tensor, gaps_NC: Tensor, c: float, weight_C: Tensor | None) -> tuple[PowerSoftmax, Tensor]:
    """Return the map at a shift, and c times the derivative of its sum by the base, (N, 1).

    It works in place where possible: on a CPU, allocating a tensor of this size costs more than the arithmetic.
    """
    above_NC = None
    if abs(c) < SMALL:
        above_NC = (shift_N1 - gaps_NC).clamp_min_(-1)
        base_NC = 1 + above_NC
    else:
        base_NC = (1 + shift_N1) - gaps_NC
        if c > 0:
            base_NC.clamp_min_(0)
    # 0^0 is 1 in floating point, but the slope of a class with probability 0 is 0.
    slope_NC = base_NC.sign() if c == 1 else _power(base_NC, above_NC, 1 / c - 1)
    if weight_C is not None:
        slope_NC = slope_NC * weight_C if slope_NC is base_NC else slope_NC.mul_(weight_C)
    slope_N1 = slope_NC.sum(1, keepdim=True)
    p_NC = slope_NC * base_NC if slope_NC is base_NC else slope_NC.mul_(base_NC)
    return PowerSoftmax(p_NC, p_NC.sum(1, keepdim=True), base_NC, above_NC), slope_N1


def _power(base_NC: Tensor, above_NC: Tensor | None, exponent: float) -> Tensor:
    """Return b^exponent, in a new tensor unless the exponent is 1."""
    if above_NC is not None:
        return above_NC.log1p().mul_(exponent).exp_()
    whole = round(exponent)
    if exponent == 1:
        return base_NC
    if abs(exponent - whole) > 1e-9 or not 0 < abs(whole) <= LARGEST_WHOLE:
        return base_NC.log().mul_(exponent).exp_()
    result_NC = base_NC.clone() if whole > 0 else base_NC.reciprocal()
    factor_NC = base_NC if whole > 0 else result_NC.clone()
    # Binary exponentiation from the second digit on: square, and multiply if the digit is 1.
    for place in reversed(range(abs(whole).bit_length() - 1)):
        result_NC.square_()
        if abs(whole) >> place & 1:
            result_NC.mul_(factor_NC)
    return result_NC
