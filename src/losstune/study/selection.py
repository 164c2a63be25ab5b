"""Select the winner of each search by its validation score. The training loss is not used."""

from __future__ import annotations

import math
from collections.abc import Iterable

from losstune.core.errors import LosstuneError
from losstune.core.records import Record

RULE = (
    "highest final validation score among a search's finished trials; ties go to the higher mean over all "
    "epochs, then to the lower trial number; a trial that was stopped early wins only where none finished, "
    "one that diverged or failed never"
)
"""The rule in words, as the report states it."""


def select_winners(
    records: Iterable[Record], metric: str, num_searches: int
) -> dict[str, tuple[Record, ...]]:
    """Pick the winning trial of each of every loss's searches, see :data:`RULE`.

    The mean over the curve breaks ties because a small validation split has few distinct scores: of two
    trials that end equal, the one that was good for longer owes less to the last epoch's luck.

    Args:
        records: The rows of the search; rows of another stage are passed over.
        metric: Name of the validation metric, higher is better.
        num_searches: Independent searches of each loss.

    Returns:
        Loss to the searches' winning records in order, sorted by loss. A loss with a search all of whose trials
        diverged or failed is absent: such a search has nothing that could be confirmed.

    Raises:
        LosstuneError: If a candidate has no such metric.
    """
    winners: dict[tuple[str, int], Record] = {}
    for record in records:
        if record.stage != "tune" or record.status not in ("finished", "stopped"):
            continue
        if metric not in record.validation:
            raise LosstuneError(
                f"trial {record.number} of {record.configuration.loss} has no validation metric {metric!r} "
                f"(it has {', '.join(sorted(record.validation)) or 'none'})"
            )
        search = record.configuration.loss, record.search
        if search not in winners or _rank(record, metric) > _rank(winners[search], metric):
            winners[search] = record
    return {
        loss: tuple(winners[loss, search] for search in range(num_searches))
        for loss in sorted({loss for loss, _ in winners})
        if all((loss, search) in winners for search in range(num_searches))
    }


def best_of_searches(winners: Iterable[Record], metric: str) -> Record:
    """Return the one of a loss's winners that validation prefers, by the rule that chose them: the one to use."""
    return max(winners, key=lambda record: (*_rank(record, metric), -record.search))


def _rank(record: Record, metric: str) -> tuple[bool, float, float, int]:
    curve = [epoch.validation[metric] for epoch in record.curve]
    mean = math.fsum(curve) / len(curve) if curve else -math.inf
    return record.status == "finished", record.validation[metric], mean, -record.index
