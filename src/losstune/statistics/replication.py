"""Comparison of losses over independent searches: the search is the unit of replication.

A search ends at one configuration, partly by chance, and all blocks that retrain it share that random effect. Blocks of
one search are therefore subsamples. The error of a difference is estimated from the variation between the searches of
one loss, beyond what all losses share in a search's blocks.

Shape suffixes: L losses, the baseline not among them; S searches.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from losstune.statistics.paired import Array

OUTLIER_LEVEL = 0.05
"""Probability that one of several losses with equal variance is wrongly treated as an outlier."""
_ROUNDING = 1e-12
_MOST_SEARCHES = 100_000


@dataclass(frozen=True, slots=True)
class SearchError:
    """The error of a loss's score between independent searches.

    Attributes:
        variance: Variance of one search's mean score: variation between searches plus the rest of the variation
            between seeds.
        freedom: Degrees of freedom of the estimate.
    """

    variance: float
    freedom: float


def search_errors(differences_LS: ArrayLike) -> list[SearchError]:
    """Estimate, for each loss, the error of a comparison with the baseline.

    In the two-way layout of losses (including the baseline) by searches, ``x_ls = mu + loss_l + blocks_s + own_ls``,
    the mean square of the interaction, ``sum_ls (x_ls - x_l. - x_.s + x_..)^2 / (L (S - 1))``, is unbiased for
    the variance of `own`; its denominator is the degrees of freedom. This does not separate the variation between
    searches from that between blocks, and need not.

    Losses whose searches vary far more than the others' would inflate the error of every comparison. Outward testing
    separates such outliers. It removes the loss with the largest contribution to the interaction, then the next, up to
    a third of the losses. Each time, an F test with S - 1 and the rest's degrees of freedom at ``OUTLIER_LEVEL / L``
    compares the removed sum of squares with the rest. All losses up to the last significant one are outliers. An
    outlier has a separate error: the mean of its variance about the others' mean and of their pooled variance, with
    Satterthwaite's degrees of freedom. The baseline is part of every comparison and never an outlier.

    Args:
        differences_LS: Mean score of each loss in the blocks of each search, minus the baseline's in the same blocks.

    Returns:
        One error per loss, in order.

    Raises:
        ValueError: If there is no loss, there are fewer than two searches, or a value is not finite.

    Source:
        Montgomery, *Design and analysis of experiments*, randomised blocks with subsampling; Rosner 1983, *Percentage
        points for a generalized ESD many-outlier procedure* (the order of testing).
    """
    differences_LS = np.asarray(differences_LS, dtype=np.float64)
    if differences_LS.ndim != 2 or differences_LS.shape[0] < 1 or differences_LS.shape[1] < 2:
        raise ValueError(f"expected differences (L, S) with S of 2 or more, found shape {differences_LS.shape}")
    if not np.isfinite(differences_LS).all():
        raise ValueError("expected finite differences")
    num_losses, num_searches = differences_LS.shape
    # The baseline's own row: its difference from itself.
    layout = np.vstack([np.zeros(num_searches), differences_LS])
    apart = _set_apart(layout)
    alike = [row for row in range(num_losses + 1) if row not in apart]
    pooled, centre = _interaction(layout[alike]), layout[alike].mean(0)
    return [_own(layout[row] - centre, pooled) if row in apart else pooled for row in range(1, num_losses + 1)]


def search_p_value(mean: float, error: SearchError, num_searches: float) -> float:
    """Return the two-sided p-value of a difference of `mean`: t = mean / sqrt(2 variance / S).

    S need not be an integer: if the searches have different weights w in the mean, S is 1 / sum_s w_s^2.

    Source:
        Student's t test on the interaction's mean square, like Dunnett's test of treatments against a control in
        blocks.
    """
    spread = _spread(error, num_searches)
    if spread <= _ROUNDING:
        return 1.0 if abs(mean) <= _ROUNDING else 0.0
    return float(2.0 * scipy.stats.t.sf(abs(mean) / spread, error.freedom))


def search_interval(mean: float, error: SearchError, num_searches: float, *, confidence: float) -> tuple[float, float]:
    """Return the interval of all differences that :func:`search_p_value` does not reject at 1 - confidence."""
    reach = float(scipy.stats.t.ppf(0.5 + confidence / 2.0, error.freedom)) * _spread(error, num_searches)
    return mean - reach, mean + reach


def searches_to_differ(mean: float, error: SearchError, num_searches: int, *, alpha: float, power: float) -> float:
    """Return the total number of searches to show a true difference of `mean` by :func:`search_p_value`.

    It is the smallest S with ``P(t > t_{1-alpha/2}) >= power`` for the noncentral t distribution with noncentrality
    ``mean / sqrt(2 variance / S)``; the degrees of freedom are proportional to S - 1. Infinite if `mean` is zero.
    """

    def shows(searches: int) -> bool:
        freedom = _freedom_of(error, num_searches, searches)
        limit = scipy.stats.t.isf(alpha / 2.0, freedom)
        return bool(scipy.stats.nct.sf(limit, freedom, abs(mean) / _spread(error, searches)) >= power)

    if abs(mean) <= _ROUNDING:
        return math.inf
    return _fewest(shows, error)


def searches_to_match(
    mean: float, error: SearchError, num_searches: int, *, rope: float, alpha: float, power: float
) -> float:
    """Return the total number of searches to show that a true difference of `mean` is within the ROPE.

    Two one-sided t tests at `alpha`. The probability that both reject is at least the sum of their powers minus one;
    this bound must reach `power`. Infinite if `mean` is outside the ROPE.
    """

    def shows(searches: int) -> bool:
        freedom, spread = _freedom_of(error, num_searches, searches), _spread(error, searches)
        limit = scipy.stats.t.isf(alpha, freedom)
        chances = [scipy.stats.nct.sf(limit, freedom, margin / spread) for margin in (rope - mean, rope + mean)]
        return bool(sum(chances) - 1.0 >= power)

    if abs(mean) >= rope:
        return math.inf
    return _fewest(shows, error)


def _fewest(shows: Callable[[int], bool], error: SearchError) -> float:
    if error.variance <= _ROUNDING**2:
        return 2
    low, high = 1, 2
    while not shows(high):
        low, high = high, 2 * high
        if high > _MOST_SEARCHES:
            return math.inf
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shows(middle) else (middle, high)
    return high


def _freedom_of(error: SearchError, num_searches: int, searches: int) -> float:
    return error.freedom / (num_searches - 1) * (searches - 1)


def _spread(error: SearchError, num_searches: float) -> float:
    return math.sqrt(2.0 * error.variance / num_searches)


def _interaction(layout: Array) -> SearchError:
    freedom = (layout.shape[0] - 1) * (layout.shape[1] - 1)
    return SearchError(float((_residuals(layout) ** 2).sum()) / freedom, freedom)


def _own(row: Array, pooled: SearchError) -> SearchError:
    own, others = float(row.var(ddof=1)), pooled.variance
    freedom = (own + others) ** 2 / (own**2 / (row.size - 1) + others**2 / pooled.freedom)
    return SearchError((own + others) / 2.0, freedom)


def _residuals(layout: Array) -> Array:
    rows, columns = layout.mean(1, keepdims=True), layout.mean(0, keepdims=True)
    return np.asarray(layout - rows - columns + layout.mean())


def _set_apart(layout: Array) -> set[int]:
    """Return the outlier rows, whose interaction varies far more than the others'; the first row is never one."""
    num_losses, num_searches = layout.shape[0] - 1, layout.shape[1]
    rows, taken, num_apart = list(range(num_losses + 1)), [], 0
    for _ in range(num_losses // 3):
        squares = (_residuals(layout[rows]) ** 2).sum(1)
        # Removing one of n rows reduces the interaction's sum of squares by n/(n-1) times the row's part.
        extra = squares * len(rows) / (len(rows) - 1)
        worst = 1 + int(np.argmax(extra[1:]))
        freedom = (len(rows) - 2) * (num_searches - 1)
        rest = max((float(squares.sum()) - float(extra[worst])) / freedom, _ROUNDING**2)
        ratio = float(extra[worst]) / (num_searches - 1) / rest
        taken.append(rows.pop(worst))
        if scipy.stats.f.sf(ratio, num_searches - 1, freedom) * len(rows) < OUTLIER_LEVEL:
            num_apart = len(taken)
    return set(taken[:num_apart])
