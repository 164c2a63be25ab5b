"""Retries of a training whose worker was lost.

A lost node says nothing about the training, so the training is retried elsewhere. A dead worker or a lack of memory may
be caused by the training or by others on the same device, so the training is retried once with the device to itself. A
training that exceeds its time limit or raises an exception would do so again, so it is not retried.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Literal

from losstune.study.jobs import Job

FailureKind = Literal["node", "worker", "memory", "time"]

MAX_RETRIES: dict[FailureKind, int] = {"node": 10, "worker": 1, "memory": 1, "time": 0}
"""How often a training is retried after each kind of failure."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A job to train, and how.

    Attributes:
        job: What to train.
        alone: Whether it gets a device, or a node's cores, to itself.
    """

    job: Job
    alone: bool = False


class Retries:
    """Jobs whose worker was lost, and how often."""

    def __init__(self) -> None:
        self._waiting: deque[Attempt] = deque()
        self._failures: Counter[tuple[str, FailureKind]] = Counter()

    def __len__(self) -> int:
        """Return how many jobs wait for a retry."""
        return len(self._waiting)

    def next(self) -> Attempt | None:
        """Return the next attempt to retry, or None."""
        return self._waiting.popleft() if self._waiting else None

    def goes_again(self, attempt: Attempt, kind: FailureKind) -> bool:
        """Record a failure. Return whether the job is retried; if so, :meth:`next` will return it."""
        mark = attempt.job.keys[0], kind
        self._failures[mark] += 1
        if self._failures[mark] > MAX_RETRIES[kind]:
            return False
        alone = attempt.alone or kind != "node"
        self._waiting.append(Attempt(attempt.job, alone=alone))
        return True
