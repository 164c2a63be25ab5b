"""Asynchronous successive halving (ASHA) with one bracket per search, so trials compete only within a search.

A loss with small gradients learns later. In a bracket shared with other losses, it would be stopped for the scale of
its gradients and not for its result. Algorithm for one bracket: Li et al. 2020, arXiv 1810.05934.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from losstune.core.metric import Metric
from losstune.core.records import Record
from losstune.study.jobs import Job
from losstune.training.task import TrainingResult


def rungs(grace_epochs: int, reduction_factor: int, epochs: int) -> tuple[int, ...]:
    """Return the epochs after which a trial may be stopped: grace, grace * factor, ..., below `epochs`.

    Example:
        >>> rungs(3, 3, 30)
        (3, 9, 27)
    """
    found = []
    rung = grace_epochs
    while rung < epochs:
        found.append(rung)
        rung *= reduction_factor
    return tuple(found)


class Brackets:
    """The scores at each rung of each search.

    A trial continues after a rung if its score is at least as good as the (1 - 1/factor) quantile of the scores that
    reached this rung before it. The first trial continues. The decision depends on the order of arrival, as always with
    ASHA.

    Args:
        rungs: Epochs of the rungs, ascending.
        reduction_factor: One trial in this number continues.
        metric: Validation metric that ranks; never the training loss.
    """

    def __init__(self, rungs: tuple[int, ...], reduction_factor: int, metric: Metric) -> None:
        self.rungs, self.reduction_factor, self.metric = rungs, reduction_factor, metric
        self._gains: dict[tuple[str, int, int], list[float]] = {}

    def goes_on(self, loss: str, search: int, epoch: int, score: float) -> bool:
        """Add a trial's score at the rung `epoch` and return whether the trial continues."""
        seen = self._gains.setdefault((loss, search, epoch), [])
        cutoff = np.percentile(seen, (1 - 1 / self.reduction_factor) * 100) if seen else -np.inf
        gain = self.metric.sign * score
        seen.append(gain)
        return bool(gain >= cutoff)

    def remember(self, record: Record) -> None:
        """Add the scores of a finished trial, so that a resumed study decides as an uninterrupted one would."""
        for epoch in record.curve:
            if epoch.epoch in self.rungs:
                rung = record.configuration.loss, record.search, epoch.epoch
                self._gains.setdefault(rung, []).append(self.metric.sign * epoch.validation[self.metric.name])


class Reached(NamedTuple):
    """A training at a rung: its key, loss and search, the rung, and its score there."""

    key: str
    loss: str
    search: int
    epoch: int
    score: float

    @classmethod
    def of(cls, job: Job, result: TrainingResult, metric: Metric) -> Reached:
        """Return where the training of a job is now."""
        latest = result.curve[-1]
        score = latest.validation[metric.name]
        return cls(job.keys[0], job.task.configuration.loss, job.search, latest.epoch, score)


class Decisions:
    """Decides for all workers, in the order in which they ask. A retried training gets the same answer again."""

    def __init__(self, brackets: Brackets) -> None:
        self._brackets = brackets
        self._made: dict[tuple[str, int], bool] = {}

    def goes_on(self, reached: Reached) -> bool:
        """Return whether a training continues after a rung."""
        mark = reached.key, reached.epoch
        if mark not in self._made:
            self._made[mark] = self._brackets.goes_on(reached.loss, reached.search, reached.epoch, reached.score)
        return self._made[mark]
