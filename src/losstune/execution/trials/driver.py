"""The driver's side of a run: which pack comes next, and what becomes of each training."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from losstune.core.errors import LosstuneError
from losstune.core.records import Entry
from losstune.execution.trials.retries import FailureKind, Pack, Retries
from losstune.execution.trials.worker import Found
from losstune.study.jobs import Job, Timed
from losstune.study.ledger_writer import LedgerWriter
from losstune.study.packs import Packs
from losstune.training.task import failed


@dataclass(eq=False)
class Running:
    """A pack that a worker trains.

    Attributes:
        pack: The pack.
        left: The jobs that have not ended, as far as is known, by their number in the pack.
        since: Unix time of its start.
        latest: When the worker last reported, on a monotonic clock.
    """

    pack: Pack
    left: dict[int, Job]
    since: float
    latest: float


@dataclass(eq=False)
class Driver:
    """The state of a run in the driver process, shared by the hooks that Tune calls.

    Attributes:
        packs: Hands out the packs.
        writer: Stores what the workers have not stored.
        on_finished: Called with each job and its entry in the ledger.
        side_by_side: Whether the jobs of a pack run at the same time.
        problem: Why the run cannot go on, if so.
    """

    packs: Packs
    writer: LedgerWriter
    on_finished: Callable[[Job, Entry], None]
    side_by_side: bool
    retries: Retries = field(default_factory=Retries)
    num_out: int = 0
    problem: LosstuneError | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles its hooks into snapshots, which are never restored. These hooks hold threads and open files.
        return (object, ())

    def next(self) -> Pack | None:
        """Return the next pack; None if none can start now."""
        pack = self.retries.next()
        if pack is None and (jobs := self.packs.next()):
            pack = Pack(jobs)
        self.num_out += pack is not None
        return pack

    def is_over(self) -> bool:
        """Whether no job is left and no running job can be retried."""
        return not self.num_out and not self.retries and self.packs.is_exhausted()

    def start(self, pack: Pack) -> Running:
        """Note that a worker begins with a pack."""
        return Running(pack, dict(enumerate(pack.jobs)), time.time(), time.monotonic())

    def take(self, running: Running, found: list[tuple[int, Found]]) -> None:
        """Process what a worker reports.

        Raises:
            LosstuneError: If a training cannot be stored.
        """
        running.latest = time.monotonic()
        for number, ended in found:
            job = running.left.pop(number)
            if isinstance(ended, LosstuneError):
                self.problem = ended
                raise ended
            if isinstance(ended, bytes):
                self._finished(job, Entry.model_validate_json(ended))
            elif not (ended.out_of_memory and self.retries.goes_again(job, "memory", alone=running.pack.alone)):
                self._finished(job, self._kept(job, ended))

    def end(self) -> None:
        """Note that a worker is done with a pack."""
        self.num_out -= 1

    def lose(self, running: Running, kind: FailureKind, cause: str) -> None:
        """Handle the loss of a worker: retry the jobs that it trained, or record them as failed with `cause`.

        Args:
            running: What it was to train. It may have stored trainings that it has not reported.
            kind: What happened.
            cause: The same in words.
        """
        for number, job in list(running.left.items()):
            entry = self.writer.written(job, running.since)
            if entry is not None:
                del running.left[number]
                self._finished(job, entry)
        jobs = list(running.left.values())
        num_begun = len(jobs) if self.side_by_side else 1
        self.packs.give_back(jobs[num_begun:])
        # Nobody knows which of several is to blame for the time.
        counts = kind != "time" or len(jobs[:num_begun]) == 1
        for job in jobs[:num_begun]:
            if not self.retries.goes_again(job, kind, alone=running.pack.alone, counts=counts):
                task = job.task
                timed = Timed(results=failed(task, cause), started_at=time.time(), duration_sec=0.0, device=task.device)
                self._finished(job, self._kept(job, timed))
        self.end()

    def _kept(self, job: Job, timed: Timed) -> Entry:
        try:
            return self.writer.write(job, timed)
        except LosstuneError as error:
            self.problem = error
            raise

    def _finished(self, job: Job, entry: Entry) -> None:
        self.packs.took(entry.execution.duration_sec)
        self.on_finished(job, entry)
