"""Trainings that diverged or failed, grouped by cause."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
