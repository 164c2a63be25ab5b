"""How many blocks a comparison needs, given the spread that was observed, and what a comparison can show."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

_MOST_FREEDOM = 1e6
"""The normal distribution, for functions that do not take infinity."""
_SAME = 1e-9
"""Relative difference below which two solutions are the same."""


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


def smallest_difference(errors_D: ArrayLike, freedom_D: ArrayLike, *, alpha: float, power: float) -> float:
    """Return the smallest true difference that a two-sided t test finds with this power, averaged over comparisons.

    With the standard error e and f degrees of freedom, t has a noncentral t distribution with the noncentrality
    ``difference / e``. Comparisons whose errors differ have different power for the same difference. A promise for one
    of them, without knowing which, is the mean power. That of the median error is too high.

    Args:
        errors_D: Standard error of each comparison.
        freedom_D: Its degrees of freedom.
        alpha: Level of the test, after any correction for multiplicity.
        power: Probability that the test rejects with the right sign.

    Source:
        Johnson, Kotz, Balakrishnan 1995, *Continuous Univariate Distributions* 2, chapter 31.
    """
    error_D, freedom_D = np.asarray(errors_D, np.float64), np.minimum(freedom_D, _MOST_FREEDOM)
    critical_D = scipy.special.stdtrit(freedom_D, 1.0 - alpha / 2.0)
    # scipy solves P(t <= critical) = 1 - power for the noncentrality.
    alone_D = error_D * scipy.special.nctdtrinc(freedom_D, 1.0 - power, critical_D)

    def found(difference: float) -> float:
        missed_D = scipy.special.nctdtr(freedom_D, difference / error_D, critical_D)
        # Where the probability underflows, scipy returns NaN.
        return float(1.0 - np.nan_to_num(missed_D, nan=0.0).mean())

    return _root(found, alone_D, power)


def smallest_margin(errors_D: ArrayLike, freedom_D: ArrayLike, *, alpha: float, power: float) -> float:
    """Return the smallest margin within which two one-sided t tests show equivalence if the true difference is zero.

    Both tests reject if ``|d| <= margin - t e``, with t the quantile of order ``1 - alpha``. This has the probability
    `power` if the margin is about ``(t_{1-alpha} + t_{(1+power)/2}) e`` (Julious 2004), averaged over comparisons as in
    :func:`smallest_difference`.

    Args:
        errors_D: Standard error of each comparison.
        freedom_D: Its degrees of freedom.
        alpha: Level of each test.
        power: Probability that both reject.
    """
    error_D, freedom_D = np.asarray(errors_D, np.float64), np.minimum(freedom_D, _MOST_FREEDOM)
    level_D, reach_D = (scipy.special.stdtrit(freedom_D, p) for p in (1.0 - alpha, (1.0 + power) / 2.0))

    def shown(margin: float) -> float:
        return float(2.0 * scipy.special.stdtr(freedom_D, margin / error_D - level_D).mean() - 1.0)

    return _root(shown, error_D * (level_D + reach_D), power)


def _root(mean_power: Callable[[float], float], alone_D: NDArray[np.float64], power: float) -> float:
    """Return where the mean power is `power`: between the smallest and the largest value for a comparison alone."""
    low, high = float(alone_D.min()), float(alone_D.max())
    if high - low <= _SAME * high:
        return high
    return float(scipy.optimize.brentq(lambda value: mean_power(value) - power, low, high))


def normal_quantile(probability: float) -> float:
    """Return the quantile of the standard normal distribution."""
    return float(scipy.special.ndtri(probability))
