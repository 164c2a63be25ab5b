"""How many jobs of a plan a worker gets at once: a pack."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable

from losstune.study.jobs import Job
from losstune.study.plan import Plan

PACK_SEC = 1.5
"""Length of a pack of trainings on a core. Handing a pack to a worker takes some 15 ms."""

NUM_LATEST = 64
"""Number of trainings whose mean duration is what the next ones are expected to take."""


class Packs:
    """Hands out the jobs of a plan in packs.

    Trainings on a core make packs of about :data:`PACK_SEC`, by the mean duration of the latest
    ones. Before any duration is known, a pack is one job. Towards the end, the packs get smaller, so that the workers
    end at about the same time (guided self-scheduling). Trainings that run side by side on a GPU make packs as large as
    allowed, and the same number for every GPU.

    Args:
        plan: What to train.
        most: Most jobs in a pack.
        num_workers: Returns the number of workers, which may change while a plan runs.
        side_by_side: Whether a worker trains the jobs of a pack at the same time.
    """

    def __init__(
        self, plan: Plan, most: int, num_workers: Callable[[], int] = lambda: 1, *, side_by_side: bool = False
    ) -> None:
        self._plan, self._most, self._num_workers, self._side_by_side = plan, most, num_workers, side_by_side
        self._returned: deque[Job] = deque()
        self._num_packs = 0
        self._latest: deque[float] = deque(maxlen=NUM_LATEST)
        for entry in plan.kept[-NUM_LATEST:]:
            self.took(entry.execution.duration_sec)

    def next(self) -> tuple[Job, ...]:
        """Return the jobs of the next pack; none if none can start now."""
        num_ready = len(self._returned) + self._plan.num_ready
        jobs: list[Job] = []
        for _ in range(self._size(num_ready) if num_ready else 1):
            job = self._returned.popleft() if self._returned else self._plan.next()
            if job is None:
                break
            jobs.append(job)
        if not jobs and (job := self._plan.foresee(self._num_workers())) is not None:
            jobs.append(job)
        self._num_packs += bool(jobs)
        return tuple(jobs)

    def took(self, duration_sec: float) -> None:
        """Note how long a training took."""
        self._latest.append(duration_sec)

    def give_back(self, jobs: Iterable[Job]) -> None:
        """Take jobs that no worker has begun. They come next, in their order."""
        self._returned.extendleft(reversed(list(jobs)))

    def is_exhausted(self) -> bool:
        """Whether :meth:`next` has returned every job and will return no more."""
        return not self._returned and self._plan.is_exhausted()

    def _size(self, num_ready: int) -> int:
        num_workers = max(1, self._num_workers())
        if self._side_by_side:
            # The packs of a round, one for each GPU, share what is left evenly.
            return min(self._most, math.ceil(num_ready / (num_workers - self._num_packs % num_workers)))
        if not self._latest:
            return 1
        expected_sec = sum(self._latest) / len(self._latest)
        in_time = self._most if expected_sec <= 0 else math.floor(PACK_SEC / expected_sec)
        return max(1, min(self._most, in_time, num_ready // (2 * num_workers)))
