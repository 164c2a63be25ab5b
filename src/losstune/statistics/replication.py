"""Comparison of losses over independent searches: the search is the unit of replication.

A search ends at one configuration, by luck or not, and every block that retrains it shares that luck. Blocks of one
search are therefore subsamples. Whether a difference is more than luck is judged by how much the searches of one loss
differ, beyond what all losses share in a search's blocks.

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
"""Chance that losses which vary alike have one set apart from the rest."""
_ROUNDING = 1e-12
_MOST_SEARCHES = 100_000


@dataclass(frozen=True, slots=True)
class SearchError:
    """How uncertain a loss's score is beyond what its blocks tell.

    Attributes:
        variance: Of one search's mean score: the luck of the search, and what its blocks leave of the seeds'.
        freedom: Degrees of freedom of the estimate.
    """

    variance: float
    freedom: float


def search_errors(differences_LS: ArrayLike) -> list[SearchError]:
    """Estimate, for each loss, the error of a comparison with the baseline.

    In the two-way layout of losses (the baseline among them) by searches, ``x_ls = mu + loss_l + blocks_s + own_ls``,
    the mean square of the interaction, ``sum_ls (x_ls - x_l. - x_.s + x_..)^2 / (L (S - 1))``, is unbiased for
    the variance of `own`, and has its denominator as degrees of freedom. A search's luck cannot be told from its
    blocks' here, and need not be.

    Losses whose searches differ far more than the others' would blur every comparison. They are set apart by outward
    testing: the loss with the largest share of the interaction is taken out, and the next, up to a third of them;
    each time the extra sum of squares is held against the rest's by an F test with S - 1 and the rest's degrees of
    freedom at ``OUTLIER_LEVEL / L``; all up to the last that is significant are set apart. A loss that is set apart has
    an error of its own, the mean of its variance about the others' mean and of their pooled one, with Satterthwaite's
    degrees of freedom. The baseline takes part in every comparison and is never set apart.

    Args:
        differences_LS: Mean score of each loss in the blocks of each search, minus the baseline's in the same blocks.

    Returns:
        One for each loss, in order.

    Raises:
        ValueError: If there is no loss, or fewer than two searches, or a value is not finite.

    Source:
        Montgomery, *Design and analysis of experiments*, randomised blocks with subsampling; Rosner 1983, *Percentage
        points for a generalized ESD many-outlier procedure* (the order of testing).
    """
    differences_LS = np.asarray(differences_LS, dtype=np.float64)
    if differences_LS.ndim != 2 or differences_LS.shape[0] < 1 or differences_LS.shape[1] < 2:
        raise ValueError(
            f"expected differences (L, S) with S of 2 or more, found shape {differences_LS.shape}"
        )
    if not np.isfinite(differences_LS).all():
        raise ValueError("expected finite differences")
    num_losses, num_searches = differences_LS.shape
    # The baseline's own row: its difference from itself.
    layout = np.vstack([np.zeros(num_searches), differences_LS])
    apart = _set_apart(layout)
    alike = [row for row in range(num_losses + 1) if row not in apart]
    pooled, centre = _interaction(layout[alike]), layout[alike].mean(0)
    return [
        _own(layout[row] - centre, pooled) if row in apart else pooled for row in range(1, num_losses + 1)
    ]


def search_p_value(mean: float, error: SearchError, num_searches: float) -> float:
    """Return the two-sided p-value of a difference of `mean`: t = mean / sqrt(2 variance / S).

    S need not be whole: where the searches have different weights w in the mean, it is 1 / sum_s w_s^2.

    Source:
        Student's t test on the interaction's mean square, as Dunnett's for treatments against a control in blocks.
    """
    spread = _spread(error, num_searches)
    if spread <= _ROUNDING:
        return 1.0 if abs(mean) <= _ROUNDING else 0.0
    return float(2.0 * scipy.stats.t.sf(abs(mean) / spread, error.freedom))


def search_interval(
    mean: float, error: SearchError, num_searches: float, *, confidence: float
) -> tuple[float, float]:
    """Return the interval of all differences that :func:`search_p_value` does not reject at 1 - confidence."""
    reach = float(scipy.stats.t.ppf(0.5 + confidence / 2.0, error.freedom)) * _spread(error, num_searches)
    return mean - reach, mean + reach


def searches_to_differ(
    mean: float, error: SearchError, num_searches: int, *, alpha: float, power: float
) -> float:
    """Return how many searches in all show a true difference of `mean` by :func:`search_p_value`.

    The smallest S with ``P(t > t_{1-alpha/2}) >= power`` for the noncentral t whose centre is ``mean / sqrt(2
    variance / S)``; the degrees of freedom grow with S - 1. Infinite where `mean` is zero.
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
    """Return how many searches in all show that a true difference of `mean` lies within the ROPE.

    Two one-sided t tests at `alpha`; the chance that both reject is at least the sum of theirs minus one, and that is
    what reaches `power`. Infinite where `mean` lies outside the ROPE.
    """

    def shows(searches: int) -> bool:
        freedom, spread = _freedom_of(error, num_searches, searches), _spread(error, searches)
        limit = scipy.stats.t.isf(alpha, freedom)
        chances = [
            scipy.stats.nct.sf(limit, freedom, margin / spread) for margin in (rope - mean, rope + mean)
        ]
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
    """Return the rows, never the first, whose own part varies far more than the others'."""
    num_losses, num_searches = layout.shape[0] - 1, layout.shape[1]
    rows, taken, num_apart = list(range(num_losses + 1)), [], 0
    for _ in range(num_losses // 3):
        squares = (_residuals(layout[rows]) ** 2).sum(1)
        # Without a row the interaction is smaller by n/(n-1) times that row's share, n the number of rows.
        extra = squares * len(rows) / (len(rows) - 1)
        worst = 1 + int(np.argmax(extra[1:]))
        freedom = (len(rows) - 2) * (num_searches - 1)
        rest = max((float(squares.sum()) - float(extra[worst])) / freedom, _ROUNDING**2)
        ratio = float(extra[worst]) / (num_searches - 1) / rest
        taken.append(rows.pop(worst))
        if scipy.stats.f.sf(ratio, num_searches - 1, freedom) * len(rows) < OUTLIER_LEVEL:
            num_apart = len(taken)
    return set(taken[:num_apart])
