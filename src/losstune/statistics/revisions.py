"""Comparison of two revisions of a study, each with its own searches.

As in :mod:`losstune.statistics.replication`, the search is the unit of replication. There, losses of one study are
compared, and what they share in a search's blocks cancels. Here one loss is compared with itself at another revision,
and what all losses of a revision share is part of the difference.

Shape suffixes: L losses; S searches; B blocks, in turn: block b belongs to search b modulo S.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from losstune.statistics.paired import Array, finite
from losstune.statistics.replication import OUTLIER_LEVEL, SearchError

_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class MeanError:
    """The error of a mean over searches.

    Attributes:
        standard_error: Standard error of the mean.
        freedom: Its degrees of freedom.
    """

    standard_error: float
    freedom: float


def search_means(scores_B: ArrayLike, num_searches: int) -> Array:
    """Return each search's mean (S,) over its blocks.

    Raises:
        ValueError: If a search has no block.
    """
    scores_B = finite(scores_B)
    if scores_B.size < num_searches:
        raise ValueError(f"{num_searches} searches need as many blocks, found {scores_B.size}")
    return np.array([scores_B[search::num_searches].mean() for search in range(num_searches)])


def effective_searches(num_blocks: int, num_searches: int) -> float:
    """Return the effective number of equally weighted searches of a mean over blocks: ``B^2 / sum_s B_s^2``."""
    sizes = [len(range(search, num_blocks, num_searches)) for search in range(num_searches)]
    return num_blocks**2 / sum(size**2 for size in sizes)


def revision_errors(scores: Sequence[ArrayLike], num_searches: int) -> list[MeanError]:
    """Estimate the error of each loss's mean over its blocks, including the variation between searches.

    A block's value is ``x_lb = loss_l + luck_ls + block_b + own_lb``, where luck_ls is the random effect of a search:
    the losses of a study are searched independently, but share their blocks' seeds. The mean square of the interaction
    of losses and searches, with ``(L - 1)(S - 1)`` degrees of freedom, estimates the variance of `luck` plus that of
    `own` averaged over a search's blocks. Effects that all losses share cancel in it and are added separately: the
    variance within searches of the blocks' means over the losses, with ``B - S`` degrees of freedom. So

        ``standard_error^2 = MS_own / S + s_shared^2 / B``.

    This is slightly too large for few losses, because s_shared^2 also contains 1/L of `own`. The degrees of freedom are
    the smaller of the two. Satterthwaite's formula weights them by the estimates: if the less certain part dominates
    but is small by chance, its false-positive rate is up to three times the nominal one (with two losses). With a
    single loss, or a single block per search, the two parts cannot be separated: then the error is the variance of the
    searches' means with S - 1 degrees of freedom.

    A loss whose searches vary far more than the others' would get too small a pooled error, and would inflate the
    others'. Outward testing separates such outliers, up to a third of the losses, as
    :func:`losstune.statistics.search_errors` does; the error of an outlier uses only its own searches.

    Args:
        scores: For each loss, a value for each block: paired differences between the revisions, or one revision's
            scores. Losses may differ in the number of blocks; the first blocks, which all have, give the variances.
        num_searches: S, at least 2.

    Raises:
        ValueError: If there is no loss, there are fewer than two searches, a search has no block, or a value is not
            finite.
    """
    if not scores or num_searches < 2:
        raise ValueError(f"expected losses and 2 searches or more, found {len(scores)} and {num_searches}")
    rows = [finite(row) for row in scores]
    num_blocks = min(row.size for row in rows)
    blocks_LB = np.stack([row[:num_blocks] for row in rows])
    layout = np.stack([search_means(row, num_searches) for row in blocks_LB])
    apart = _set_apart(layout)
    alike = [row for row in range(len(rows)) if row not in apart]
    own = _interaction(layout[alike])
    shared = _shared(blocks_LB[alike], num_searches)
    errors = []
    for number, row in enumerate(rows):
        searches = effective_searches(row.size, num_searches)
        if own is None or shared is None or number in apart:
            variance = float(layout[number].var(ddof=1))
            errors.append(MeanError(math.sqrt(variance / searches), num_searches - 1))
        else:
            variance = own.variance / searches + shared.variance / row.size
            errors.append(MeanError(math.sqrt(variance), min(own.freedom, shared.freedom)))
    return errors


def sum_of_errors(first: MeanError, second: MeanError) -> MeanError:
    """Return the error of a difference of two independent means, with Welch's degrees of freedom."""
    squares = first.standard_error**2, second.standard_error**2
    variance = sum(squares)
    if variance <= _ROUNDING**2:
        return MeanError(0.0, first.freedom + second.freedom)
    below = squares[0] ** 2 / first.freedom + squares[1] ** 2 / second.freedom
    return MeanError(math.sqrt(variance), variance**2 / below if below > 0.0 else math.inf)


