"""Jobs: what a worker trains at once, the keys of the results in the ledger, and their records."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import torch

from losstune.config.metrics import Named, measure_of
from losstune.config.settings import TrainingSettings
from losstune.core import own_code
from losstune.core.errors import in_one_line
from losstune.core.files import digest
from losstune.core.own_code import is_own, name_of
from losstune.core.records import Entry, Execution, Record, Role, Stage
from losstune.core.sources import code_digest
from losstune.losses.registry import get, use_own
from losstune.losses.spec import BoundLoss
from losstune.study.provenance import processor_name
from losstune.training.loop import train
from losstune.training.side_by_side import Alone, GoesOn, train_side_by_side
from losstune.training.task import Arrays, Task, TrainingResult, failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One configuration with one or more seeds, which a worker trains at once.

    Attributes:
        task: What to train.
        stage: The stage that needs it.
        role: Its purpose, such as trial, block or control.
        search: Number of the loss's independent search, from 0.
        indices: Trial or block number of each of the task's seeds, within that search.
        keys: Identity of each of the task's seeds.
    """

    task: Task
    stage: Stage
    role: Role
    search: int
    indices: tuple[int, ...]
    keys: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return, say, ``focal #0.3`` for the first search's trial 3, or ``focal, block 0.3``."""
        numbers = "+".join(f"{self.search}.{index}" for index in self.indices)
        loss = self.task.configuration.loss
        return {
            "trial": f"{loss} #{numbers}",
            "block": f"{loss}, block {numbers}",
            "degraded": f"{loss} degraded, block {numbers}",
        }.get(self.role, f"{loss}, control")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Training results with their time and device, as a worker returns them.

    Attributes:
        results: One per seed.
        started_at: Unix time, seconds.
        duration_sec: Wall-clock time per seed, in seconds: that of the job divided by its number of seeds.
        device: Such as ``"cpu"``.
        processor: Model of that CPU or GPU.
        out_of_memory: Whether the training failed because the device or the host ran out of memory.
        note: What the user should know about how it was trained; None for nothing.
    """

    results: list[TrainingResult]
    started_at: float
    duration_sec: float
    device: str
    processor: str | None = None
    out_of_memory: bool = False
    note: str | None = None


SIGNS_OF_FULL_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def make_job(
    task: Task,
    stage: Stage,
    role: Role,
    indices: Sequence[int],
    data_digest: str,
    versions: Mapping[str, str],
    search: int = 0,
    own: Mapping[str, str] | None = None,
) -> Job:
    """Make the job of a task, with the keys of its trainings.

    A key is the hash of everything that determines the result: the content of the data, the task, the training code and
    the code of this loss (not of other losses), the kind of device, and the `versions` of the libraries that compute
    it. Paths, hosts and the number of workers are not part of it. `own` has a digest of the user's own code for each
    door that it comes in by, and of the content of the pretrained weights.
    """
    configuration, loss = task.configuration, get(task.configuration.loss)
    loss_module = loss.function.__module__ if loss.origin is None else "losstune.losses.own"
    loops = [loop_module(task.training)]
    if task.device == "cuda" and task.training.loop is None:
        loops.append("losstune.training.side_by_side")
    base = {
        "data": data_digest,
        "configuration": configuration.model_dump(mode="json"),
        "model": _without_place(task.model.model_dump(mode="json", exclude={"weights", "download"})),
        "training": {key: _without_place(value) for key, value in task.training.model_dump(mode="json").items()},
        "device": task.device,
        "test": task.test,
        "weights": task.keep_weights,
        "code": code_digest(*loops, loss_module),
        "own": dict(own or {}),
        "metric": [_metric(metric) for metric in sorted(task.metrics, key=lambda m: measure_of(m).name)] or None,
        "early_stopping": task.early_stopping,
        "versions": dict(versions),
    }
    # A loop of the user's own may return scores in the units of the study's metric, and patience watches it.
    if task.training.loop or task.training.patience:
        base["score"] = task.score
    keys = tuple(digest({**base, "seed": seed}) for seed in task.seeds)
    return Job(task=task, stage=stage, role=role, search=search, indices=tuple(indices), keys=keys)


def loop_module(training: TrainingSettings) -> str:
    """Return the module that trains: losstune's own loop, or what runs a loop of the user's own."""
    return "losstune.training.loop" if training.loop is None else "losstune.training.own_loop"


def _metric(metric: Named) -> Any:
    return metric if isinstance(metric, str) else _without_place(metric.model_dump(mode="json", exclude={"percent"}))


def _without_place(value: Any) -> Any:
    """Return a section that names a user's callable without the callable's file, which may move."""
    if isinstance(value, list):
        return [_without_place(item) for item in value]
    if isinstance(value, dict) and is_own(str(value.get("name", ""))):
        return value | {"name": name_of(value["name"])}
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCode:
    """The user's own code of a study, for a worker.

    Attributes:
        bundle: Its source.
        losses: References of the user's own losses.
    """

    bundle: own_code.Bundle
    losses: tuple[str, ...]

    def install(self) -> None:
        """Make it usable in this process; a second time does nothing."""
        global _installed
        if _installed is not self:
            own_code.install(self.bundle)
            use_own(self.losses)
            _installed = self


_installed: OwnCode | None = None


def train_timed(
    task: Task, arrays: Arrays, rungs: tuple[int, ...], own: OwnCode | None = None
) -> Generator[Timed, None, None]:
    """Train a task and time it. An exception becomes results with status ``"failed"`` and its message as cause.

    Args:
        task: What to train.
        arrays: The data.
        rungs: Epochs after which to yield, see :func:`losstune.training.loop.train`.
        own: The user's own code, if this process does not have it yet.
    """
    started_at, start = time.time(), time.perf_counter()

    def timed(results: list[TrainingResult], *, out_of_memory: bool = False) -> Timed:
        return Timed(
            results=results,
            started_at=started_at,
            duration_sec=(time.perf_counter() - start) / len(task.seeds),
            device=task.device,
            processor=processor_name(task.device),
            out_of_memory=out_of_memory,
        )

    try:
        if own is not None:
            own.install()
        loss = get(task.configuration.loss).bind(task.configuration.hyperparameters)
        for results in _trained(task, arrays, loss, rungs):
            yield timed(results)
    except Exception as error:  # a model or loss may raise anything; only its trial fails, not the study
        results = failed(task, _cause(error))
        out_of_memory = is_out_of_memory(error)
        del error  # its traceback keeps references to the tensors that filled the memory
        if out_of_memory and torch.cuda.is_available():
            torch.cuda.empty_cache()
        yield timed(results, out_of_memory=out_of_memory)


TrainPack = Callable[[Sequence[Task], Arrays, tuple[int, ...], GoesOn], Iterator[tuple[int, Timed]]]
"""Trains a pack of tasks, see :func:`train_pack`."""


def train_pack(
    tasks: Sequence[Task],
    arrays: Arrays,
    rungs: tuple[int, ...],
    goes_on: GoesOn,
    own: OwnCode | None = None,
    width: int | None = None,
) -> Iterator[tuple[int, Timed]]:
    """Train several tasks in this process; yield the number of each, from 0, and its result when it ends.

    On a GPU they are trained side by side, if losstune's own loop trains them. The result of a training does not depend
    on the others. They may end in any order.

    Args:
        tasks: What to train.
        arrays: The data.
        rungs: Epochs after which `goes_on` is asked.
        goes_on: Decides whether a training goes on after a rung.
        own: As for :func:`train_timed`.
        width: How many are trained side by side on a GPU; None to measure it.
    """
    alone = dict.fromkeys(range(len(tasks)), None)
    if tasks[0].device == "cuda" and tasks[0].training.loop is None:
        alone = yield from _together(tasks, arrays, rungs, goes_on, own, width)
    for number, note in alone.items():
        with closing(train_timed(tasks[number], arrays, rungs, own)) as steps:
            for timed in steps:
                if timed.results[0].status != "stopped" or not goes_on(number, timed.results[0]):
                    break
        yield number, replace(timed, note=note)


def _together(
    tasks: Sequence[Task],
    arrays: Arrays,
    rungs: tuple[int, ...],
    goes_on: GoesOn,
    own: OwnCode | None,
    width: int | None,
) -> Generator[tuple[int, Timed], None, dict[int, str | None]]:
    """Train side by side what can be; return the numbers of the other tasks, each with the reason."""
    if own is not None:
        own.install()
    losses = [get(task.configuration.loss).bind(task.configuration.hyperparameters) for task in tasks]
    alone: dict[int, str | None] = {}
    for ended in train_side_by_side(tasks, losses, arrays, rungs, goes_on, width):
        task, outcome = tasks[ended.number], ended.outcome
        if isinstance(outcome, Alone):
            alone[ended.number] = f"{outcome.reason}, so that trainings follow one another on a GPU"
            continue
        yield (
            ended.number,
            Timed(
                results=[outcome] if isinstance(outcome, TrainingResult) else failed(task, _cause(outcome)),
                started_at=ended.started_at,
                duration_sec=ended.duration_sec,
                device=task.device,
                processor=processor_name(task.device),
                out_of_memory=isinstance(outcome, Exception) and is_out_of_memory(outcome),
                note=ended.note,
            ),
        )
    return alone


def _cause(error: Exception) -> str:
    return f"{type(error).__name__}: {in_one_line(error)}"


def _trained(
    task: Task, arrays: Arrays, loss: BoundLoss, rungs: tuple[int, ...]
) -> Generator[list[TrainingResult], None, None]:
    if task.training.loop is None:
        yield from train(task, arrays, loss, rungs)
    else:
        from losstune.training import own_loop  # only a study with a loop of its own needs greenlets

        yield from own_loop.train(task, arrays, loss, rungs)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether `error` means that a device or the host ran out of memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # The CPU allocator, cuBLAS and cuDNN raise a plain RuntimeError.
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS_OF_FULL_MEMORY)


_SHARED = TrainingResult.__annotations__.keys() & Record.model_fields.keys()
"""Fields that a record takes from the training's result as they are."""


def entries_of(job: Job, timed: Timed, commit: str | None) -> list[tuple[Entry, bytes | None]]:
    """Turn a worker's results into ledger entries, each with its weights if they are to be kept."""
    entries = []
    for key, index, seed, result in zip(job.keys, job.indices, job.task.seeds, timed.results, strict=True):
        record = Record(
            key=key,
            stage=job.stage,
            role=job.role,
            search=job.search,
            index=index,
            seed=seed,
            configuration=job.task.configuration,
            **{name: getattr(result, name) for name in _SHARED},
        )
        execution = Execution(
            key=key,
            started_at=timed.started_at,
            duration_sec=timed.duration_sec,
            device=timed.device,
            commit=commit,
            processor=timed.processor,
            note=timed.note,
        )
        entries.append((Entry(record=record, execution=execution), result.weights))
    return entries
