"""Many trainings on the cores and GPUs there are. The only importer of ray.

Tune runs the trials and nothing else: what to train comes from the plan, what is finished goes to the ledger, and
neither Tune's own snapshots nor its loggers are used.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from losstune.config import ResourceSettings
from losstune.errors import LosstuneError
from losstune.halving import Ladders
from losstune.plan import Plan
from losstune.training import Arrays, failed
from losstune.units import Timed, Train, Unit

MIN_PENDING = 16
TEMP_PREFIX = "losstune-ray-"


@dataclass(frozen=True, slots=True)
class Share:
    """What one trial gets.

    Attributes:
        cpus: CPU cores.
        gpus: GPUs, a fraction where several trials share one.
    """

    cpus: float
    gpus: float


def run(
    plan: Plan,
    train: Train,
    arrays: Arrays,
    ladders: Ladders | None,
    on_finished: Callable[[Unit, Timed], None],
    *,
    resources: ResourceSettings,
    share: Share,
) -> None:
    """Train every unit of the plan on a Ray that is started here, or on a running one if an address is given.

    Args:
        plan: What to train; `on_finished` is expected to tell it what is finished.
        train: The training function; must be importable by name in the workers.
        arrays: The data; put into Ray's object store once.
        ladders: Early stopping, or None.
        on_finished: Called in this process, with each unit and what came of it.
        resources: Concurrency and the address of a cluster.
        share: What one trial gets.

    Raises:
        LosstuneError: If no Ray answers at the address.
    """
    with _ray(resources) as folder:
        # A worker is used again only for a trial that is pending by then; Tune would keep a single one pending.
        num_pending = max(MIN_PENDING, 2 * int(ray.cluster_resources().get("CPU", 1)))
        os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", str(num_pending))
        # Tune would write all trials into a snapshot, ever more of them, every ten seconds or so; we restore none.
        os.environ.setdefault("TUNE_GLOBAL_CHECKPOINT_S", "1e9")
        # Tune's own handler would end an interrupted study as if it were whole.
        os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
        driver = _Driver(plan=plan, ladders=ladders, on_finished=on_finished)
        trainable = tune.with_parameters(
            _Trial, arrays=arrays, train=train, rungs=ladders.rungs if ladders is not None else ()
        )
        limit = None if resources.max_concurrent == "auto" else resources.max_concurrent
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": share.cpus, "gpu": share.gpus}),
            tune_config=tune.TuneConfig(
                search_alg=_PlanSearcher(driver),
                scheduler=_LadderScheduler(driver),
                num_samples=plan.total,
                max_concurrent_trials=limit,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="study",
                storage_path=str(folder),
                verbose=0,
                callbacks=[_Receiver(driver)],
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        )
        tuner.fit()


class _Trial(tune.Trainable):  # type: ignore[misc]
    """Runs in a worker: trains a unit up to its next rung at each step. One worker trains many units in turn."""

    def setup(self, config: dict[str, Any], *, arrays: Arrays, train: Train, rungs: tuple[int, ...]) -> None:
        self._arrays, self._train, self._rungs = arrays, train, rungs
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._progress: Iterator[Timed] = self._train(new_config["unit"].task, self._arrays, self._rungs)
        return True

    def step(self) -> dict[str, Any]:
        timed = next(self._progress)
        return {"timed": timed, "done": timed.outcomes[0].status != "stopped"}


@dataclass(eq=False)
class _Driver:
    """The driver's side of a run, shared by the three hooks that Tune calls."""

    plan: Plan
    ladders: Ladders | None
    on_finished: Callable[[Unit, Timed], None]

    def __reduce__(self) -> tuple[Any, ...]:
        # Tune pickles its hooks into snapshots that we never restore; ours hold threads and open files.
        return (object, ())


class _PlanSearcher(Searcher):  # type: ignore[misc]
    def __init__(self, driver: _Driver) -> None:
        super().__init__(metric=None, mode=None)
        self._driver = driver

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        unit = self._driver.plan.next()
        if unit is not None:
            return {"unit": unit}
        return Searcher.FINISHED if self._driver.plan.is_exhausted() else None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing to learn here: the plan is told by the receiver."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the ledger is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: the ledger is the truth."""


