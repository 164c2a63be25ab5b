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
    """How uncertain a mean over searches is.

    Attributes:
        standard_error: Of the mean.
        freedom: Degrees of freedom of it.
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
    """Return how many searches of equal weight a mean over the blocks is worth: ``B^2 / sum_s B_s^2``."""
    sizes = [len(range(search, num_blocks, num_searches)) for search in range(num_searches)]
    return num_blocks**2 / sum(size**2 for size in sizes)


def revision_errors(scores: Sequence[ArrayLike], num_searches: int) -> list[MeanError]:
    """Estimate the error of each loss's mean over its blocks, the luck of its searches included.

    A block's value is ``x_lb = loss_l + luck_ls + block_b + own_lb``: the losses of a study are searched
    independently of each other, but share their blocks' seeds. The mean square of the interaction of losses and
    searches, with ``(L - 1)(S - 1)`` degrees of freedom, is the variance of one search's luck and of what its blocks
    leave of `own`. What the losses share cancels in it and is added: the variance of the blocks' means over the losses
    within searches, with ``B - S`` degrees of freedom. So

        ``standard_error^2 = MS_own / S + s_shared^2 / B``,

    a little too large for few losses, as s_shared^2 holds 1/L of `own`, too. Its degrees of freedom are the fewer ones
    of the two: Satterthwaite's weigh them by estimates, and where the less certain part, small by chance, is the one
    that matters, they find differences of nothing up to three times too often (at two losses). With a single loss, or
    a single block a search, nothing tells the two parts apart: then it is the variance of the searches' means with
    S - 1 degrees of freedom.

    A loss whose searches differ far more than the others' would get too small a pooled error, and blur
    theirs. Outward testing sets such losses apart, up to a third of them, as :func:`losstune.statistics.search_errors`
    does; each then has the variance of its own searches alone.

    Args:
        scores: For each loss, a value for each block: paired differences between the revisions, or one revision's
            scores. Losses may differ in blocks, which count from the first; as many as all have tell the variances.
        num_searches: S, at least 2.

    Raises:
        ValueError: If there is no loss, or fewer than two searches, or a search has no block, or a value is not
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
    return MeanError(math.sqrt(variance), variance**2 / below)


def welch_error(scores_B: ArrayLike, others_B: ArrayLike) -> MeanError:
    """Return the error of a difference of two means over blocks that are not paired, with Welch's degrees of freedom.

    ``sqrt(s_1^2 / B_1 + s_2^2 / B_2)``. It is the error of ``scipy.stats.ttest_ind(equal_var=False)``.

    Raises:
        ValueError: If either has fewer than 2 blocks, or holds a value that is not finite.
    """
    errors = []
    for values_B in (finite(scores_B), finite(others_B)):
        if values_B.size < 2:
            raise ValueError("a comparison needs at least 2 blocks a revision, found 1")
        errors.append(MeanError(float(values_B.std(ddof=1)) / math.sqrt(values_B.size), values_B.size - 1))
    return sum_of_errors(*errors)


def t_p_value(mean: float, error: MeanError) -> float:
    """Return the two-sided p-value of a mean by Student's t test; without any spread, 1 for zero and else 0."""
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
    """Return the variance of a block's mean over the losses within its search."""
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
    """Return the rows whose own part varies far more than the others'."""
    num_losses, num_searches = layout.shape
    rows, taken, num_apart = list(range(num_losses)), [], 0
    for _ in range(num_losses // 3):
        squares = (_residuals(layout[rows]) ** 2).sum(1)
        # Without a row the interaction is smaller by n/(n-1) times that row's share, n the number of rows.
        extra = squares * len(rows) / (len(rows) - 1)
        worst = int(np.argmax(extra))
        freedom = (len(rows) - 2) * (num_searches - 1)
        rest = max((float(squares.sum()) - float(extra[worst])) / freedom, _ROUNDING**2)
        ratio = float(extra[worst]) / (num_searches - 1) / rest
        taken.append(rows.pop(worst))
        if scipy.stats.f.sf(ratio, num_searches - 1, freedom) * (len(rows) + 1) < OUTLIER_LEVEL:
            num_apart = len(taken)
    return set(taken[:num_apart])
