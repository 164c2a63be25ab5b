"""What a pooled study can decide: the course it takes if no loss is settled early, and the power at its end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from losstune.statistics import PooledDifference, Variance, smallest_difference, smallest_margin
from losstune.verdict.course import Course, Judged, RoundRules, Size
from losstune.verdict.round_sizes import FIRST_BLOCKS, LOOK_SHARE, next_size

LEAST_FREEDOM = 20.0
"""Degrees of freedom of a difference where none was judged yet, as measured in studies of two searches of 8 trials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Variances of the difference of two losses.

    Attributes:
        search: Variance of a difference between two single searches.
        seed: Variance of a difference between two single blocks.
        freedom: Degrees of freedom of the error, for a loss of the size below.
        size: A size with these degrees of freedom; None if they are assumed.
    """

    search: float
    seed: float
    freedom: float = LEAST_FREEDOM
    size: Size | None = None


TYPICAL = ((Spread(search=2.3e-5, seed=1.6e-5),), (Spread(search=8.1e-5, seed=1.9e-4),))
"""Accuracy: features of a frozen backbone with 2,000 test samples, and small images with 40% wrong labels and 359 test
samples. Medians over losses and drawn studies with searches of 8 trials, from two banks of real trainings:
``benchmarks/typical_errors.py`` prints them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What the largest study can show.

    Attributes:
        size: How far the losses come that stay in the race.
        difference: Smallest true difference that it finds with the power; None if it has too few blocks for any.
        margin: Smallest half-width of a region of equivalence in which it shows two equal losses, with the power.
    """

    size: Size
    difference: float | None
    margin: float


def spreads_of(course: Course) -> tuple[Spread, ...]:
    """Return the spread of each loss that the latest look found; empty before the first look."""
    return tuple(
        spread_of(judged.difference, judged.size, is_judged=judged.level > 0.0)
        for judged in course.judged.values()
        if judged.look == len(course.looks) - 1
    )


def spread_of(difference: PooledDifference, size: Size, *, is_judged: bool = True) -> Spread:
    """Return the spread of a difference that was found with losses of this size.

    Args:
        difference: The difference.
        size: The size.
        is_judged: Whether its degrees of freedom are known: not at the first look.
    """
    return Spread(
        search=difference.search.value * size.searches,
        seed=difference.seed.value * size.blocks,
        freedom=difference.freedom if is_judged else LEAST_FREEDOM,
        size=size if is_judged else None,
    )


def forecast(
    rules: RoundRules, course: Course | None, spreads: Sequence[Spread], *, power: float, alone: bool
) -> Reach | None:
    """Return what the largest study can show that the rules allow; None if it ends before any claim.

    Args:
        rules: The rules of the rounds.
        course: How far the study has come; None for one that has not begun.
        spreads: The variances of at least one difference. The power is the mean over all of them, because a study with
            a typical error has more power than the average study.
        power: Probability that a difference is found, or equivalence shown.
        alone: Whether one loss gets all that is left, with the yardsticks. Otherwise all losses in the race share it.
    """
    if not rules.candidates:
        return None
    planned = _begun(rules, course)
    active = [
        loss for loss in rules.candidates if course is None or loss not in course.judged or not _has_ended(course, loss)
    ]
    going = active[:1] if alone else active
    left, level = rules.alpha * (1.0 - LOOK_SHARE) ** (len(planned.looks) - 1), 0.0
    while True:
        at = planned.sizes[rules.baseline]
        planned.judged = {
            loss: Judged(look=len(planned.looks) - 1, level=0.0, size=at, difference=_expected(spreads, at))
            for loss in going
        }
        size = next_size(rules, planned, len(going)) if going else None
        if size is None:
            break
        planned.sizes |= dict.fromkeys((*going, *rules.yardsticks), size)
        planned.looks.append(tuple(going))
        if size.searches >= rules.fewest_searches:
            level = left if next_size(rules, planned, len(going)) is None else LOOK_SHARE * left
            left -= level
    if level == 0.0:
        return None
    errors = [math.sqrt(spread.search / at.searches + spread.seed / at.blocks) for spread in spreads]
    freedom = [_freedom(spread, at, rules.size) for spread in spreads]
    num_open = len(rules.candidates) if course is None else course.num_open(rules)
    strict = level / max(1, num_open)
    return Reach(
        size=at,
        difference=smallest_difference(errors, freedom, alpha=strict, power=power)
        if at.blocks >= rules.fewest_blocks
        else None,
        margin=smallest_margin(errors, freedom, alpha=level, power=power),
    )


def first_claim(rules: RoundRules) -> int:
    """Return the trainings of the whole study up to its first look that may decide, if no loss is set aside before."""
    unlimited = replace(rules, budget=None)
    planned = _begun(unlimited, None)
    size = next_size(unlimited, planned, len(rules.candidates))
    if size is not None:
        planned.sizes = dict.fromkeys(rules.losses, size)
    return planned.num_trainings(rules)


def _begun(rules: RoundRules, course: Course | None) -> Course:
    """Return a copy of the course after its first look, which needs no results."""
    first = Size(searches=1, blocks=min(FIRST_BLOCKS, rules.most_blocks))
    if course is None or not course.looks:
        return Course(dict.fromkeys(rules.losses, first), looks=[rules.losses])
    latest = course.looks[-1]
    sizes = dict(course.sizes)
    # A round that has begun is planned again.
    judged = next(item for item in course.judged.values() if item.look == len(course.looks) - 1)
    sizes |= dict.fromkeys(latest, judged.size)
    return Course(sizes, looks=list(course.looks))


def _has_ended(course: Course, loss: str) -> bool:
    return course.judged[loss].reason is not None


def _expected(spreads: Sequence[Spread], size: Size) -> PooledDifference:
    search = float(np.median([spread.search for spread in spreads])) / size.searches
    seed = float(np.median([spread.seed for spread in spreads])) / size.blocks
    return PooledDifference(0.0, Variance(search, math.inf), Variance(seed, math.inf))


def _freedom(spread: Spread, size: Size, trials: int) -> float:
    """Degrees of freedom grow with the trainings."""
    before = spread.size
    return spread.freedom * (size.trainings(trials) / before.trainings(trials) if before is not None else 1.0)
