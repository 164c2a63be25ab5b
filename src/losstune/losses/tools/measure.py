"""Measure properties of a loss from its values alone, in float64.

Random draws can refute a property but never prove it: "holds" means that some ten thousand draws did not refute it.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]
"""``loss(logits_NC, target_N) -> losses_N``."""

SCALES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 1e3, 1e4)
STEPS = (0.1, 1.0, 10.0)
"""Lengths of chords, in logits; one with the scale of the logits is added."""
FAR_SHIFT = 1e4
NUM_DRAWS = 2000
NUM_POSTERIORS = 8


@dataclass(frozen=True, slots=True)
class Measured:
    """The result of measuring a property.

    Attributes:
        holds: Whether the property holds at all points tried.
        evidence: The largest violation and its position, or what was tried.
    """

    holds: bool
    evidence: str


def convexity(loss: Loss, num_classes: int) -> Measured:
    """Measure whether the loss at a midpoint ever exceeds the mean of the losses at the ends."""
    generator = torch.Generator().manual_seed(11)
    worst, where = 0.0, ""
    for scale in SCALES:
        for step in (*STEPS, scale):
            for shift in (0.0, FAR_SHIFT, -FAR_SHIFT):
                first_NC = scale * _normal(NUM_DRAWS, num_classes, generator) + shift
                second_NC = first_NC + step * _normal(NUM_DRAWS, num_classes, generator)
                target_N = _classes(NUM_DRAWS, num_classes)
                ends_N = (loss(first_NC, target_N) + loss(second_NC, target_N)) / 2
                excess_N = loss((first_NC + second_NC) / 2, target_N) - ends_N
                # Relative to the size of the values, so that rounding errors do not count as violations.
                relative_N = excess_N / (1e-3 + ends_N.abs())
                at = int(relative_N.argmax())
                if relative_N[at] > worst:
                    worst = relative_N[at].item()
                    where = f"between {_text(first_NC[at])} and {_text(second_NC[at])}, class {target_N[at]}"
    if worst > 1e-9:
        return Measured(False, f"the midpoint is {worst:.2g} (relative) above the chord {where}")
    return Measured(True, "no midpoint above its chord")


def largest(loss: Loss, num_classes: int, size: float = 1e4) -> float:
    """Return the largest loss found at logits up to `size`."""
    generator = torch.Generator().manual_seed(12)
    target_N = _classes(NUM_DRAWS, num_classes)
    one_hot_NC = torch.nn.functional.one_hot(target_N, num_classes).double()
    # Bounds are reached where the true class has the lowest logit, and at most one other class a higher one.
    values = [
        loss(size * z_NC[:num_classes], target_N[:num_classes]).max().item()
        for z_NC in (-one_hot_NC, one_hot_NC.roll(1, 0) - one_hot_NC)
    ]
    values += [
        loss(scale * _normal(NUM_DRAWS, num_classes, generator), target_N).max().item()
        for scale in (*SCALES, size / 10, size)
        if scale <= size
    ]
    return max(values)


def growth(loss: Loss, num_classes: int) -> Measured:
    """Measure whether the loss is unbounded: it must grow by at least 5% for logits ten times as large, twice."""
    found = [largest(loss, num_classes, size) for size in (1e2, 1e3, 1e4)]
    grows = all(after > 1.05 * before for before, after in pairwise(found))
    return Measured(grows, f"at logits up to 100, 1,000 and 10,000 it reaches {_text(torch.tensor(found))}")


def symmetry(loss: Loss, num_classes: int) -> Measured:
    """Measure whether the sum of the loss over all classes as targets is constant in the logits."""
    generator = torch.Generator().manual_seed(13)
    sums = [_over_classes(loss, scale * _normal(200, num_classes, generator)).sum(1) for scale in (0.3, 1.0, 3.0, 30.0)]
    sums_N = torch.cat(sums)
    spread = (sums_N.max() - sums_N.min()).item() / sums_N.abs().max().item()
    return Measured(spread < 1e-6, f"the sum over the classes varies by {spread:.2g} (relative)")


def shift_invariance(loss: Loss, num_classes: int) -> Measured:
    """Measure whether adding a constant to a sample's logits changes its loss."""
    generator = torch.Generator().manual_seed(14)
    z_NC, target_N = _normal(500, num_classes, generator), _classes(500, num_classes)
    shifts_N1 = 5 * torch.randn(500, 1, generator=generator, dtype=torch.float64)
    before_N, after_N = loss(z_NC, target_N), loss(z_NC + shifts_N1, target_N)
    change = ((after_N - before_N).abs() / (1e-3 + before_N.abs())).max().item()
    return Measured(change < 1e-6, f"a shift changes the loss by {change:.2g} (relative)")


