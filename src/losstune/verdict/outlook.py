"""What more trainings would buy: the size at which a loss would probably be settled."""

from __future__ import annotations

import math

import scipy

from losstune.verdict.course import Judged, RoundRules, Size
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
    strict = _z(1.0 - rules.alpha / (2.0 * max(len(rules.candidates), 1)))
    unlimited = rules.without_limits()
    while True:
        error = math.sqrt(
            judged.difference.search.value * judged.size.searches / size.searches
            + judged.difference.seed.value * judged.size.blocks / size.blocks
        )
        differs = difference >= (strict + _z(power)) * error
        matches = rules.rope - difference >= (_z(1.0 - rules.alpha) + _z((1.0 + power) / 2.0)) * error
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


def _z(probability: float) -> float:
    return float(scipy.special.ndtri(probability))
