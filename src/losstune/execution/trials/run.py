"""Run a plan's jobs with Ray Tune, report their results to the caller, and retry jobs whose worker was lost."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.error import TuneError
from ray.tune.execution import class_cache
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from losstune.config.schema import ResourceSettings
from losstune.core.errors import LosstuneError, in_one_line
from losstune.core.machine import num_cores
from losstune.core.records import Entry
from losstune.execution.cluster import address_source, cluster_address
from losstune.execution.resources import TrialResources
from losstune.execution.trials.connection import WORKER, connected
from losstune.execution.trials.driver import Driver, Running
from losstune.execution.trials.retries import MAX_RETRIES
from losstune.execution.trials.worker import OTHER_LIBRARIES, Asha, PackTrial
from losstune.execution.warm import Place
from losstune.study.asha import Brackets, Decisions
from losstune.study.jobs import Job, TrainPack
from losstune.study.ledger_writer import LedgerWriter
from losstune.study.packs import Packs
from losstune.study.plan import Plan
from losstune.training.sharing import SharedArrays, unmapped
from losstune.training.task import Arrays

MIN_PENDING = 16
SECONDS_A_MINUTE = 60.0
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
SIGNS_OF_A_LOST_NODE = ("node has died", "node was terminated", "NodeDiedError", "node died", "node is dead")
"""Matches the cause in Ray's message about a dead actor. The exception class does not reveal the cause."""


