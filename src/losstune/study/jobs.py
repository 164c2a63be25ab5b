"""Jobs: what a worker trains at once, the keys of the results in the ledger, and their records."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from losstune.core.errors import in_one_line
from losstune.core.files import digest
from losstune.core.records import Entry, Execution, Record, Role, Stage
from losstune.core.sources import code_digest
from losstune.losses.registry import get
from losstune.study.provenance import processor_name
from losstune.training.loop import train
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
    """

    results: list[TrainingResult]
    started_at: float
    duration_sec: float
    device: str
    processor: str | None = None
    out_of_memory: bool = False


SIGNS_OF_FULL_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)

Train = Callable[[Task, Arrays, tuple[int, ...]], Iterator[Timed]]
"""Trains a task, yielding at rungs and at the end; see :func:`train_timed`."""


def make_job(
    task: Task,
    stage: Stage,
    role: Role,
    indices: Sequence[int],
    data_digest: str,
    versions: Mapping[str, str],
    search: int = 0,
) -> Job:
    """Make the job of a task, with the keys of its trainings.

    A key is the hash of everything that determines the result: the content of the data, the task, the training code and
    the code of this loss (not of other losses), the kind of device, and the `versions` of the libraries that compute
    it. Paths, hosts and the number of workers are not part of it.
    """
    configuration = task.configuration
    base = {
        "data": data_digest,
        "configuration": configuration.model_dump(mode="json"),
        "model": task.model.model_dump(mode="json"),
        "training": task.training.model_dump(mode="json"),
        "device": task.device,
        "test": task.test,
        "weights": task.keep_weights,
        "code": code_digest("losstune.training.loop", get(configuration.loss).function.__module__),
        "metric": task.metric.model_dump(mode="json") if task.metric else None,
        "early_stopping": task.early_stopping,
        "versions": dict(versions),
    }
    keys = tuple(digest({**base, "seed": seed}) for seed in task.seeds)
    return Job(task=task, stage=stage, role=role, search=search, indices=tuple(indices), keys=keys)


def train_timed(task: Task, arrays: Arrays, rungs: tuple[int, ...]) -> Iterator[Timed]:
    """Train a task and time it. An exception becomes results with status ``"failed"`` and its message as cause."""
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
        loss = get(task.configuration.loss).bind(task.configuration.hyperparameters)
        for results in train(task, arrays, loss, rungs):
            yield timed(results)
    except Exception as error:  # a model or loss may raise anything; only its trial fails, not the study
        results = failed(task, f"{type(error).__name__}: {in_one_line(error)}")
        out_of_memory = is_out_of_memory(error)
        del error  # its traceback keeps references to the tensors that filled the memory
        if out_of_memory and torch.cuda.is_available():
            torch.cuda.empty_cache()
        yield timed(results, out_of_memory=out_of_memory)


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
        )
        entries.append((Entry(record=record, execution=execution), result.weights))
    return entries