def block_error(scores_B: ArrayLike) -> MeanError:
    """Return the error of a mean over blocks, ``s / sqrt(B)``.

    The :func:`sum_of_errors` of two is that of Welch's t-test, as in ``scipy.stats.ttest_ind(equal_var=False)``.

    Raises:
        ValueError: If there are fewer than 2 blocks, or a value is not finite.
    """
    values_B = finite(scores_B)
    if values_B.size < 2:
        raise ValueError("a comparison needs at least 2 blocks a revision, found 1")
    return MeanError(float(values_B.std(ddof=1)) / math.sqrt(values_B.size), values_B.size - 1)


def t_p_value(mean: float, error: MeanError) -> float:
    """Return the two-sided p-value of a mean by Student's t test; with a zero error, 1 for a zero mean, else 0."""
    if error.standard_error <= _ROUNDING:
        return 1.0 if abs(mean) <= _ROUNDING else 0.0
    return float(2.0 * scipy.stats.t.sf(abs(mean) / error.standard_error, error.freedom))


def t_interval(mean: float, error: MeanError, *, confidence: float) -> tuple[float, float]:
    """Return the interval of all means that :func:`t_p_value` does not reject at 1 - confidence."""
    reach = float(scipy.stats.t.ppf(0.5 + confidence / 2.0, error.freedom)) * error.standard_error
    return mean - reach, mean + reach


def _interaction(layout: Array) -> SearchError | None:
    freedom = (layout.shape[0] - 1) * (layout.shape[1] - 1)
    return SearchError(float((_residuals(layout) ** 2).sum()) / freedom, freedom) if freedom else None


def _shared(blocks_LB: Array, num_searches: int) -> SearchError | None:
    """Return the variance, within searches, of a block's mean over the losses."""
    mean_B = blocks_LB.mean(0)
    freedom = mean_B.size - num_searches
    if freedom < 1:
        return None
    parts = [mean_B[search::num_searches] for search in range(num_searches)]
    return SearchError(sum(float(((part - part.mean()) ** 2).sum()) for part in parts) / freedom, freedom)


def _residuals(layout: Array) -> Array:
    rows, columns = layout.mean(1, keepdims=True), layout.mean(0, keepdims=True)
    return np.asarray(layout - rows - columns + layout.mean())


def _set_apart(layout: Array) -> set[int]:
    """Return the outlier rows, whose interaction varies far more than the others'."""
    num_losses, num_searches = layout.shape
    rows, taken, num_apart = list(range(num_losses)), [], 0
    for _ in range(num_losses // 3):
        squares = (_residuals(layout[rows]) ** 2).sum(1)
        # Removing one of n rows reduces the interaction's sum of squares by n/(n-1) times the row's part.
        extra = squares * len(rows) / (len(rows) - 1)
        worst = int(np.argmax(extra))
        freedom = (len(rows) - 2) * (num_searches - 1)
        rest = max((float(squares.sum()) - float(extra[worst])) / freedom, _ROUNDING**2)
        ratio = float(extra[worst]) / (num_searches - 1) / rest
        taken.append(rows.pop(worst))
        if scipy.stats.f.sf(ratio, num_searches - 1, freedom) * (len(rows) + 1) < OUTLIER_LEVEL:
            num_apart = len(taken)
    return set(taken[:num_apart])
