"""Scores and differences with their intervals, as in ``results.json``."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import PlainSerializer

from losstune.core.records import Row


def _strict(value: float) -> float | str:
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


Real = Annotated[float, PlainSerializer(_strict, when_used="json")]
"""A number that may be infinite: a diverged block's NLL, or a bound that too few blocks leave open. JSON has no
infinity, so it is written as text, which reads back as the number."""


class Score(Row):
    """A mean over blocks; the bounds are None where a block's value is infinite."""

    mean: Real
    low: float | None
    high: float | None


class Difference(Row):
    """A loss minus another over the same blocks, see :class:`losstune.statistics.PairedDifference`.

    The searches' part is None for the positive control, which is about two configurations.

    Attributes:
        low: Lower bound of the interval at 1 - alpha that spans that of the blocks and that of the searches.
        high: Upper bound of it.
        equivalence_low: Lower bound of the (1 - 2 alpha) interval, likewise.
        equivalence_high: Upper bound of it.
        p_value: The larger one of `p_blocks` and `p_search`.
        p_blocks: Of the test over blocks: that the configurations differ, whatever found them.
        p_search: Of the test over searches: that it is no luck of theirs, see
            :func:`losstune.statistics.search_p_value`.
        p_holm: `p_value` after Holm's correction over all candidates; None outside that family.
        search_low: Lower bound of the searches' own interval at 1 - alpha.
        search_high: Upper bound of it.
        search_sd: Standard deviation of one search's mean score, the luck of the search and of its blocks' seeds.
        search_freedom: Degrees of freedom of it.
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