def run(
    plan: Plan,
    train: TrainPack,
    arrays: Arrays,
    brackets: Brackets | None,
    writer: LedgerWriter,
    on_finished: Callable[[Job, Entry], None],
    *,
    resources: ResourceSettings,
    per_trial: TrialResources,
    versions: Mapping[str, str] | None = None,
    place: Place | None = None,
    stays: bool = False,
) -> None:
    """Train every job of the plan on Ray, either started here or running at an address.

    A worker on this machine stores each training itself, as soon as it ends. On a cluster, or with a time limit, this
    process does. If the worker of a job is lost, the job is retried as in :mod:`losstune.execution.trials.retries`, or
    else fails.

    Args:
        plan: What to train; `on_finished` must report finished jobs to it.
        train: The training function; workers must be able to import it by name.
        arrays: The data. Workers on this machine map its files; to a cluster, it goes through Ray's object store, once
            a node.
        brackets: Early stopping, or None.
        writer: Stores finished trainings.
        on_finished: Called in this process with each job and its entry in the ledger.
        resources: Concurrency and the address of a cluster.
        per_trial: The resources of one trial, and how many jobs make one.
        versions: Required versions of the libraries of a worker; None if workers use this installation.
        place: Where Ray may stay up between stages, if anywhere.
        stays: Whether Ray stays up for the next stage if this one succeeds.

    Raises:
        LosstuneError: If no Ray answers at the address, a worker has other versions of the libraries, or a training
            cannot be stored.
    """
    limit = None if resources.max_concurrent == "auto" else resources.max_concurrent
    # A Ray that starts here for trainings on cores has as many workers as are allowed.
    is_limited = per_trial.gpus == 0 and cluster_address(resources) is None
    most = min(limit or num_cores(), num_cores() if stays else plan.total - plan.num_finished)
    with connected(resources, most if is_limited else None, place, stays=stays) as folder:
        # A worker is reused only if a trial is pending by then, and Tune by default keeps only one pending.
        num_pending = max(MIN_PENDING, 2 * int(_cores(ray.cluster_resources())))
        os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", str(num_pending))
        # Tune would write a growing snapshot of all trials about every ten seconds, which is never restored.
        os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "1e9")
        # Tune's own handler would end an interrupted study as if it were complete.
        os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
        is_cluster, has_limit = cluster_address(resources) is not None, resources.trial_time_limit is not None
        side_by_side, num_workers = per_trial.gpus > 0, _num_workers(per_trial, resources)
        driver = Driver(
            packs=Packs(plan, per_trial.most, num_workers, side_by_side=side_by_side),
            writer=writer,
            on_finished=on_finished,
            side_by_side=side_by_side,
        )
        trainable = tune.with_parameters(
            PackTrial,
            arrays=unmapped(arrays) if is_cluster else SharedArrays.of(arrays),
            train=train,
            asha=None if brackets is None else _asha(brackets),
            writer=None if is_cluster or has_limit else writer,
            versions=dict(versions or {}),
        )
        tuner = tune.Tuner(
            tune.with_resources(trainable, _Request(per_trial, is_cluster=is_cluster)),
            tune_config=tune.TuneConfig(
                search_alg=_PlanSearcher(driver),
                scheduler=_InOrder(num_workers),
                num_samples=-1,  # until the searcher has no more trials
                max_concurrent_trials=None if is_limited else limit,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="study",
                storage_path=str(folder),
                verbose=0,
                progress_reporter=_Silent(),
                callbacks=[_Receiver(driver, resources)],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        try:
            with nullcontext() if is_cluster else _in_waiting_workers():
                tuner.fit()
        except TuneError:
            if driver.problem is not None:  # Tune has only its traceback
                raise driver.problem from None
            raise


@contextmanager
def _in_waiting_workers() -> Iterator[None]:
    """Let Tune use the workers that wait for work.

    Tune sets environment variables for its workers. Ray then starts new processes, although those that wait have got
    the same variables from this process.
    """

    def get(self: Any, trainable: Any) -> Any:
        if trainable not in self._cache:
            self._cache[trainable] = ray.remote(trainable)
        return self._cache[trainable]

    original = class_cache._ActorClassCache.get
    class_cache._ActorClassCache.get = get
    try:
        yield
    finally:
        class_cache._ActorClassCache.get = original


def _num_workers(per_trial: TrialResources, resources: ResourceSettings) -> Callable[[], int]:
    def number() -> int:
        # Computed each time, because a node may have joined or left.
        found = ray.cluster_resources()
        num = found.get("GPU", 0.0) / per_trial.gpus if per_trial.gpus else _cores(found) / per_trial.cpus
        return int(num) if resources.max_concurrent == "auto" else min(int(num), resources.max_concurrent)

    return number


def _cores(resources: Mapping[str, float]) -> float:
    return resources.get(WORKER, resources.get("CPU", 0.0))


def _asha(brackets: Brackets) -> Asha:
    # Needs no core, or else it would take one from the trainings.
    return Asha(ray.remote(num_cpus=0)(Decisions).remote(brackets), brackets.rungs, brackets.metric)


class _Silent(tune.ProgressReporter):  # type: ignore[misc]
    """Shows nothing. In a notebook, Tune's own reporter would clear the output of the cell."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        return False

    def report(self, trials: list[Any], done: bool, *sys_info: str) -> None:
        pass


class _Request:
    """The resources that Tune requests from Ray for each trial."""

    def __init__(self, per_trial: TrialResources, *, is_cluster: bool) -> None:
        self._per_trial, self._is_cluster = per_trial, is_cluster

    def __call__(self, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        # Computed each time, because a node may have joined or left.
        nodes = [
            (_cores(node["Resources"]), node["Resources"].get("GPU", 0.0)) for node in ray.nodes() if node["Alive"]
        ]
        per_trial = self._per_trial.fitted(nodes)
        if config["pack"].alone:
            per_trial = per_trial.alone(nodes)
        bundle = {"CPU": per_trial.cpus, "GPU": per_trial.gpus}
        return tune.PlacementGroupFactory([bundle | ({} if self._is_cluster else {WORKER: per_trial.cpus})])


class _PlanSearcher(Searcher):  # type: ignore[misc]
    def __init__(self, driver: Driver) -> None:
        super().__init__(metric=None, mode=None)
        self._driver = driver

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        pack = self._driver.next()
        if pack is not None:
            return {"pack": pack}
        return Searcher.FINISHED if self._driver.is_over() else None

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Do nothing: the receiver reports to the plan."""

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger is the source of truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger is the source of truth."""


class _InOrder(FIFOScheduler):  # type: ignore[misc]
    """Trials run in order of arrival, but a worker that is free leaves those alone whose own worker is just starting.

    Tune would give it the first one that waits, and end the worker that was started for that one.
    """

    def __init__(self, num_workers: Callable[[], int]) -> None:
        super().__init__()
        self._num_workers = num_workers
        self._live: list[Any] = []

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._live.append(trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Any | None:
        # Without searching all finished trials at every step, as Tune does.
        self._live = [trial for trial in self._live if not trial.is_finished()]
        waiting = [trial for trial in self._live if trial.status == trial.PENDING]
        num_running = len(self._live) - len(waiting)
        num_starting = max(0, self._num_workers() - num_running - 1)
        return waiting[min(num_starting, len(waiting) - 1)] if waiting else None


class _Receiver(tune.Callback):  # type: ignore[misc]
    def __init__(self, driver: Driver, resources: ResourceSettings) -> None:
        self._driver = driver
        self._source, self._limit_min = address_source(resources), resources.trial_time_limit
        self._running: dict[str, tuple[Running, Any]] = {}
        self._hung: set[str] = set()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._running[trial.trial_id] = self._driver.start(trial.config["pack"]), trial

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self._limit_min is None:
            return
        limit_sec = SECONDS_A_MINUTE * self._limit_min
        for trial_id, (running, trial) in self._running.items():
            actor = trial.temporary_state.ray_actor
            if time.monotonic() - running.latest > limit_sec and trial_id not in self._hung and actor is not None:
                self._hung.add(trial_id)
                ray.kill(actor)  # the only way to end a call that never returns

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        # Removed, so that Tune does not keep every curve and all weights in memory and in its snapshots.
        found = result.pop("found")
        self._driver.take(self._running[trial.trial_id][0], found)
        if result["done"]:
            del self._running[trial.trial_id]
            self._driver.end()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        # The training function turns exceptions into results, so an error here means that the worker was lost.
        reason = _reason(trial)
        if OTHER_LIBRARIES in reason:
            found = reason[reason.rindex(OTHER_LIBRARIES) :]
            raise LosstuneError(f"{self._source}: a worker of the cluster {found}")
        running, _ = self._running.pop(trial.trial_id, (self._driver.start(trial.config["pack"]), trial))
        if trial.trial_id in self._hung:
            minutes = self._limit_min or 0.0
            self._driver.lose(running, "time", f"took longer than resources.trial_time_limit, {minutes:g} minutes")
        elif any(sign in reason for sign in SIGNS_OF_A_LOST_NODE):
            times = MAX_RETRIES["node"] + 1
            self._driver.lose(running, "node", f"its node went away {times} times: {in_one_line(reason)}")
        else:
            self._driver.lose(running, "worker", f"the worker died twice: {in_one_line(reason)}")


def _reason(trial: Any) -> str:
    # Read where the driver writes it, because `Trial.get_error` reads a copy that Tune makes later.
    try:
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return " ".join(ESCAPES.sub("", text).split()) or "no reason given"
