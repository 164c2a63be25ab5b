"""Search ranges narrowed by past winners: the same rule for every loss that has enough of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from losstune.advice.records import Data, PastVerdict
from losstune.advice.similarity import LIKE, similarity
from losstune.losses.ranges import FloatRange
from losstune.losses.registry import registry
from losstune.study.search import Space

FEWEST_STUDIES = 3
"""With winners of fewer similar studies, a loss keeps its ranges."""

CENTRAL = (0.1, 0.9)
"""The quantiles of the winners that a range spans before it is widened."""

WIDER_LOG = math.sqrt(10)
"""Factor by which a logarithmic range is widened on each side, so that it spans a factor of ten at least."""

WIDER_LINEAR = 0.125
"""Part of a linear range by which it is widened on each side, so that a quarter of it is left at least."""


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A range that past winners narrowed.

    Attributes:
        loss: The loss.
        name: The hyperparameter.
        searched: The range that is searched.
        before: The range before.
        num_studies: Studies whose winners it comes from.
    """

    loss: str
    name: str
    searched: FloatRange
    before: FloatRange
    num_studies: int


def narrowed(
    spaces: Mapping[str, Space], data: Data, optimizer: str, verdicts: Iterable[PastVerdict]
) -> tuple[dict[str, Space], list[Narrowed]]:
    """Narrow the search ranges of losses by their winners in similar studies.

    A study on the same data set never counts, also with other splits: its winners may have been selected on samples
    that are in this study's test split. So the ranges depend neither on the study's own results nor on its test split.
    Identical losses share their winners, so that an A/A control searches the same ranges as its twin. Defaults stay,
    and with them the first trial of a search.

    Args:
        spaces: Search space of each loss.
        data: Facts about the study's data.
        optimizer: The study's optimiser; winners of others say nothing about learning rates.
        verdicts: The database.

    Returns:
        The spaces, and a line for each range that changed.
    """
    winners: dict[str, list[PastVerdict]] = {}
    for one in verdicts:
        is_own = one.data.digest == data.digest or one.data.name == data.name
        if one.winner and one.optimizer == optimizer and not is_own and similarity(data, one.data) >= LIKE:
            winners.setdefault(_representative(one.loss), []).append(one)
    found, changes = {}, []
    for loss, space in spaces.items():
        lines = list(_of_loss(loss, space, winners.get(_representative(loss), [])))
        found[loss] = replace(space, ranges=space.ranges | {line.name: line.searched for line in lines})
        changes += lines
    return found, changes


def _representative(loss: str) -> str:
    """Return the loss that stands for this one and all that are identical to it."""
    spec = registry().get(loss)
    return spec.equals or loss if spec else loss


def _of_loss(loss: str, space: Space, verdicts: Sequence[PastVerdict]) -> Iterable[Narrowed]:
    for name, span in space.ranges.items():
        if not isinstance(span, FloatRange) or name in space.settings:
            continue
        won = [(one.protocol, value) for one in verdicts if (value := _value(one, name)) is not None]
        num_studies = len({protocol for protocol, _ in won})
        if num_studies < FEWEST_STUDIES:
            continue
        searched = narrowed_range(span, [value for _, value in won])
        if searched != span:
            yield Narrowed(loss, name, searched, span, num_studies)


def _value(verdict: PastVerdict, name: str) -> float | None:
    winner = verdict.winner
    assert winner is not None
    shared = {"learning_rate": winner.learning_rate, "weight_decay": winner.weight_decay}
    return {**winner.hyperparameters, **shared}.get(name)


def narrowed_range(span: FloatRange, values: Sequence[float]) -> FloatRange:
    """Return the part of a range that spans the central 80% of past winners, widened, with three significant digits.

    Args:
        span: The range.
        values: The winners' values; those outside count as its nearest bound.
    """
    inside = np.clip(values, span.low, span.high)
    is_log = span.scale == "log"
    low, high = np.quantile(np.log(inside) if is_log else inside, CENTRAL)
    start, end = (math.log(span.low), math.log(span.high)) if is_log else (span.low, span.high)
    step = math.log(WIDER_LOG) if is_log else WIDER_LINEAR * (end - start)
    width = high - low + 2 * step
    if width >= end - start:
        return span
    # At a bound, the range moves inwards and keeps its width.
    left = min(max(low - step, start), end - width)
    bounds = (math.exp(left), math.exp(left + width)) if is_log else (left, left + width)
    low, high = (min(max(float(f"{bound:.3g}"), span.low), span.high) for bound in bounds)
    return replace(span, low=low, high=high)
