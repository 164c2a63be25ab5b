"""Inputs for the contract tests: hyperparameters, class frequencies, logits and targets.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from scipy.stats import qmc
from torch import Tensor

from losstune.losses.ranges import Choice
from losstune.losses.spec import BoundLoss, LossSpec

Outcomes = Iterator[tuple[bool, str]]
"""Pairs of whether a check passed and a message with what was found."""

Check = Callable[[BoundLoss, int], Outcomes]
"""``check(loss, num_classes)``."""

CLASS_COUNTS = (2, 4, 11)
NUM_INNER_BITS = 2
IMBALANCE = 100.0


def settings_of(spec: LossSpec) -> list[BoundLoss]:
    """Return the loss at its published hyperparameters, at the ends of their ranges, and at points between."""
    settings = [spec.defaults]
    for units in _units(len(spec.hyperparameters)):
        point = {item.name: item.range.from_unit(unit) for item, unit in zip(spec.hyperparameters, units, strict=True)}
        settings += [point] if point not in settings else []
    for item in spec.hyperparameters:
        values = item.range.values if isinstance(item.range, Choice) else ()
        others = [spec.defaults | {item.name: value} for value in values]
        settings += [point for point in others if point not in settings]
    return [spec.bind(setting) for setting in settings]


def _units(num_dimensions: int) -> Iterator[list[float]]:
    if not num_dimensions:
        return
    yield [0.0] * num_dimensions
    yield [1.0] * num_dimensions
    # Sobol points, and points near one end in one coordinate: formulas tend to break close to a limit.
    engine = qmc.Sobol(num_dimensions, scramble=True, rng=5)
    yield from engine.random_base2(NUM_INNER_BITS).tolist()
    for axis in range(num_dimensions):
        for unit in (0.04, 0.96):
            yield [unit if other == axis else 0.5 for other in range(num_dimensions)]


def with_class_counts(loss: BoundLoss, num_classes: int) -> BoundLoss:
    """Return the loss with class frequencies that differ by a factor of :data:`IMBALANCE`, if it needs them.

    Equal frequencies would not reveal a link or a formula that ignores them.
    """
    return loss.with_counts(frequencies(num_classes))


def imbalanced(loss: BoundLoss, logits_NC: Tensor, target: Tensor) -> Tensor:
    """Return the losses (N,) with those class frequencies, for the number of classes of the logits."""
    return with_class_counts(loss, logits_NC.shape[1])(logits_NC, target)


def frequencies(num_classes: int) -> Tensor:
    """Return samples per class (C,), from 1,000 down to 1,000 / IMBALANCE."""
    return 1000 * IMBALANCE ** -torch.linspace(0, 1, num_classes, dtype=torch.float64)


def batch(
    num_classes: int, *, num_samples: int = 24, dtype: torch.dtype = torch.float64, scale: float = 1.5, seed: int = 3
) -> tuple[Tensor, Tensor]:
    """Return logits (N, C) from a normal distribution, and targets (N,) that cycle through the classes."""
    generator = torch.Generator().manual_seed(seed)
    logits_NC = scale * torch.randn(num_samples, num_classes, generator=generator, dtype=torch.float64)
    return logits_NC.to(dtype), torch.arange(num_samples) % num_classes


def distributions(num_classes: int, num_samples: int = 24) -> Tensor:
    """Return soft targets (N, C); the last four have classes with a probability of exactly 0."""
    generator = torch.Generator().manual_seed(4)
    shares_NC = torch.rand(num_samples, num_classes, generator=generator, dtype=torch.float64) ** 3
    shares_NC[-4:, 1:-1] = 0
    return shares_NC / shares_NC.sum(1, keepdim=True)


def gradient(loss: BoundLoss, logits_NC: Tensor, target: Tensor) -> Tensor:
    """Return the derivative of each sample's loss with respect to its logits, (N, C)."""
    logits_NC = logits_NC.detach().clone().requires_grad_()
    (gradient_NC,) = torch.autograd.grad(loss(logits_NC, target).sum(), logits_NC)
    return gradient_NC
