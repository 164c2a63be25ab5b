"""Trainings that diverged or failed, grouped by cause."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from losstune.core.metric import Metric
from losstune.core.records import Record

_EPOCH = re.compile(r" in epoch \d+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Trainings of a loss that diverged or failed with the same cause.

    Attributes:
        loss: Its name.
        status: ``"diverged"`` or ``"failed"``.
        cause: The cause in one line, without the epoch.
        num_trials: Number of trials.
        num_blocks: Number of blocks, including controls.
    """

    loss: str
    status: str
    cause: str
    num_trials: int
    num_blocks: int


def has_failed(record: Record) -> bool:
    """Return whether a training diverged or failed."""
    return record.status in ("diverged", "failed")


def worst_score(trials: Iterable[Record], metric: Metric) -> float | None:
    """Return the score with which diverged and failed trainings count.

    It is the metric's worst value. A metric such as a cost has none, and a mean with an infinite score says nothing.
    Then it is the worst validation score of the search, over all trials and epochs, which is known before the test
    split is read. None if no trial has a score.
    """
    if math.isfinite(metric.worst):
        return metric.worst
    scores = [epoch.validation[metric.name] for record in trials for epoch in record.curve]
    return metric.sign * min(metric.sign * score for score in scores) if scores else None


def with_worst(records: Iterable[Record], metric: str, worst: float | None) -> list[Record]:
    """Return the records with this score of the metric in place of an infinite one."""

    def replaced(scores: dict[str, float] | None) -> dict[str, float] | None:
        is_infinite = scores is not None and math.isinf(scores.get(metric, 0.0))
        return {**scores, metric: worst} if scores is not None and is_infinite and worst is not None else scores

    return [
        record.model_copy(update={"validation": replaced(record.validation), "test": replaced(record.test)})
        if has_failed(record)
        else record
        for record in records
    ]


def failures_of(trials: Sequence[Record], blocks: Sequence[Record]) -> list[Failures]:
    """Return the diverged and failed trainings by cause: failed ones first, then by number.

    Args:
        trials: Records of the search.
        blocks: Records of the confirmation, including controls.
    """
    of_trials, of_blocks = _counted(trials), _counted(blocks)
    found = [
        Failures(
            loss=loss,
            status=status,
            cause=cause,
            num_trials=of_trials[loss, status, cause],
            num_blocks=of_blocks[loss, status, cause],
        )
        for loss, status, cause in of_trials | of_blocks
    ]
    return sorted(
        found, key=lambda item: (item.status != "failed", -(item.num_trials + item.num_blocks), item.loss, item.cause)
    )


def _counted(records: Iterable[Record]) -> Counter[tuple[str, str, str]]:
    return Counter(
        (record.configuration.loss, record.status, _EPOCH.sub("", record.cause or "no cause recorded"))
        for record in records
        if has_failed(record)
    )
