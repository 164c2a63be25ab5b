"""Scores and differences with their intervals, as in ``results.json``."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import PlainSerializer

from losstune.core.records import Row


def _strict(value: float) -> float | str:
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


Real = Annotated[float, PlainSerializer(_strict, when_used="json")]
"""A number that may be infinite, such as the NLL of a diverged block, or a bound from too few blocks. JSON
has no infinity, so it is written as text and read back as a number."""


class Score(Row):
    """A mean over blocks. The bounds are None if a block's value is infinite."""

    mean: Real
    low: float | None
    high: float | None


class Difference(Row):
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
    """

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
