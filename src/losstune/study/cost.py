"""Estimate how long a number of trainings takes from trainings that were timed on this machine."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

FEWEST = 4
"""Timings of a loss from which its own mean is taken; with fewer it counts as the others do."""

SPREAD = (0.1, 0.9)
"""Quantiles of the timings that make the range: as quick as the quickest tenth, as slow as the slowest."""

START_SPREAD = 0.25
"""Start and end are timed once, and without MLflow; another time they may take so much longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """What was timed.

    Attributes:
        seconds: Loss to the durations of whole trainings, while as many ran beside each as will.
        gap_sec: From the end of a training to the start of the worker's next one.
        fixed_sec: What a stage takes besides: from the start of its process to the first training, and from the end of
            the last to its own.
    """

    seconds: Mapping[str, Sequence[float]]
    gap_sec: float
    fixed_sec: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a stage will take.

    Attributes:
        busy_sec: Of all workers together, while they train.
        wall_sec: Of the clock, at best and at worst; None where the number of workers is not known.
    """

    busy_sec: float
    wall_sec: tuple[float, float] | None


def estimate(to_train: Mapping[str, int], timings: Timings, num_workers: int | None) -> Estimate:
    """Judge how long trainings take.

    Everything is taken to run as long as the timings did on average, and for the range as long as the quickest and the
    slowest tenth of them: on a machine that other work slows down for a while, trainings differ as the whole will.

    Args:
        to_train: Loss to number of trainings. A name that `timings` don't know counts as the losses do on average.
        timings: At least one training.
        num_workers: Trainings that run at the same time; None if it is not known.
    """
    everything = np.concatenate([np.asarray(timings.seconds[loss], float) for loss in timings.seconds])
    pooled = float(everything.mean())
    means = {
        loss: float(np.mean(seconds)) if len(seconds) >= FEWEST else pooled
        for loss, seconds in timings.seconds.items()
    }
    relative = np.concatenate(
        [np.asarray(seconds, float) / means[loss] for loss, seconds in timings.seconds.items()]
    )
    durations = [means.get(loss, pooled) for loss, number in to_train.items() for _ in range(number)]
    busy_sec = math.fsum(durations)
    if num_workers is None:
        return Estimate(busy_sec=busy_sec, wall_sec=None)
    usual_sec = timings.fixed_sec + makespan((sec + timings.gap_sec for sec in durations), num_workers)
    quick, slow = (float(np.quantile(relative, share)) for share in SPREAD)
    # A few very slow ones may pull the mean out of the range.
    longest_sec = max(slow, 1.0) * usual_sec + START_SPREAD * timings.fixed_sec
    return Estimate(busy_sec=busy_sec, wall_sec=(min(quick, 1.0) * usual_sec, longest_sec))


def makespan(durations: Iterable[float], num_workers: int) -> float:
    """Return when the last of some tasks ends if each is taken up, in order, by the first worker that is free."""
    free_at = [0.0] * num_workers
    for duration in durations:
        heapq.heapreplace(free_at, free_at[0] + duration)
    return max(free_at)


def gaps(spans: Iterable[tuple[float, float]]) -> list[float]:
    """Return how long workers stood idle between two tasks.

    Which worker did a task is not known: whoever starts is taken for the one that ended last.

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
