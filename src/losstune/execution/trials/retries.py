"""Retries of trainings whose worker was lost.

A lost node says nothing about a training, so the training is retried elsewhere. A dead worker or a lack of memory may
be caused by the training or by others on the same device, so the training is retried once with the device to itself. A
training that exceeds its time limit or raises an exception would do so again, so it is not retried, unless others ran
beside it.
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
class Pack:
    """What a worker trains at once.

    Attributes:
        jobs: The jobs.
        alone: Whether they get a device, or a node's cores, to themselves.
    """

    jobs: tuple[Job, ...]
    alone: bool = False


class Retries:
    """Jobs whose worker was lost, and how often."""

    def __init__(self) -> None:
        self._waiting: deque[Pack] = deque()
        self._failures: Counter[tuple[str, FailureKind]] = Counter()

    def __len__(self) -> int:
        """Return how many jobs wait for a retry."""
        return len(self._waiting)

    def next(self) -> Pack | None:
        """Return the next job to retry, in a pack of its own, or None."""
        return self._waiting.popleft() if self._waiting else None

    def goes_again(self, job: Job, kind: FailureKind, *, alone: bool = False, counts: bool = True) -> bool:
        """Record a failure. Return whether the job is retried; if so, :meth:`next` will return it.

        Args:
            job: The job.
            kind: What happened.
            alone: Whether it had the device to itself.
            counts: Whether it is known that this training failed, and not one beside it.
        """
        mark = job.keys[0], kind
        self._failures[mark] += counts
        if self._failures[mark] > MAX_RETRIES[kind]:
            return False
        self._waiting.append(Pack((job,), alone=alone or kind != "node"))
        return True
