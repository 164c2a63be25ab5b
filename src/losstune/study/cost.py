"""Estimate how long trainings take, from trainings that were timed on this machine."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

FEWEST = 4
"""Fewest timings of a loss for its own mean. With fewer, the mean of all losses is used."""

SPREAD = (0.1, 0.9)
"""Quantiles of the timings that give the range of the estimate."""

START_SPREAD = 0.25
"""Start and end are timed once, without MLflow, and may take this fraction longer another time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Measured durations.

    Attributes:
        seconds: Durations of whole trainings by loss, measured with as many concurrent trainings as the stage will run.
        gap_sec: Time from the end of a training to the start of the worker's next one.
        fixed_sec: Overhead of a stage: from the start of its process to the first training, and from the end of the
            last training to the end of the process.
    """

    seconds: Mapping[str, Sequence[float]]
    gap_sec: float
    fixed_sec: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Estimated time of a stage.

    Attributes:
        busy_sec: Training time, summed over all workers.
        wall_sec: Shortest and longest wall-clock time; None if the number of workers is not known.
    """

    busy_sec: float
    wall_sec: tuple[float, float] | None


def estimate(to_train: Mapping[str, int], timings: Timings, num_workers: int | None) -> Estimate:
    """Estimate how long trainings take.

    The estimate assumes that each training takes as long as the mean of the timings. The range assumes that all take as
    long as the fastest and as the slowest tenth, because other work may slow down the machine for the whole stage.

    Args:
        to_train: Number of trainings by loss. A loss without timings gets the mean of all losses.
        timings: Timings of at least one training.
        num_workers: Number of trainings that run at the same time; None if not known.
    """
    everything = np.concatenate([np.asarray(timings.seconds[loss], float) for loss in timings.seconds])
    pooled = float(everything.mean())
    means = {
        loss: float(np.mean(seconds)) if len(seconds) >= FEWEST else pooled for loss, seconds in timings.seconds.items()
    }
    relative = np.concatenate([np.asarray(seconds, float) / means[loss] for loss, seconds in timings.seconds.items()])
    durations = [means.get(loss, pooled) for loss, number in to_train.items() for _ in range(number)]
    busy_sec = math.fsum(durations)
    if num_workers is None:
        return Estimate(busy_sec=busy_sec, wall_sec=None)
    usual_sec = timings.fixed_sec + makespan((sec + timings.gap_sec for sec in durations), num_workers)
    quick, slow = (float(np.quantile(relative, share)) for share in SPREAD)
    # A few very slow trainings may move the mean out of the range.
    longest_sec = max(slow, 1.0) * usual_sec + START_SPREAD * timings.fixed_sec
    return Estimate(busy_sec=busy_sec, wall_sec=(min(quick, 1.0) * usual_sec, longest_sec))


def makespan(durations: Iterable[float], num_workers: int) -> float:
    """Return when the last task ends if the first free worker takes each task, in order."""
    free_at = [0.0] * num_workers
    for duration in durations:
        heapq.heapreplace(free_at, free_at[0] + duration)
    return max(free_at)


def gaps(spans: Iterable[tuple[float, float]]) -> list[float]:
    """Return how long workers were idle between two tasks.

    It is not known which worker did a task. A task is assigned to the worker that became idle last.

    Args:
        spans: Start and end of each task, in seconds.

    Example:
        >>> gaps([(0, 10), (0, 8), (11, 20), (9, 21)])
        [1, 1]
    """
    ended: list[float] = []
    found = []
    for start, end in sorted(spans):
        before = [time for time in ended if time <= start]
        if before:
            latest = max(before)
            ended.remove(latest)
            found.append(start - latest)
        ended.append(end)
    return found
