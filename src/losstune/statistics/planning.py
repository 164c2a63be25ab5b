"""How many blocks a comparison needs, given the spread that was observed."""

from __future__ import annotations

import math

import scipy


def blocks_to_differ(mean: float, sd: float, *, alpha: float, power: float) -> float:
    """Return how many blocks in all show a true difference of `mean` by a two-sided test.

    ``n = ((z_{1-alpha/2} + z_{power}) sd / mean)^2 + z_{1-alpha/2}^2 / 2``, rounded up, and at least as many
    as the sign-flip test needs to reach `alpha` at all, ``log2(2 / alpha)``. The second term pays for a
    standard deviation that is estimated; without it, few blocks at a small level have half of the promised
    power. Infinite where `mean` is zero.

    Args:
        mean: The difference that is assumed to be true, the observed one usually.
        sd: Standard deviation of the differences between blocks.
        alpha: Level of the test, after any correction for multiplicity.
        power: Probability of showing it.

    Source:
        Guenther 1981, *Sample size formulas for normal theory t tests*.
    """
    if mean == 0.0:
        return math.inf
    z_level, z_power = _z(1.0 - alpha / 2.0), _z(power)
    planned = ((z_level + z_power) * sd / mean) ** 2 + z_level**2 / 2.0
    return max(math.ceil(planned), math.ceil(math.log2(2.0 / alpha)))


def blocks_to_match(mean: float, sd: float, *, rope: float, alpha: float, power: float) -> float:
    """Return how many blocks in all show that a true difference of `mean` lies within the ROPE.

    Two one-sided tests at level `alpha` (TOST): ``n = ((z_{1-alpha} + z_{power}) sd / (rope - |mean|))^2 +
    z_{1-alpha}^2 / 2``, with ``z_{(1+power)/2}`` in place of ``z_{power}`` where `mean` is zero and both
    bounds are equally near (Julious 2004); rounded up, and at least ``log2(1 / alpha)``. Infinite where
    `mean` lies outside the ROPE.
    """
    margin = rope - abs(mean)
    if margin <= 0.0:
        return math.inf
    z_level, z_power = _z(1.0 - alpha), _z((1.0 + power) / 2.0 if mean == 0.0 else power)
    planned = ((z_level + z_power) * sd / margin) ** 2 + z_level**2 / 2.0
    return max(math.ceil(planned), math.ceil(math.log2(1.0 / alpha)))


def _z(probability: float) -> float:
    return float(scipy.stats.norm.ppf(probability))
