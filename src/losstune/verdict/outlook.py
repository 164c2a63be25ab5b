"""What more trainings would buy: the size at which a loss would probably be settled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from losstune.statistics import normal_quantile
from losstune.verdict.course import Judged, RoundRules, Size
from losstune.verdict.results import Results
from losstune.verdict.round_sizes import grown_size

_MOST_TRAININGS = 100_000


def needed_size(judged: Judged, rules: RoundRules, *, power: float) -> Size | None:
    """Return how far a loss has to come for a decision, if its difference and variances are as estimated.

    It is settled as different if ``|d| >= (z_{1 - alpha / 2 C} + z_power) e``, with C candidates and a standard error e
    that falls with searches and blocks; as equivalent if ``rope - |d| >= (z_{1 - alpha} + z_{(1 + power) / 2}) e``.
    The level that earlier looks spent, and degrees of freedom, are ignored, so that the size is a lower bound.

    Returns:
        The size; None if no size below 100,000 trainings suffices.
    """
    difference, size = abs(judged.difference.mean), judged.size
    strict = normal_quantile(1.0 - rules.alpha / (2.0 * max(len(rules.candidates), 1)))
    unlimited = rules.without_limits()
    while True:
        error = math.sqrt(
            judged.difference.search.value * judged.size.searches / size.searches
            + judged.difference.seed.value * judged.size.blocks / size.blocks
        )
        differs = difference >= (strict + normal_quantile(power)) * error
        matches = (
            rules.rope - difference
            >= (normal_quantile(1.0 - rules.alpha) + normal_quantile((1.0 + power) / 2.0)) * error
        )
        if size != judged.size and (differs or matches):
            return size
        if size.trainings(rules.size) > _MOST_TRAININGS:
            return None
        larger = grown_size(unlimited, size, judged.difference.search.value, judged.difference.seed.value, judged.size)
        assert larger is not None, "there is no limit"
        size = larger


def trainings_needed(judged: Judged, rules: RoundRules, *, power: float) -> int | None:
    """Return the number of further trainings that would probably settle a loss, with those of the yardsticks."""
    size = needed_size(judged, rules, power=power)
    if size is None:
        return None
    return (1 + len(rules.yardsticks)) * (size.trainings(rules.size) - judged.size.trainings(rules.size))


@dataclass(frozen=True, slots=True)
class Need:
    """How far an undecided loss has come, and how far it would have to come, in its own trainings.

    Attributes:
        loss: Its name.
        has: Its trainings so far.
        needs: The trainings at which it would probably be settled.
    """

    loss: str
    has: int
    needs: int


def needs_of(results: Results) -> list[Need]:
    """Return the needs of the undecided losses of a pooled study that some number of trainings would settle."""
    assert results.rounds is not None, "of a pooled study"
    paid_by = 1 + len(results.rounds.yardsticks)
    found = []
    for result in results.undecided:
        difference = result.difference
        if result.trainings_needed is None or difference is None:
            continue
        size = Size(searches=difference.num_searches or 1, blocks=difference.num_blocks or 0)
        has = size.trainings(results.num_trials)
        found.append(Need(result.loss, has, has + result.trainings_needed // paid_by))
    return found


def settled_by(needs: Sequence[Need], num_trainings: int, *, yardsticks: int, yardstick_has: int) -> list[str]:
    """Return the losses that this number of further trainings would probably settle, in the order in which it does.

    The rounds set aside what the trainings could not settle even if they were spent on one loss alone. They take all
    others as far as each other, until a loss is settled, and the yardsticks as far as the furthest of them.

    Args:
        needs: The needs of the undecided losses.
        num_trainings: The further trainings.
        yardsticks: Number of yardsticks, whose trainings all losses share.
        yardstick_has: Trainings of each yardstick so far.
    """

    def cost(going: Sequence[Need], target: int) -> int:
        own = sum(max(0, min(need.needs, target) - need.has) for need in going)
        return own + yardsticks * max(0, target - yardstick_has)

    within = [need for need in needs if cost([need], need.needs) <= num_trainings]
    within.sort(key=lambda need: need.needs)
    return [need.loss for need in within if cost(within, need.needs) <= num_trainings]


def bought_by(results: Results, num_trainings: int) -> list[str]:
    """Return the losses of a pooled study that this number of further trainings would probably settle."""
    assert results.rounds is not None, "of a pooled study"
    size = Size(searches=results.num_searches, blocks=results.num_blocks)
    return settled_by(
        needs_of(results),
        num_trainings,
        yardsticks=len(results.rounds.yardsticks),
        yardstick_has=size.trainings(results.num_trials),
    )