class _LadderScheduler(FIFOScheduler):  # type: ignore[misc]
    def __init__(self, driver: _Driver) -> None:
        super().__init__()
        self._driver = driver
        self._live: list[Any] = []

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._live.append(trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Any | None:
        # In the order in which they came, as by default, but without a look at all finished ones at every step.
        self._live = [trial for trial in self._live if not trial.is_finished()]
        return next((trial for trial in self._live if trial.status == trial.PENDING), None)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        timed: Timed = result["timed"]
        ladders = self._driver.ladders
        if result["done"] or ladders is None:
            return str(self.CONTINUE)
        latest = timed.outcomes[0].curve[-1]
        unit: Unit = trial.config["unit"]
        score = latest.validation[ladders.metric]
        goes_on = ladders.goes_on(unit.task.configuration.loss, unit.search, latest.epoch, score)
        return str(self.CONTINUE if goes_on else self.STOP)


class _Receiver(tune.Callback):  # type: ignore[misc]
    def __init__(self, driver: _Driver) -> None:
        self._driver = driver

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        # Taken out, so that Tune doesn't keep every curve and weight in memory and in its snapshots.
        timed: Timed = result.pop("timed")
        if result["done"]:  # set by the trial itself, or by Tune once the scheduler has stopped it
            self._driver.on_finished(trial.config["unit"], timed)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        # The training function turns exceptions into outcomes, so here the worker itself has died.
        unit: Unit = trial.config["unit"]
        reason = " ".join(str(trial.get_error() or "no reason given").split())
        outcomes = failed(unit.task, f"the worker died: {reason[:300]}")
        timed = Timed(outcomes=outcomes, started_at=time.time(), duration_sec=0.0, device=unit.task.device)
        self._driver.on_finished(unit, timed)


@contextmanager
def _ray(resources: ResourceSettings) -> Iterator[Path]:
    """Start Ray, or attach to it, and stop or leave it; gives a folder for Tune's files, removed at the end."""
    _remove_stale_folders()
    # Ray's sockets live in this folder, and their paths may not exceed 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix=f"{TEMP_PREFIX}{os.getpid()}-", dir=_short_temp()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    logging.getLogger("ray").setLevel(logging.ERROR)
    address = resources.ray_address or os.environ.get("RAY_ADDRESS")
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        if address:
            try:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise LosstuneError(
                    f"resources.ray_address: no Ray answers at {address!r}: {str(error).splitlines()[0]}"
                ) from None
        else:
            ray.init(
                address="local",
                num_cpus=available_cpus(),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _temp_dir=str(folder / "r"),
            )
        if threading.current_thread() is threading.main_thread():
            # Ray has put a handler in its place that aborts, and leaves its processes and files behind.
            signal.signal(signal.SIGTERM, on_sigterm)
        yield folder / "t"
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def available_cpus() -> int:
    """Return the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _short_temp() -> str:
    return tempfile.gettempdir() if len(tempfile.gettempdir()) <= 30 else "/tmp"


def _remove_stale_folders() -> None:
    # Of studies that were killed: Ray never cleans up after itself.
    for folder in Path(_short_temp()).glob(f"{TEMP_PREFIX}*"):
        owner = folder.name.removeprefix(TEMP_PREFIX).split("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def share_of(device: str, resources: ResourceSettings, num_per_gpu: int) -> Share:
    """Return what one trial gets: a core, and on a GPU its part of one.

    Args:
        device: ``"cpu"`` or ``"cuda"``.
        resources: With the user's own number of trials a GPU, or ``"auto"``.
        num_per_gpu: What ``"auto"`` means for this model.
    """
    if device == "cpu":
        return Share(cpus=1, gpus=0)
    return Share(
        cpus=1, gpus=1 / (num_per_gpu if resources.trials_per_gpu == "auto" else resources.trials_per_gpu)
    )
