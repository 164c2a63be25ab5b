"""Scores and differences with their intervals, as in ``results.json``."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

from pydantic import PlainSerializer

from losstune.verdict.sparse import SparseRow


def _strict(value: float) -> float | str:
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


Real = Annotated[float, PlainSerializer(_strict, when_used="json")]
"""A number that may be infinite, such as the NLL of a diverged block, or a bound from too few blocks. JSON
has no infinity, so it is written as text and read back as a number."""


class Score(SparseRow):
    """A mean over blocks, or the expected result of a search. The bounds are None if a block's value is infinite.

    Attributes:
        mean: The estimate.
        low: Lower bound of its interval at 1 - alpha.
        high: Upper bound of it.
        error: Standard error of an expected result, with that of the search. Of a pooled study, as the following field,
            which are not written otherwise.
        freedom: Its degrees of freedom; None if they are infinite.
    """

    not_written_if_empty: ClassVar = ("error", "freedom")

    mean: Real
    low: float | None
    high: float | None
    error: float | None = None
    freedom: float | None = None


class Difference(SparseRow):
    """The difference of two losses over the same blocks, see :class:`losstune.statistics.PairedDifference`.

    The fields of the searches are None for the positive control, which compares two configurations.

    Attributes:
        low: Lower bound of the interval at 1 - alpha that covers both the interval over blocks and that over searches.
        high: Upper bound of this interval.
        equivalence_low: Lower bound of the corresponding (1 - 2 alpha) interval.
        equivalence_high: Upper bound of this interval.
        p_value: The larger of `p_blocks` and `p_search`.
        p_blocks: P-value of the test over blocks, whether the configurations differ.
        p_search: P-value of the test over searches, whether the difference exceeds the variation between searches, see
            :func:`losstune.statistics.search_p_value`.
        p_holm: `p_value` after Holm's correction over all candidates; None for a loss that is no candidate.
        search_low: Lower bound of the interval over searches at 1 - alpha.
        search_high: Upper bound of this interval.
        search_sd: Standard deviation of the mean score of one search, due to the search and to the seeds of its blocks.
        search_freedom: Degrees of freedom of `search_sd`.
        search_error: Standard error that is due to the trials that the pools hold, as far as it is known. Of a pooled
            study, as the following fields, which are not written otherwise.
        seed_error: Standard error that is due to the seeds of the blocks.
        freedom: Degrees of freedom of both together; None if they are infinite.
        num_searches: Searches of each pool when the loss was judged.
        num_blocks: Blocks of each loss at that time.
        look: The look that judged it, from 0. Its intervals hold for all looks together; the first makes no claim.
    """

    not_written_if_empty: ClassVar = ("search_error", "seed_error", "freedom", "num_searches", "num_blocks", "look")

    mean: float
    median: float
    sd: float
    low: Real
    high: Real
    bca_low: float
    bca_high: float
    median_low: float
    median_high: float
    equivalence_low: Real
    equivalence_high: Real
    p_value: float
    p_blocks: float
    p_search: float | None = None
    p_holm: float | None = None
    p_wilcoxon: float
    probability_better: float
    probability_low: float
    probability_high: float
    effect_size: float | None
    search_low: float | None = None
    search_high: float | None = None
    search_sd: float | None = None
    search_freedom: float | None = None
    search_error: float | None = None
    seed_error: float | None = None
    freedom: float | None = None
    num_searches: int | None = None
    num_blocks: int | None = None
    look: int | None = None
