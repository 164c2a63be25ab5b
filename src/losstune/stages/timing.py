"""Time a few trainings on this machine in the same way as a stage runs them. Their results are not kept."""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil

from losstune.core.errors import LosstuneError
from losstune.core.records import Entry
from losstune.stages import execute
from losstune.stages.interrupts import interruptible
from losstune.stages.study import Study, read_arrays
from losstune.study.cost import Timings, gaps
from losstune.study.jobs import Job, train_timed
from losstune.study.ledger import Ledger
from losstune.study.ledger_writer import LedgerWriter
from losstune.study.plan import FixedPlan
from losstune.training.task import Arrays, Task

LONG_SEC, SHORT_SEC = 12.0, 4.0
"""Seconds of training to measure a training, and to measure only start and end."""

FEWEST, MOST = 8, 16
"""Number of trainings to time; two per worker if that is more."""

TRIED_BATCHES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Result of the measurement.

    Attributes:
        timings: Durations, scaled to whole trainings.
        num: Number of trainings that were timed.
        passes: Number of passes of each over the training split.
    """

    timings: Timings
    num: int
    passes: float


def measure(
    study: Study, jobs: Sequence[Job], num_workers: int, known: Mapping[str, Sequence[float]] | None
) -> Measured:
    """Train a few jobs with the study's executor. Long jobs are shortened.

    Args:
        study: The study. Nothing in its folder is written, and the files of the test split are not opened.
        jobs: Its missing jobs, from which a spread-out selection is trained.
        num_workers: Number of trainings that run at the same time.
        known: Durations of whole trainings by loss, if known. Then only start and end are measured.

    Raises:
        LosstuneError: If all of them failed.
    """
    arrays = read_arrays(study, with_test=False)
    loaded_sec = time.time() - psutil.Process().create_time()  # a stage takes this time, too
    epochs, budget_sec = study.params.training.epochs, SHORT_SEC if known else LONG_SEC
    print(f"measuring on this machine: trainings for about {budget_sec:.0f} s; none is kept", file=sys.stderr)
    pass_sec = (
        float(np.median([sec for times in known.values() for sec in times])) / epochs
        if known
        else _pass_sec(jobs[0].task, arrays)
    )
    affordable = budget_sec * num_workers / max(pass_sec, 1e-9)  # passes
    fewest = max(FEWEST, 2 * num_workers)
    num = min(len(jobs), fewest if known else max(fewest, min(MOST, int(affordable / epochs))))
    chosen = [jobs[number * len(jobs) // num] for number in range(num)]
    passes = _passes(affordable / num, jobs[0].task, arrays)
    chosen = [replace(job, task=_shortened(job.task, passes)) for job in chosen]
    timed, start_and_end_sec = _train(study, chosen, _part(arrays, passes))
    seconds: dict[str, list[float]] = {}
    for job, entry in timed:
        if entry.record.status != "failed":
            loss = job.task.configuration.loss
            seconds.setdefault(loss, []).append(entry.execution.duration_sec * epochs / passes)
    if not seconds:
        cause = timed[0][1].record.cause if timed else "no worker trained"
        raise LosstuneError(f"cost: all {num} test trainings failed; the first: {cause}")
    between = gaps(_span(entry) for _, entry in timed)
    return Measured(
        timings=Timings(
            seconds=seconds,
            gap_sec=float(np.median(between)) if between else 0.0,
            fixed_sec=loaded_sec + start_and_end_sec,
        ),
        num=num,
        passes=passes,
    )


def _train(study: Study, jobs: Sequence[Job], arrays: Arrays) -> tuple[list[tuple[Job, Entry]], float]:
    """Return the result of each job, and the seconds before the first and after the last."""
    timed: list[tuple[Job, Entry]] = []
    with tempfile.TemporaryDirectory(prefix="losstune-cost-") as temp, interruptible():
        plan = FixedPlan(jobs, Ledger(Path(temp)))

        def finished(job: Job, entry: Entry) -> None:
            timed.append((job, entry))
            plan.finish(entry)

        start = time.time()
        execute.train_plan(study, plan, arrays, None, LedgerWriter(Path(temp), None), finished)
        end = time.time()
    spans = [_span(entry) for _, entry in timed]
    first, last = min((span[0] for span in spans), default=end), max((span[1] for span in spans), default=end)
    return timed, first - start + end - last


def _span(entry: Entry) -> tuple[float, float]:
    return entry.execution.started_at, entry.execution.started_at + entry.execution.duration_sec


def _pass_sec(task: Task, arrays: Arrays) -> float:
    """Return the seconds of a pass over the training split, from a few batches that are trained for the second time."""
    share = min(1.0, _least(task, arrays, TRIED_BATCHES))
    tried, part = _shortened(task, share), _part(arrays, share)
    durations = [next(iter(train_timed(tried, part, ()))).duration_sec for _ in range(2)]
    return durations[-1] / share


def _passes(affordable: float, task: Task, arrays: Arrays) -> float:
    """Return the number of passes of a training: a whole number, or a part of a pass with at least one batch."""
    epochs = task.training.epochs
    if affordable >= 1:
        return float(min(epochs, int(affordable)))
    return min(1.0, max(affordable, _least(task, arrays)))


def _least(task: Task, arrays: Arrays, num_batches: int = 1) -> float:
    """Return the passes of so many batches; at least 1 for data that only the training loop reads."""
    return num_batches * task.training.batch_size / len(arrays.train_labels) if arrays.has_samples else 1.0


def _shortened(task: Task, passes: float) -> Task:
    training = task.training.model_copy(update={"epochs": max(1, int(passes)), "patience": None})
    return replace(task, training=training, test=False, keep_weights=False)


def _part(arrays: Arrays, share: float) -> Arrays:
    """Return the first part of both splits, for a training of less than a pass."""
    if share >= 1:
        return arrays
    num_train = math.ceil(share * len(arrays.train_labels))
    num_validation = math.ceil(share * len(arrays.validation_labels))
    return arrays.part(slice(num_train), slice(num_validation), f"the first {num_train}")
