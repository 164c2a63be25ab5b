"""The training cost of each loss, from the durations of its trainings.

Times differ between runs, so ``results.json`` has none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from losstune.core.records import Execution, Record
from losstune.verdict.failures import has_failed
from losstune.verdict.results import Results


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of one loss.

    Minutes are core-minutes or, on a GPU, minutes of a training that may have shared the GPU. A training from the
    ledger counts with its original time.

    Attributes:
        loss: Its name.
        num_trainings: Number of trainings in search and confirmation, without controls.
        mean_sec: Mean duration of a finished block; None if no duration is known.
        sd_sec: Sample standard deviation of these durations; None for fewer than two.
        relative: Median duration of these blocks divided by the baseline's; None if either is not known. Medians,
            because the first training of a worker is slow and would shift a mean.
        search_min: Minutes of all trials.
        confirm_min: Minutes of all blocks.
        share_failed: Fraction of all trainings that diverged or failed, 0 to 1.
    """

    loss: str
    num_trainings: int
    mean_sec: float | None
    sd_sec: float | None
    relative: float | None
    search_min: float
    confirm_min: float
    share_failed: float


def costs_of(
    results: Results, tune_records: Iterable[Record], confirm_records: Iterable[Record], executions: Iterable[Execution]
) -> list[Cost]:
    """Return the cost of every loss, in the order of the results.

    Args:
        results: Results with the losses and the baseline.
        tune_records: Records of the search.
        confirm_records: Records of the confirmation.
        executions: Executions of both, in any order.
    """
    seconds = {execution.key: execution.duration_sec for execution in executions}
    trainings: dict[str, tuple[list[Record], list[Record]]] = {loss.loss: ([], []) for loss in results.losses}
    for place, role, records in ((0, "trial", tune_records), (1, "block", confirm_records)):
        for record in records:
            if record.role == role and record.configuration.loss in trainings:
                trainings[record.configuration.loss][place].append(record)
    durations = {
        loss: [seconds[r.key] for r in blocks if r.status == "finished" and r.key in seconds]
        for loss, (_, blocks) in trainings.items()
    }
    reference = _median(durations[results.baseline])
    return [
        _cost(loss, trials, blocks, durations[loss], reference, seconds) for loss, (trials, blocks) in trainings.items()
    ]


def _cost(
    loss: str,
    trials: Sequence[Record],
    blocks: Sequence[Record],
    durations: Sequence[float],
    reference: float | None,
    seconds: dict[str, float],
) -> Cost:
    median = _median(durations)
    num_trainings = len(trials) + len(blocks)
    num_failed = sum(has_failed(record) for record in (*trials, *blocks))
    return Cost(
        loss=loss,
        num_trainings=num_trainings,
        mean_sec=fmean(durations) if durations else None,
        sd_sec=float(np.std(durations, ddof=1)) if len(durations) > 1 else None,
        relative=median / reference if median is not None and reference else None,
        search_min=math.fsum(seconds.get(record.key, 0.0) for record in trials) / 60.0,
        confirm_min=math.fsum(seconds.get(record.key, 0.0) for record in blocks) / 60.0,
        share_failed=num_failed / num_trainings if num_trainings else 0.0,
    )


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None
