"""The thread that updates MLflow while a stage runs, and the function that restores MLflow from records."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

from losstune.config.schema import TrackingSettings
from losstune.core.records import Entry
from losstune.study import provenance
from losstune.study.provenance import Provenance
from losstune.tracking.address import Address, locate
from losstune.tracking.connect import is_final, reason_of
from losstune.tracking.model import TrainedModel
from losstune.tracking.runs import StageRun, child_of, stage_tags
from losstune.tracking.store import Store

DIFFERENCE = "uncommitted.diff"

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]

FIRST_RETRY_SEC = 2.0
LAST_RETRY_SEC = 60.0
PATIENCE_SEC = 120.0
MOST_AT_ONCE = 100
"""Trainings that are logged in one transaction."""

PATIENCE_WHEN_KILLED_SEC = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingSummary:
    """The state of a stage's execution in MLflow.

    Attributes:
        address: Address of MLflow, without credentials; None if tracking is off.
        run_id: Id of the parent run; None if there is none.
        num_logged: Number of trainings nested in the parent, including those of earlier executions.
        num_elsewhere: Number of trainings nested in an earlier parent.
        num_missing: Number of trainings that MLflow lacks; ``losstune track sync`` logs them.
        problem: One-line message for the user; None if there is no problem.
    """

    address: str | None = None
    run_id: str | None = None
    num_logged: int = 0
    num_elsewhere: int = 0
    num_missing: int = 0
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class _End:
    status: RunStatus
    metrics: Mapping[str, float] = field(default_factory=dict)
    note: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[Path, str] = field(default_factory=dict)
    models: Sequence[TrainedModel] = ()
    ended_at: float | None = None


class Tracker:
    """Logs the execution of a stage to MLflow while it runs.

    No method raises. Only `finish` waits for MLflow, for a bounded time. While MLflow is unreachable, entries wait in
    memory, and the thread retries at growing intervals. The summary counts the trainings that are missing at the end.
    """

    def __init__(self, worker: _Worker | None) -> None:
        self._worker = worker

    def log(self, entry: Entry) -> None:
        """Log a finished training. Returns at once. A training that is already logged does not change."""
        if self._worker is not None:
            self._worker.put(entry)

    def finish(
        self,
        status: RunStatus,
        *,
        metrics: Mapping[str, float] | None = None,
        note: str | None = None,
        tags: Mapping[str, str] | None = None,
        artifacts: Mapping[Path, str] | None = None,
        models: Sequence[TrainedModel] = (),
        timeout_sec: float | None = None,
    ) -> TrackingSummary:
        """Send waiting entries and end the parent run. The tracker cannot be used afterwards.

        Args:
            status: Status of the parent.
            metrics: Metrics of the parent.
            note: Description of the parent (Markdown). That of ``report`` is also added to the study's other stage
                runs.
            tags: Further tags of the parent, named without the prefix ``losstune.``.
            artifacts: Maps a file or folder to its artifact folder; an empty text is the root.
            models: Models to attach to the parent.
            timeout_sec: Seconds to wait for MLflow; None means two minutes, or ten seconds if killed.
        """
        if self._worker is None:
            return TrackingSummary()
        if timeout_sec is None:
            timeout_sec = PATIENCE_WHEN_KILLED_SEC if status == "KILLED" else PATIENCE_SEC
        end = _End(
            status=status,
            metrics=metrics or {},
            note=note,
            tags={f"losstune.{name}": value for name, value in (tags or {}).items()},
            artifacts=artifacts or {},
            models=models,
        )
        return self._worker.finish(end, timeout_sec)


def open_tracker(
    settings: TrackingSettings,
    experiment: str,
    root: Path,
    run: StageRun,
    *,
    on_problem: Callable[[str], None] | None = None,
) -> Tracker:
    """Start to log the execution of a stage. Returns at once: a thread imports and opens MLflow.

    Args:
        settings: The tracking settings. If tracking is disabled, the tracker does nothing.
        experiment: Name of the experiment, see :func:`losstune.tracking.address.experiment_of`.
        root: Root of the study, the default folder of the database.
        run: The parent. An existing run with the same key is reused.
        on_problem: Called once, from the thread, if MLflow cannot be used. The summary has the message, too.
    """
    if not settings.enabled:
        return Tracker(None)
    worker = _Worker(locate(settings, root), experiment, run, on_problem=on_problem)
    worker.start()
    return Tracker(worker)


def sync(
    settings: TrackingSettings,
    experiment: str,
    root: Path,
    run: StageRun,
    entries: Iterable[Entry],
    *,
    status: RunStatus = "FINISHED",
    metrics: Mapping[str, float] | None = None,
    artifacts: Mapping[Path, str] | None = None,
    models: Sequence[TrainedModel] = (),
) -> TrackingSummary:
    """Log the trainings of a stage that MLflow lacks. A second call adds nothing.

    A parent that must be created again gets the times and the commit of its trainings. For the arguments see
    :func:`open_tracker` and :meth:`Tracker.finish`.
    """
    if not settings.enabled:
        return TrackingSummary(problem="tracking.enabled is false in params.yaml, so there is nothing to synchronise")
    entries = sorted(entries, key=lambda entry: entry.execution.started_at)
    worker = _Worker(locate(settings, root), experiment, run, past=entries)
    for entry in entries:
        worker.put(entry)
    worker.start()
    ended_at = max((entry.execution.started_at + entry.execution.duration_sec for entry in entries), default=None)
    end = _End(status=status, metrics=metrics or {}, artifacts=artifacts or {}, models=models, ended_at=ended_at)
    return worker.finish(end, math.inf)


class _Worker(threading.Thread):
    """Owns the store. `past` has the entries of a past execution; it is None for one that is running."""

    def __init__(
        self,
        address: Address,
        experiment: str,
        run: StageRun,
        *,
        past: list[Entry] | None = None,
        on_problem: Callable[[str], None] | None = None,
    ) -> None:
        # A daemon thread, so that the process can end even if MLflow hangs.
        super().__init__(name="losstune-tracker", daemon=True)
        self._address = address
        self._experiment = experiment
        self._run = run
        self._past = past
        self._on_problem = on_problem
        self._started_at = time.time() if past is None else min(_started(past), default=None)
        self._changed = threading.Condition()
        self._waiting: deque[Entry] = deque()
        self._end: _End | None = None
        self._facts: Provenance | None = None
        self._store: Store | None = None
        self._run_id: str | None = None
        self._num_logged = 0
        self._num_elsewhere = 0
        self._num_rejected = 0
        self._defects: list[str] = []
        self._problem: str | None = None

    def put(self, entry: Entry) -> None:
        with self._changed:
            self._waiting.append(entry)
            self._changed.notify()

    def finish(self, end: _End, timeout_sec: float) -> TrackingSummary:
        with self._changed:
            self._end = end
            self._changed.notify()
        self.join(None if math.isinf(timeout_sec) else timeout_sec)
        return self._summary()

    def run(self) -> None:
        delay_sec = FIRST_RETRY_SEC
        while True:
            is_last = self._end is not None
            try:
                self._work()
                self._problem = None
                return
            except Exception as error:
                self._store = None
                self._report(error)
                if is_last:
                    return
            with self._changed:
                self._changed.wait_for(lambda: self._end is not None, delay_sec)
            delay_sec = min(2 * delay_sec, LAST_RETRY_SEC)

    def _work(self) -> None:
        facts = self._facts = self._facts or self._collect()
        store = self._store = Store(
            self._address,
            self._experiment,
            self._run,
            stage_tags(self._run, facts),
            started_at=self._started_at,
            resume=self._past is None,
        )
        with closing(store):
            self._fill(store, facts)

    def _fill(self, store: Store, facts: Provenance) -> None:
        self._run_id = store.parent_id
        if self._past is None and facts.git.dirty and (text := provenance.difference()):
            store.log_text(DIFFERENCE, text)
        while entries := self._next():
            children = [child_of(entry, self._run, facts) for entry in entries]
            store.log_new(children)
            for child in children:
                try:
                    is_here = store.log_child(child)
                except Exception as error:
                    if not is_final(error):
                        raise
                    self._num_rejected += 1
                    self._defects.append(f"{child.name}: {reason_of(error)}")
                else:
                    self._num_logged += is_here
                    self._num_elsewhere += not is_here
                self._waiting.popleft()
        if self._end is not None:
            self._close(store, self._end)

    def _next(self) -> list[Entry]:
        """Return the next entries, none after the last one. An entry stays in the queue until it is logged."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._end is not None)
            return list(islice(self._waiting, MOST_AT_ONCE))

    def _close(self, store: Store, end: _End) -> None:
        store.log_metrics(end.metrics)
        note = end.note
        if note is None and self._num_elsewhere:
            note = (
                f"{self._num_elsewhere} of {self._num_elsewhere + self._num_logged} trainings were finished before, "
                "in runs of earlier executions."
            )
        if note is not None:
            store.set_note(note)
        store.set_tags(end.tags)
        if self._run.stage == "report" and note is not None and "protocol_hash" in self._run.tags:
            store.annotate_siblings(note, self._run.tags["protocol_hash"])
        self._defects += store.log_artifacts(end.artifacts)
        for model in end.models:
            try:
                store.log_model(model)
            except Exception as error:  # the run must end even if a model cannot be exported
                self._defects.append(f"the model could not be attached: {reason_of(error)}")
        store.terminate(end.status, end.ended_at)

    def _collect(self) -> Provenance:
        facts = provenance.collect()
        commits = [entry.execution.commit for entry in self._past or []]
        if commits and commits[-1] != facts.git.short_commit:
            sha = commits[-1]
            git = facts.git.model_copy(
                update={
                    "commit": None if sha is None else sha.removesuffix("-dirty"),
                    "dirty": None if sha is None else sha.endswith("-dirty"),
                    "branch": None,
                }
            )
            facts = facts.model_copy(update={"git": git})
        return facts

    def _report(self, error: Exception) -> None:
        problem = (
            f"MLflow at {self._address.shown}: {reason_of(error)}; the records are kept, and `losstune track sync` "
            "adds them to MLflow later"
        )
        if self._problem is None and self._on_problem is not None:
            self._on_problem(problem)
        self._problem = problem

    def _summary(self) -> TrackingSummary:
        num_missing = len(self._waiting) + self._num_rejected
        problem = self._problem
        if problem is None and self.is_alive():
            problem = (
                f"MLflow at {self._address.shown} is too slow to keep up; the records are kept, and "
                "`losstune track sync` adds them to MLflow later"
            )
        if problem is None and self._defects:
            problem = f"MLflow at {self._address.shown}: {self._defects[0]}"
        if problem is None and self._store is not None:
            problem = self._store.hint
        return TrackingSummary(
            address=str(self._address),
            run_id=self._run_id,
            num_logged=self._num_logged,
            num_elsewhere=self._num_elsewhere,
            num_missing=num_missing,
            problem=problem,
        )


def _started(entries: Iterable[Entry]) -> Iterable[float]:
    return (entry.execution.started_at for entry in entries)
