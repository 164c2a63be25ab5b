"""Retries of a training whose worker was lost.

A lost node says nothing about the training, so it is repeated elsewhere. A worker that died, or memory that ran out,
may be the fault of the training or of its neighbours on the device: it is repeated once with the device to itself. A
training that exceeded its time would exceed it again, and so would an exception of a loss be raised again.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Literal

from losstune.study.jobs import Job

FailureKind = Literal["node", "worker", "memory", "time"]

MAX_RETRIES: dict[FailureKind, int] = {"node": 10, "worker": 1, "memory": 1, "time": 0}
"""How often a training is done again after each kind of failure."""


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
    """Units whose worker was lost, and how often each was."""

    def __init__(self) -> None:
        self._waiting: deque[Attempt] = deque()
        self._failures: Counter[tuple[str, FailureKind]] = Counter()

    def __len__(self) -> int:
        """Return how many wait to be tried again."""
        return len(self._waiting)

    def next(self) -> Attempt | None:
        """Return the next to try again, or None."""
        return self._waiting.popleft() if self._waiting else None

    def goes_again(self, attempt: Attempt, kind: FailureKind) -> bool:
        """Note a failure; say whether the job is tried again, and then hold it ready for :meth:`next`."""
        mark = attempt.job.keys[0], kind
        self._failures[mark] += 1
        if self._failures[mark] > MAX_RETRIES[kind]:
            return False
        alone = attempt.alone or kind != "node"
        self._waiting.append(Attempt(attempt.job, alone=alone))
        return True
