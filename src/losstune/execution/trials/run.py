"""Run a plan's jobs with Ray Tune, return their results to the caller, and retry jobs whose worker was lost."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from losstune.config.schema import ResourceSettings
from losstune.core.errors import LosstuneError, in_one_line
from losstune.execution.cluster import address_source, cluster_address
from losstune.execution.trials.connection import connected
from losstune.execution.trials.resources import TrialResources
from losstune.execution.trials.retries import MAX_RETRIES, Attempt, FailureKind, Retries
from losstune.study.asha import Brackets
from losstune.study.jobs import Job, Timed, Train
from losstune.study.plan import Plan
from losstune.study.provenance import public_versions
from losstune.training.sharing import SharedArrays, unmapped
from losstune.training.task import Arrays, failed

MIN_PENDING = 16
SECONDS_A_MINUTE = 60.0
OTHER_LIBRARIES = "has other libraries:"
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
EXIT_DETAIL = re.compile(r"Worker exit detail: (.+?)(?: Some common causes|$)")
SIGNS_OF_A_LOST_NODE = ("node has died", "node was terminated", "NodeDiedError", "node died", "node is dead")
"""Matches the cause in Ray's message about a dead actor. The exception class does not reveal the cause."""


class _OtherLibrariesError(Exception):
    pass


