"""Select the winner of each search by its validation score. The training loss is not used."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean

from losstune.core.errors import LosstuneError
from losstune.core.metric import Metric
from losstune.core.records import Record


def rule(metric: Metric) -> str:
    """Return the rule of selection as the report states it. Its text is part of the registration."""
    best, better = ("lowest", "lower") if metric.minimize else ("highest", "higher")
    return (
        f"{best} final validation score among a search's finished trials; ties go to the {better} mean over all "
        "epochs, then to the lower trial number; a trial that was stopped early wins only where none finished, "
        "one that diverged or failed never"
    )


def select_winners(records: Iterable[Record], metric: Metric, num_searches: int) -> dict[str, tuple[Record, ...]]:
    """Select the winning trial of each search of each loss, see :func:`rule`.

    The mean over the curve breaks ties because a small validation split has few distinct scores. If two trials end with
    the same score, the one with the better mean depends less on chance in the last epoch.

    Args:
        records: The rows of the search; rows of other stages are ignored.
        metric: The validation metric.
        num_searches: Independent searches of each loss.

    Returns:
        The winning records of each loss in the order of its searches, sorted by loss. A loss is absent if all trials of
        one of its searches diverged or failed, because that search has no winner to confirm.

    Raises:
        LosstuneError: If a candidate lacks the metric.
    """
    winners: dict[tuple[str, int], Record] = {}
    for record in records:
        if record.stage != "tune" or record.status not in ("finished", "stopped"):
            continue
        if metric.name not in record.validation:
            raise LosstuneError(
                f"trial {record.number} of {record.configuration.loss} has no validation metric {metric.name!r} "
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


def best_of_searches(winners: Iterable[Record], metric: Metric) -> Record:
    """Return the best of a loss's winners on the validation split, by the same rule. It is the model to use."""
    return max(winners, key=lambda record: (*_rank(record, metric), -record.search))


def order_of(records: Sequence[Record], metric: Metric) -> list[int]:
    """Return the place of each trial in the order of selection over a pool, from 0; see :func:`rule`.

    Trials that diverged or failed come last. Of equal trials, the one of the earlier search comes first.
    """

    def key(place: int) -> tuple[bool, tuple[bool, float, float, int], int]:
        record = records[place]
        is_selectable = record.status in ("finished", "stopped")
        score = _rank(record, metric) if is_selectable else (False, 0.0, 0.0, -record.index)
        return is_selectable, score, -record.search

    order = sorted(range(len(records)), key=key, reverse=True)
    places = [0] * len(records)
    for place, position in enumerate(order):
        places[position] = place
    return places


def _rank(record: Record, metric: Metric) -> tuple[bool, float, float, int]:
    curve = [metric.sign * epoch.validation[metric.name] for epoch in record.curve]
    mean = fmean(curve) if curve else -math.inf
    return record.status == "finished", metric.sign * record.validation[metric.name], mean, -record.index
