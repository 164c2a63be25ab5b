"""Many trainings at once on a GPU, which a single small one cannot fill.

The steps of a group of trainings are captured in one CUDA graph, in which each training has a branch of its own: the
kernels that it would run alone. So its result does not depend on the others.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from losstune.core.errors import in_one_line
from losstune.losses.spec import BoundLoss
from losstune.training.device_data import DeviceData
from losstune.training.device_steps import DeviceSteps, obstacle
from losstune.training.graphs import NUM_STREAMS, Called, Captured, Repeated
from losstune.training.reproducible import reproducible
from losstune.training.task import Arrays, Task, TrainingResult
from losstune.training.training import Training
from losstune.training.width import Width, width_of

GoesOn = Callable[[int, TrainingResult], bool]
"""Whether a training goes on after a rung: its number in the pack, and its result so far."""


@dataclass(frozen=True, slots=True)
class Alone:
    """The outcome of a training that cannot be captured: it has to be trained by itself, from the start.

    Attributes:
        reason: Why.
    """

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The end of a training.

    Attributes:
        number: Its number in the pack.
        outcome: Its result, or the error that ended it, or that it has to be trained by itself.
        started_at: Unix time of the start of its group, seconds.
        duration_sec: Its share of the wall-clock time of its group up to its end, in seconds.
        note: Why its steps are not captured although they could be; None if they are.
    """

    number: int
    outcome: TrainingResult | Exception | Alone
    started_at: float
    duration_sec: float
    note: str | None = None


@dataclass(frozen=True, slots=True)
class _Member:
    number: int
    task: Task
    loss: BoundLoss
    steps: DeviceSteps
    stream: torch.cuda.Stream | None


def train_side_by_side(
    tasks: Sequence[Task],
    losses: Sequence[BoundLoss],
    arrays: Arrays,
    rungs: tuple[int, ...],
    goes_on: GoesOn,
    width: int | None = None,
) -> Iterator[Ended]:
    """Train tasks of one seed each in groups; yield each when it ends.

    A group that runs out of memory is trained again in two halves. On a CPU, the same steps run one after another.

    Args:
        tasks: What to train, on one device.
        losses: The loss of each task's configuration.
        arrays: The data.
        rungs: Epochs after which `goes_on` is asked.
        goes_on: Decides whether a training goes on after a rung.
        width: Size of a group; None to measure the best one.
    """
    waiting: dict[str, deque[int]] = {}
    for number, task in enumerate(tasks):
        waiting.setdefault(_kind(task), deque()).append(number)
    for kind, numbers in waiting.items():
        best = width_of((kind, arrays.digest, tasks[numbers[0]].device), width)
        while numbers:
            group = [numbers.popleft() for _ in range(min(best.size, len(numbers)))]
            left = set(group)
            try:
                for ended in _train_group(group, tasks, losses, arrays, rungs, goes_on, best):
                    left.discard(ended.number)
                    yield ended
            except (torch.OutOfMemoryError, MemoryError) as error:
                if not best.shrink(len(group)):
                    yield Ended(number=group[0], outcome=error, started_at=time.time(), duration_sec=0.0)
                    left.discard(group[0])
                del error  # its traceback holds the tensors that filled the memory
                _free(torch.device(tasks[group[0]].device))
                numbers.extendleft(number for number in reversed(group) if number in left)