def properness(loss: Loss, link: Callable[[Tensor], Tensor], num_classes: int) -> Measured:
    """Measure whether the link recovers random posteriors from the logits that minimise the risk under them.

    It tries posteriors with and without a class above 1/2; every class has at least 4%.
    """
    generator = torch.Generator().manual_seed(15)
    shares_NC = torch.rand(NUM_POSTERIORS, num_classes, generator=generator, dtype=torch.float64)
    shares_NC[::2, 0] += 1.5
    eta_NC = 0.04 + (1 - 0.04 * num_classes) * shares_NC / shares_NC.sum(1, keepdim=True)
    found_NC = link(risk_minimiser(loss, eta_NC))
    error_N = (found_NC - eta_NC).abs().amax(1)
    at = int(error_N.argmax())
    evidence = f"posterior {_text(eta_NC[at])} comes back as {_text(found_NC[at])}"
    return Measured(error_N[at].item() < 2e-3, evidence)


def risk_minimiser(loss: Loss, eta_NC: Tensor) -> Tensor:
    """Return the logits (N, C) with the smallest expected loss under each posterior, found by LBFGS."""
    generator = torch.Generator().manual_seed(7)
    z_NC = (0.3 * _normal(eta_NC.shape[0], eta_NC.shape[1], generator)).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [z_NC],
        max_iter=500,
        max_eval=800,
        history_size=50,
        tolerance_grad=1e-10,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    evaluations = iter(range(1500))

    def closure() -> Tensor:
        optimizer.zero_grad()
        next(evaluations)  # limits the line search, too, which may not end at a jump: LBFGS's own count does not
        risk = (_over_classes(loss, z_NC) * eta_NC).sum()
        risk.backward()  # type: ignore[no-untyped-call]
        return risk

    with suppress(StopIteration):
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return z_NC.detach()


