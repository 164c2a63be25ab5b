"""The plan of a stage: what to train, in which order, and what the ledger already has."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping

from losstune.config.schema import Params
from losstune.core.records import Configuration, Entry, Record
from losstune.core.seeds import derive_seed
from losstune.study.jobs import Job
from losstune.study.ledger import Ledger
from losstune.study.search import Space, depends_on, propose


def in_study_order(trials: Iterable[Entry], losses: Iterable[str]) -> list[Entry]:
    """Return trials by loss, in the order of `losses`, then by search and trial number."""
    position = {loss: number for number, loss in enumerate(losses)}

    def place(entry: Entry) -> tuple[int, int, int]:
        record = entry.record
        return position[record.configuration.loss], record.search, record.index

    return sorted(trials, key=place)


class Plan:
    """Jobs to train, without those that are finished.

    Attributes:
        kept: Entries that the ledger already had, in the order of the plan.

    Args:
        total: Number of records that the stage needs.
        ledger: Provides finished trainings. Failed ones are retried, because a dead worker or a lack of memory says
            nothing about the loss.
    """

    def __init__(self, total: int, ledger: Ledger) -> None:
        self._total = total
        self.kept: list[Entry] = []
        self._ledger = ledger
        self._entries: dict[str, Entry] = {}
        self._order: list[str] = []
        self._needed: set[str] = set()
        self._missing: list[tuple[tuple[int, int], Job]] = []

    @property
    def total(self) -> int:
        """Number of records that the stage needs; the maximum if it depends on the results."""
        return self._total

    @property
    def is_open(self) -> bool:
        """Whether the stage may need fewer records than `total`."""
        return False

    @property
    def num_finished(self) -> int:
        """Number of records that exist, kept or trained."""
        return len(self._entries)

    @property
    def is_complete(self) -> bool:
        """Whether all records exist that the stage needs."""
        return self.num_finished == self.total

    @property
    def num_ready(self) -> int:
        """Number of jobs that ``next`` would return without another training finishing."""
        return len(self._missing)

    def next(self) -> Job | None:
        """Return the next job to train; None if none is left or all that are left depend on running jobs."""
        return heapq.heappop(self._missing)[1] if self._missing else None

    def foresee(self, num_workers: int) -> Job | None:
        """Return a job that the plan will probably ask for, while ``next`` waits for running jobs; None without any.

        Its result is kept, and counts if the plan asks for it.

        Args:
            num_workers: Number of jobs that run at the same time.
        """
        return None

    def needs(self, key: str) -> bool:
        """Whether the plan has asked for this record."""
        return key in self._needed

    def is_exhausted(self) -> bool:
        """Whether ``next`` has returned every job and will return no more."""
        return not self._missing and self._has_explored_all()

    def finish(self, entry: Entry) -> None:
        """Add a record that has just been trained and stored."""
        self._entries[entry.record.key] = entry

    def entries(self) -> list[Entry]:
        """Return all entries in the order of the plan, whatever the order in which they were trained."""
        return [self._entries[key] for key in self._order if key in self._entries]

    def _add(self, job: Job, priority: tuple[int, int]) -> bool:
        # Adds a job; returns whether the ledger already has its result.
        assert len(job.keys) == 1, "stages plan one seed per job"
        key = job.keys[0]
        self._order.append(key)
        self._needed.add(key)
        entry = self._ledger.get(key)
        if entry is not None and entry.record.status != "failed":
            self._entries[key] = entry
            self.kept.append(entry)
            return True
        heapq.heappush(self._missing, (priority, job))
        return False

    def _has_explored_all(self) -> bool:
        return True


class FixedPlan(Plan):
    """A list of jobs that is known from the start, trained in its order."""

    def __init__(self, jobs: Iterable[Job], ledger: Ledger) -> None:
        jobs = list(jobs)
        super().__init__(len(jobs), ledger)
        for position, job in enumerate(jobs):
            self._add(job, (position, 0))


class GrowingPlan(Plan):
    """Jobs that are planned block by block, each block from the records of the blocks before it.

    Args:
        grow: Takes all records so far, in the order of the plan, and returns the jobs of the next block; an empty list
            ends the plan. It must depend on its argument alone, so that an interrupted plan can be repeated.
        most: Maximum number of records.
        ledger: Provides finished trainings.
        guess: Takes the records so far, while others are missing, and returns the jobs that will probably be planned
            after them. Workers that would wait for the last jobs of a block train these. Whether and when they do
            changes no record of the plan.
    """

    def __init__(
        self,
        grow: Callable[[list[Record]], list[Job]],
        most: int,
        ledger: Ledger,
        guess: Callable[[list[Record]], list[Job]] | None = None,
    ) -> None:
        super().__init__(most, ledger)
        self._grow, self._guess, self._is_closed = grow, guess, False
        self._running: set[str] = set()
        self._guessed: list[Job] = []
        self._early: dict[str, Entry] = {}
        self._has_guessed = False
        self._extend()

    @property
    def total(self) -> int:
        """Number of records that the stage needs; the maximum until it is known."""
        return len(self._order) if self._is_closed else self._total

    @property
    def is_open(self) -> bool:
        """Whether the number of blocks is still unknown."""
        return not self._is_closed

    @property
    def is_complete(self) -> bool:
        """Whether the last block is finished."""
        return self._is_closed and self.num_finished == len(self._order)

    def next(self) -> Job | None:
        """Return the next job to train."""
        job = super().next()
        if job is not None:
            self._running.add(job.keys[0])
        return job

    def foresee(self, num_workers: int) -> Job | None:
        """Return a job of the next block if a worker would be idle; at most as many as there are workers."""
        num_early = len(self._early) + len(self._running - self._needed)
        if self._guess is None or self._is_closed or max(len(self._running), num_early) >= num_workers:
            return None
        if not self._has_guessed:
            records = [entry.record for entry in (*self.entries(), *self._early.values())]
            self._guessed = self._guess(records)
            self._has_guessed = True
        while self._guessed:
            job = self._guessed.pop(0)
            key = job.keys[0]
            if key not in self._needed and key not in self._running and self._ledger.get(key) is None:
                self._running.add(key)
                return job
        return None

    def finish(self, entry: Entry) -> None:
        """Add a finished record; the last record of a block starts the next block."""
        key = entry.record.key
        self._running.discard(key)
        self._has_guessed = False
        if key in self._needed:
            super().finish(entry)
            self._extend()
        else:
            self._early[key] = entry

    def _has_explored_all(self) -> bool:
        return self._is_closed

    def _extend(self) -> None:
        while not self._is_closed and self.num_finished == len(self._order):
            jobs = self._grow([entry.record for entry in self.entries()])
            self._is_closed = not jobs
            for job in jobs:
                key = job.keys[0]
                self._early.pop(key, None)
                if key in self._running:
                    self._order.append(key)
                    self._needed.add(key)
                else:
                    self._add(job, (len(self._order), 0))


class SearchPlan(Plan):
    """The searches of all losses, with equal budgets. All trials 0 come first, then all trials 1, and so on.

    Args:
        params: The study.
        spaces: Search space per loss, in the study's order.
        ledger: Provides finished trainings.
        make: Makes a job from a configuration, its seed, its search and its trial number.
    """

    def __init__(
        self,
        params: Params,
        spaces: Mapping[str, Space],
        ledger: Ledger,
        make: Callable[[Configuration, int, int, int], Job],
    ) -> None:
        tune = params.tune
        super().__init__(tune.num_searches * tune.trials_per_loss * len(spaces), ledger)
        self._params, self._spaces, self._make = params, spaces, make
        lanes = [(loss, search) for search in range(tune.num_searches) for loss in spaces]
        self._num_explored = dict.fromkeys(lanes, 0)
        self._trials: dict[tuple[str, int], dict[int, Record]] = {lane: {} for lane in lanes}
        for lane in lanes:
            self._explore(*lane)

    def finish(self, entry: Entry) -> None:
        """Add a finished trial, and plan the trials whose proposals depend on it."""
        super().finish(entry)
        record = entry.record
        lane = record.configuration.loss, record.search
        self._trials[lane][record.index] = record
        self._explore(*lane)

    def entries(self) -> list[Entry]:
        """Return all entries by loss, in the study's order, then by search and trial number."""
        return in_study_order(super().entries(), self._spaces)

    def _has_explored_all(self) -> bool:
        return all(number == self._params.tune.trials_per_loss for number in self._num_explored.values())

    def _explore(self, loss: str, search: int) -> None:
        lane = loss, search
        params, trials = self._params, self._trials[lane]
        position = list(self._trials).index(lane)
        while (index := self._num_explored[lane]) < params.tune.trials_per_loss:
            num_needed = depends_on(index, params.tune)
            if any(number not in trials for number in range(num_needed)):
                return
            history = [trials[number] for number in range(num_needed)]
            configuration = propose(self._spaces[loss], index, history, params.tune, params.study.seed, search)
            seed = derive_seed(params.study.seed, "tune", loss, search, index)
            self._num_explored[lane] += 1
            if self._add(self._make(configuration, seed, search, index), (index, position)):
                record = self.kept[-1].record
                trials[record.index] = record