def _train_group(
    group: Sequence[int],
    tasks: Sequence[Task],
    losses: Sequence[BoundLoss],
    arrays: Arrays,
    rungs: tuple[int, ...],
    goes_on: GoesOn,
    width: Width,
) -> Iterator[Ended]:
    device = torch.device(tasks[group[0]].device)
    started_at, start = time.time(), time.perf_counter()
    lanes: _Lanes | None = None

    def ended(number: int, outcome: TrainingResult | Exception | Alone) -> Ended:
        duration_sec = (time.perf_counter() - start) / len(group)
        note = None if lanes is None else lanes.note
        return Ended(number=number, outcome=outcome, started_at=started_at, duration_sec=duration_sec, note=note)

    data = DeviceData.of(arrays, device)
    memory = _Memory(device)
    with reproducible(device.type):
        members = []
        for place, number in enumerate(group):
            made = _begun(number, tasks[number], losses[number], data, arrays, place)
            if isinstance(made, _Member):
                members.append(made)
            else:
                yield ended(number, made)
        epochs, lanes = tasks[group[0]].training.epochs, _Lanes(members, device)
        for epoch in range(1, epochs + 1):
            if not lanes.members:
                break
            lanes.run_epoch(epoch)
            going = []
            for member in lanes.members:
                training = member.steps.training
                if epoch == epochs or training.is_over:
                    yield ended(member.number, _finished(training))
                elif epoch in rungs and not goes_on(member.number, result := training.result("stopped")):
                    yield ended(member.number, result)
                else:
                    going.append(member)
            lanes.keep(going)
        width.add(len(group), time.perf_counter() - start, memory.taken() // len(group), memory.free)
        lanes, members = None, []
    memory.release()


def _begun(
    number: int, task: Task, loss: BoundLoss, data: DeviceData, arrays: Arrays, place: int
) -> _Member | Exception | Alone:
    """Build a training and try its steps out."""
    try:
        (seed,) = task.seeds
        training = Training(task, seed, data.with_counts(loss, task.training.soft_labels), data, arrays.weights)
        reason = obstacle(training)
        if reason is None:
            steps = DeviceSteps(training)
            stream = _stream(place) if _is_gpu(data.device) else None
            if stream is None:
                reason = steps.try_out()
            else:
                stream.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(stream):
                    reason = steps.try_out()
                torch.cuda.current_stream().wait_stream(stream)
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # a model or a loss may raise anything; only its own training fails
        return error
    return _Member(number, task, loss, steps, stream) if reason is None else Alone(reason)


def _finished(training: Training) -> TrainingResult | Exception:
    try:
        return training.finish()
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        return error


class _Lanes:
    """The trainings of a group that still go on."""

    def __init__(self, members: Sequence[_Member], device: torch.device) -> None:
        self.members = list(members)
        self._device = device
        self._step: Repeated | None = None
        self._evaluate: Repeated | None = None
        self._held: list[_Member] = []
        self.note: str | None = None

    def keep(self, members: Sequence[_Member]) -> None:
        """Go on with these only. A graph keeps the others, until they are at least half of it."""
        self.members = list(members)
        if 2 * len(self.members) <= len(self._held):
            self._step = self._evaluate = None

    def run_epoch(self, epoch: int) -> None:
        """Train an epoch of all and score them, with one transfer from the device."""
        if self._step is None or self._evaluate is None:
            self._held = list(self.members)
            self._step, self._evaluate = self._repeated()
        going = {member.number for member in self.members}
        for member in self._held:
            if member.number in going:
                member.steps.begin_epoch()
            else:  # it is trained on, for nothing, as long as the graph holds it
                member.steps.rewind()
        for _ in range(self.members[0].steps.num_updates):
            self._step()
        values = self._evaluate()
        assert values is not None, "scores are tensors"
        rows = dict(zip((member.number for member in self._held), values.tolist(), strict=True))
        for member in self.members:
            member.steps.read(epoch, rows[member.number])

    def _repeated(self) -> tuple[Repeated, Repeated]:
        steps = [member.steps.step for member in self._held]
        scores = [member.steps.evaluate for member in self._held]
        if not _is_gpu(self._device):
            return Called(steps), Called(scores)
        streams = [member.stream for member in self._held if member.stream is not None]
        pool = torch.cuda.graph_pool_handle()
        try:
            return Captured(steps, streams, pool), Captured(scores, streams, pool)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self.note = f"a CUDA graph could not be captured, so that every step is launched: {in_one_line(error)}"
            for member in self._held:
                member.steps.training.optimizer.zero_grad()
            return Called(steps), Called(scores)


class _Memory:
    """The memory of a GPU that is free, and that a group takes: all and nothing on a CPU."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._is_gpu = device, _is_gpu(device)
        self.free = sys.maxsize
        self._before = 0
        if self._is_gpu:
            _free(device)
            torch.cuda.reset_peak_memory_stats()
            self._before, self.free = torch.cuda.memory_reserved(), torch.cuda.mem_get_info()[0]

    def taken(self) -> int:
        """Return the bytes that the group took at most."""
        return torch.cuda.max_memory_reserved() - self._before if self._is_gpu else 0

    def release(self) -> None:
        """Give back what is free."""
        if self._is_gpu:
            _free(self._device)


def _is_gpu(device: torch.device) -> bool:
    return device.type == "cuda"


_streams: list[torch.cuda.Stream] = []


def _stream(place: int) -> torch.cuda.Stream:
    while len(_streams) <= place % NUM_STREAMS:
        _streams.append(torch.cuda.Stream())  # type: ignore[no-untyped-call]
    return _streams[place % NUM_STREAMS]


def _free(device: torch.device) -> None:
    if _is_gpu(device):
        torch.cuda.synchronize()
        torch.cuda.empty_cache()


def _kind(task: Task) -> str:
    """Return what trainings of a group have in common: the network, and the number and size of the steps."""
    training = task.training
    steps = (training.epochs, training.batch_size, training.accumulation, training.precision)
    return f"{task.model.model_dump_json()} {steps}"