def infimum(loss: Loss, num_classes: int) -> float:
    """Return the smallest loss of class 0 that LBFGS finds from several starting points, including those points."""
    one_hot_C = torch.eye(num_classes, dtype=torch.float64)[0]
    best = torch.inf
    for start_C in (one_hot_C, 5 * one_hot_C - 2, 200 * one_hot_C, 400 * one_hot_C - 200, 200 * one_hot_C - 200):
        z_NC = start_C.clone().unsqueeze(0).requires_grad_()
        optimizer = torch.optim.LBFGS([z_NC], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

        def closure(z_NC: Tensor = z_NC, optimizer: torch.optim.LBFGS = optimizer) -> Tensor:
            optimizer.zero_grad()
            value = loss(z_NC, torch.tensor([0])).sum()
            value.backward()  # type: ignore[no-untyped-call]
            return value

        values = [closure().item()]
        optimizer.step(closure)  # type: ignore[no-untyped-call]
        values.append(closure().item())
        best = min(best, *(value for value in values if value == value))
    return best


NUM_LINES, NUM_POINTS, HALF_LENGTH = 48, 160, 12.0
"""Number of lines that :func:`smoothness` tests, number of intervals on each, and half the length of a line."""


def smoothness(loss: Loss, num_classes: int) -> Measured:
    """Measure whether the gradient or its slope jumps anywhere along random lines in the space of logits.

    Each interval is halved repeatedly, towards the half with the larger difference between its ends. For a smooth
    function the difference vanishes; a jump remains.
    """
    generator = torch.Generator().manual_seed(16)
    direction_NC = torch.nn.functional.normalize(_normal(NUM_LINES, num_classes, generator))
    start_NC = _normal(NUM_LINES, num_classes, generator)
    target_N = _classes(NUM_LINES, num_classes)
    ends_P = torch.linspace(-HALF_LENGTH, HALF_LENGTH, NUM_POINTS + 1, dtype=torch.float64)
    # One row per interval of a line.
    rows = torch.arange(NUM_LINES).repeat_interleave(NUM_POINTS)
    low_M, high_M = ends_P[:-1].repeat(NUM_LINES), ends_P[1:].repeat(NUM_LINES)

    def slope(at_M: Tensor) -> Tensor:
        z_MC = (start_NC[rows] + at_M.unsqueeze(1) * direction_NC[rows]).requires_grad_()
        (gradient_MC,) = torch.autograd.grad(loss(z_MC, target_N[rows]).sum(), z_MC)
        return (gradient_MC * direction_NC[rows]).sum(1)

    def bend(at_M: Tensor) -> Tensor:
        return (slope(at_M + _STEP) - slope(at_M - _STEP)) / (2 * _STEP)

    for what, function, num_halvings in (("gradient", slope, 26), ("gradient's slope", bend, 13)):
        size = function(high_M).abs().max().item()
        before_M, jump_M = _jumps(function, low_M, high_M, num_halvings)
        # A difference that is only steep shrinks with the interval.
        jump_M = torch.where(jump_M > 0.6 * before_M, jump_M, 0.0)
        at = int(jump_M.argmax())
        if jump_M[at] > 2e-3 * max(size, 1e-6):
            where = start_NC[rows[at]] + (low_M[at] + high_M[at]) / 2 * direction_NC[rows[at]]
            return Measured(False, f"the {what} jumps by {jump_M[at]:.2g} near {_text(where)}")
    return Measured(True, "neither the gradient nor its slope jumps anywhere")


_STEP = 1e-5


def _jumps(
    function: Callable[[Tensor], Tensor], low_M: Tensor, high_M: Tensor, num_halvings: int
) -> tuple[Tensor, Tensor]:
    """Return the difference of the function between the ends, two halvings before the last and after the last."""
    at_low_M, at_high_M = function(low_M), function(high_M)
    before_M = torch.zeros_like(at_low_M)
    for halving in range(num_halvings):
        if halving == num_halvings - 2:
            before_M = (at_high_M - at_low_M).abs()
        middle_M = (low_M + high_M) / 2
        at_middle_M = function(middle_M)
        left_M = (at_middle_M - at_low_M).abs() > (at_high_M - at_middle_M).abs()
        low_M, at_low_M = torch.where(left_M, low_M, middle_M), torch.where(left_M, at_low_M, at_middle_M)
        high_M, at_high_M = torch.where(left_M, middle_M, high_M), torch.where(left_M, at_middle_M, at_high_M)
    return before_M, (at_high_M - at_low_M).abs()


def _over_classes(loss: Loss, z_NC: Tensor) -> Tensor:
    num_samples, num_classes = z_NC.shape
    return torch.stack([loss(z_NC, torch.full((num_samples,), k)) for k in range(num_classes)], 1)


def _normal(num_samples: int, num_classes: int, generator: torch.Generator) -> Tensor:
    return torch.randn(num_samples, num_classes, generator=generator, dtype=torch.float64)


def _classes(num_samples: int, num_classes: int) -> Tensor:
    return torch.arange(num_samples) % num_classes


def _text(values_C: Tensor) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values_C.tolist()) + ")"