def run(
    plan: Plan,
    train: Train,
    arrays: Arrays,
    brackets: Brackets | None,
    on_finished: Callable[[Job, Timed], None],
    *,
    resources: ResourceSettings,
    per_trial: TrialResources,
    versions: Mapping[str, str] | None = None,
) -> None:
    """Train every job of the plan on Ray, either started here or running at an address.

    If the worker of a job is lost, the job is retried as in :mod:`losstune.execution.trials.retries`, or else fails.

    Args:
        plan: What to train; `on_finished` must report finished jobs to it.
        train: The training function; workers must be able to import it by name.
        arrays: The data. Workers on this machine map its files; to a cluster, it goes through Ray's object store, once
            a node.
        brackets: Early stopping, or None.
        on_finished: Called in this process with each job and its result.
        resources: Concurrency and the address of a cluster.
        per_trial: The resources of one trial.
        versions: Required versions of the libraries of a worker; None if workers use this installation.

    Raises:
        LosstuneError: If no Ray answers at the address, or a worker has other versions of the libraries.
    """
    with connected(resources) as folder:
        # A worker is reused only if a trial is pending by then, and Tune by default keeps only one pending.
        num_pending = max(MIN_PENDING, 2 * int(ray.cluster_resources().get("CPU", 1)))
        os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", str(num_pending))
        # Tune would write a growing snapshot of all trials about every ten seconds, which is never restored.
        os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "1e9")
        # Tune's own handler would end an interrupted study as if it were complete.
        os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
        driver = _Driver(
            plan=plan,
            brackets=brackets,
            on_finished=on_finished,
            source=address_source(resources),
            limit_sec=None if resources.trial_time_limit is None else SECONDS_A_MINUTE * resources.trial_time_limit,
        )
        trainable = tune.with_parameters(
            _Trial,
            arrays=unmapped(arrays) if cluster_address(resources) else SharedArrays.of(arrays),
            train=train,
            rungs=brackets.rungs if brackets is not None else (),
            versions=dict(versions or {}),
        )
        limit = None if resources.max_concurrent == "auto" else resources.max_concurrent
        tuner = tune.Tuner(
            tune.with_resources(trainable, _Request(per_trial)),
            tune_config=tune.TuneConfig(
                search_alg=_PlanSearcher(driver),
                scheduler=_AshaScheduler(driver),
                num_samples=-1,  # until the searcher has no more trials
                max_concurrent_trials=limit,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="study",
                storage_path=str(folder),
                verbose=0,
                progress_reporter=_Silent(),
                callbacks=[_Receiver(driver)],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        tuner.fit()


class _Silent(tune.ProgressReporter):  # type: ignore[misc]
    """Shows nothing. In a notebook, Tune's own reporter would clear the output of the cell."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        return False

    def report(self, trials: list[Any], done: bool, *sys_info: str) -> None:
        pass


class _Trial(tune.Trainable):  # type: ignore[misc]
    """Runs in a worker. Each step trains a job up to its next rung. One worker trains many jobs, one after another."""

    def setup(
        self,
        config: dict[str, Any],
        *,
        arrays: Arrays | SharedArrays,
        train: Train,
        rungs: tuple[int, ...],
        versions: dict[str, str],
    ) -> None:
        # Nodes may join a cluster while the study runs.
        if versions and (found := public_versions(tuple(versions))) != versions:
            raise _OtherLibrariesError(f"{OTHER_LIBRARIES} {found}, expected {versions}")
        self._arrays = arrays.opened() if isinstance(arrays, SharedArrays) else arrays
        self._train, self._rungs = train, rungs
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._progress: Iterator[Timed] = self._train(new_config["attempt"].job.task, self._arrays, self._rungs)
        return True

    def step(self) -> dict[str, Any]:
        timed = next(self._progress)
        return {"timed": timed, "done": timed.results[0].status != "stopped"}


class _Request:
    """The resources that Tune requests from Ray for each trial."""

    def __init__(self, per_trial: TrialResources) -> None:
        self._per_trial = per_trial

    def __call__(self, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        # Computed each time, because a node may have joined or left.
        nodes = [
            (node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0))
            for node in ray.nodes()
            if node["Alive"]
        ]
        per_trial = self._per_trial.fitted(nodes)
        if config["attempt"].alone:
            per_trial = per_trial.alone(nodes)
        return tune.PlacementGroupFactory([{"CPU": per_trial.cpus, "GPU": per_trial.gpus}])


@dataclass(eq=False)
class _Driver:
    """The state of a run in the driver process, shared by the three hooks that Tune calls."""

    plan: Plan
    brackets: Brackets | None
    on_finished: Callable[[Job, Timed], None]
    limit_sec: float | None
    source: str
    retries: Retries = field(default_factory=Retries)
    num_out: int = 0

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles its hooks into snapshots, which are never restored. These hooks hold threads and open files.
        return (object, ())

    def next(self) -> Attempt | None:
        """Return the next attempt; None if none can start now."""
        attempt = self.retries.next()
        if attempt is None and (job := self.plan.next()) is not None:
            attempt = Attempt(job)
        self.num_out += attempt is not None
        return attempt

    def is_over(self) -> bool:
        """Whether no job is left and no running job can be retried."""
        return not self.num_out and not self.retries and self.plan.is_exhausted()

    def finish(self, attempt: Attempt, timed: Timed) -> None:
        """Process the result of a worker."""
        self.num_out -= 1
        if not (timed.out_of_memory and self.retries.goes_again(attempt, "memory")):
            self.on_finished(attempt.job, timed)

    def lose(self, attempt: Attempt, kind: FailureKind, cause: str) -> None:
        """Handle the loss of a worker: retry its job, or record it as failed with `cause`."""
        self.num_out -= 1
        if not self.retries.goes_again(attempt, kind):
            task = attempt.job.task
            timed = Timed(results=failed(task, cause), started_at=time.time(), duration_sec=0.0, device=task.device)
            self.on_finished(attempt.job, timed)


class _PlanSearcher(Searcher):  # type: ignore[misc]
    def __init__(self, driver: _Driver) -> None:
        super().__init__(metric=None, mode=None)
        self._driver = driver

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        attempt = self._driver.next()
        if attempt is not None:
            return {"attempt": attempt}
        return Searcher.FINISHED if self._driver.is_over() else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Do nothing: the receiver reports to the plan."""

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger is the source of truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger is the source of truth."""


class _AshaScheduler(FIFOScheduler):  # type: ignore[misc]
    def __init__(self, driver: _Driver) -> None:
        super().__init__()
        self._driver = driver
        self._live: list[Any] = []
        self._decided: dict[tuple[str, int], bool] = {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._live.append(trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Any | None:
        # In order of arrival, as by default, but without searching all finished trials at every step.
        self._live = [trial for trial in self._live if not trial.is_finished()]
        return next((trial for trial in self._live if trial.status == trial.PENDING), None)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        timed: Timed = result["timed"]
        brackets = self._driver.brackets
        if result["done"] or brackets is None:
            return str(self.CONTINUE)
        latest = timed.results[0].curve[-1]
        job: Job = trial.config["attempt"].job
        rung = job.keys[0], latest.epoch
        if rung not in self._decided:  # a retried trial reaches a rung again
            score = latest.validation[brackets.metric.name]
            loss = job.task.configuration.loss
            self._decided[rung] = brackets.goes_on(loss, job.search, latest.epoch, score)
        return str(self.CONTINUE if self._decided[rung] else self.STOP)


class _Receiver(tune.Callback):  # type: ignore[misc]
    def __init__(self, driver: _Driver) -> None:
        self._driver = driver
        self._running: dict[str, tuple[float, Any]] = {}
        self._hung: set[str] = set()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._running[trial.trial_id] = time.monotonic(), trial

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        limit_sec = self._driver.limit_sec
        if limit_sec is None:
            return
        for trial_id, (started, trial) in self._running.items():
            actor = trial.temporary_state.ray_actor
            if time.monotonic() - started > limit_sec and trial_id not in self._hung and actor is not None:
                self._hung.add(trial_id)
                ray.kill(actor)  # the only way to end a call that never returns

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        # Removed, so that Tune does not keep every curve and all weights in memory and in its snapshots.
        timed: Timed = result.pop("timed")
        if result["done"]:  # set by the trial itself, or by Tune after the scheduler stopped it
            self._running.pop(trial.trial_id, None)
            self._driver.finish(trial.config["attempt"], timed)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        # The training function turns exceptions into results, so an error here means that the worker was lost.
        self._running.pop(trial.trial_id, None)
        reason = _reason(trial)
        if OTHER_LIBRARIES in reason:
            found = reason[reason.rindex(OTHER_LIBRARIES) :]
            raise LosstuneError(f"{self._driver.source}: a worker of the cluster {found}")
        attempt: Attempt = trial.config["attempt"]
        if trial.trial_id in self._hung:
            minutes = (self._driver.limit_sec or 0.0) / SECONDS_A_MINUTE
            self._driver.lose(attempt, "time", f"took longer than resources.trial_time_limit, {minutes:g} minutes")
        elif any(sign in reason for sign in SIGNS_OF_A_LOST_NODE):
            self._driver.lose(
                attempt, "node", f"its node went away {MAX_RETRIES['node'] + 1} times: {in_one_line(reason)}"
            )
        else:
            self._driver.lose(attempt, "worker", f"the worker died twice: {in_one_line(reason)}")


def _reason(trial: Any) -> str:
    # Read where the driver writes it, because `Trial.get_error` reads a copy that Tune makes later.
    try:
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return " ".join(ESCAPES.sub("", text).split()) or "no reason given"
