"""How many blocks a comparison needs, given the spread that was observed, and what a comparison can show."""

from __future__ import annotations

import math

import scipy

_MOST_FREEDOM = 1e6
"""The normal distribution, for functions that do not take infinity."""


def blocks_to_differ(mean: float, sd: float, *, alpha: float, power: float) -> float:
    """Return the total number of blocks to show a true difference of `mean` by a two-sided test.

    ``n = ((z_{1-alpha/2} + z_{power}) sd / mean)^2 + z_{1-alpha/2}^2 / 2``, rounded up, and at least the number
    that the sign-flip test needs to reach `alpha`, ``log2(2 / alpha)``. The second term corrects for the estimated
    standard deviation; without it, few blocks at a small level have half the stated power. Infinite if `mean` is
    zero.

    Args:
        mean: The assumed true difference, usually the observed one.
        sd: Standard deviation of the differences between blocks.
        alpha: Level of the test, after any correction for multiplicity.
        power: Probability that the test rejects.

    Source:
        Guenther 1981, *Sample size formulas for normal theory t tests*.
    """
    if mean == 0.0:
        return math.inf
    z_level, z_power = normal_quantile(1.0 - alpha / 2.0), normal_quantile(power)
    planned = ((z_level + z_power) * sd / mean) ** 2 + z_level**2 / 2.0
    return max(math.ceil(planned), math.ceil(math.log2(2.0 / alpha)))


def blocks_to_match(mean: float, sd: float, *, rope: float, alpha: float, power: float) -> float:
    """Return the total number of blocks to show that a true difference of `mean` is within the ROPE.

    Two one-sided tests at level `alpha` (TOST): ``n = ((z_{1-alpha} + z_{power}) sd / (rope - |mean|))^2 +
    z_{1-alpha}^2 / 2``, with ``z_{(1+power)/2}`` in place of ``z_{power}`` if `mean` is zero, because both
    bounds are then equally close (Julious 2004); rounded up, and at least ``log2(1 / alpha)``. Infinite if `mean` is
    outside the ROPE.
    """
    margin = rope - abs(mean)
    if margin <= 0.0:
        return math.inf
    z_level, z_power = normal_quantile(1.0 - alpha), normal_quantile((1.0 + power) / 2.0 if mean == 0.0 else power)
    planned = ((z_level + z_power) * sd / margin) ** 2 + z_level**2 / 2.0
    return max(math.ceil(planned), math.ceil(math.log2(1.0 / alpha)))


def smallest_difference(error: float, freedom: float, *, alpha: float, power: float) -> float:
    """Return the smallest true difference that a two-sided t test finds with this power.

    With the standard error e and f degrees of freedom, t has a noncentral t distribution with the noncentrality
    ``difference / e``.

    Args:
        error: Standard error of the difference.
        freedom: Its degrees of freedom.
        alpha: Level of the test, after any correction for multiplicity.
        power: Probability that the test rejects with the right sign.

    Source:
        Johnson, Kotz, Balakrishnan 1995, *Continuous Univariate Distributions* 2, chapter 31.
    """
    freedom = min(freedom, _MOST_FREEDOM)
    critical = float(scipy.stats.t.ppf(1.0 - alpha / 2.0, freedom))
    # scipy solves P(t <= critical) = 1 - power for the noncentrality.
    return error * float(scipy.special.nctdtrinc(freedom, 1.0 - power, critical))


def smallest_margin(error: float, freedom: float, *, alpha: float, power: float) -> float:
    """Return the smallest margin within which two one-sided t tests show equivalence if the true difference is zero.

    Both tests reject if ``|d| <= margin - t e``, with t the quantile of order ``1 - alpha``. This has the probability
    `power` if the margin is about ``(t_{1-alpha} + t_{(1+power)/2}) e`` (Julious 2004).

    Args:
        error: Standard error of the difference.
        freedom: Its degrees of freedom.
        alpha: Level of each test.
        power: Probability that both reject.
    """
    freedom = min(freedom, _MOST_FREEDOM)
    level, reach = (float(scipy.stats.t.ppf(p, freedom)) for p in (1.0 - alpha, (1.0 + power) / 2.0))
    return error * (level + reach)


def normal_quantile(probability: float) -> float:
    """Return the quantile of the standard normal distribution."""
    return float(scipy.special.ndtri(probability))
