"""Several small trainings at once on a core: their networks are computed as one, see :mod:`losstune.models.grouped`.

Everything else, such as the loss, the optimiser and the scores, is each training's own. A training gives the same to
the last bit as alone, which is tried out on the machine first. So it may leave its group at any time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

import torch

from losstune.losses.spec import BoundLoss
from losstune.models.grouped import Grouped, agrees, can_be_grouped
from losstune.training.device_data import DeviceData
from losstune.training.reproducible import reproducible
from losstune.training.side_by_side import Alone, Ended, GoesOn, kind_of
from losstune.training.task import Arrays, Task
from losstune.training.training import Training

if TYPE_CHECKING:
    from losstune.models.chain import Chain

MOST = 8
"""Networks in a group. More gain little."""

MOST_BYTES = 800 * 2**10
"""Size of the first layer's outputs of a group. What does not fit the second-level cache of a core gains nothing."""


def train_grouped(
    tasks: Sequence[Task], losses: Sequence[BoundLoss], arrays: Arrays, rungs: tuple[int, ...], goes_on: GoesOn
) -> Iterator[Ended]:
    """Train tasks of one seed each in groups on a CPU; yield each when it ends.

    Args:
        tasks: What to train.
        losses: The loss of each task's configuration.
        arrays: The data.
        rungs: Epochs after which `goes_on` is asked.
        goes_on: Decides whether a training goes on after a rung.
    """
    kinds: dict[str, list[int]] = {}
    for number, (task, loss) in enumerate(zip(tasks, losses, strict=True)):
        if _may_be_grouped(task, loss) and most_in_group(task, arrays) > 1:
            kinds.setdefault(kind_of(task), []).append(number)
        else:
            yield _alone(number)
    for numbers in kinds.values():
        num_groups = -(-len(numbers) // most_in_group(tasks[numbers[0]], arrays))
        for place in range(num_groups):
            group = numbers[place::num_groups]
            left = set(group)
            try:
                for ended in _train_group(group, tasks, losses, arrays, rungs, goes_on):
                    left.discard(ended.number)
                    yield ended
            except Exception:  # one of them failed, and will do so again alone, where it ends no other
                yield from map(_alone, sorted(left))


def _train_group(
    numbers: Sequence[int],
    tasks: Sequence[Task],
    losses: Sequence[BoundLoss],
    arrays: Arrays,
    rungs: tuple[int, ...],
    goes_on: GoesOn,
) -> Iterator[Ended]:
    started_at, start = time.time(), time.perf_counter()
    data = DeviceData.of(arrays, torch.device("cpu"))
    with reproducible("cpu"):
        going = {
            number: Training(
                tasks[number],
                tasks[number].seeds[0],
                data.with_counts(losses[number], tasks[number].training.soft_labels),
                data,
                arrays.weights,
            )
            for number in numbers
        }
        epochs, group = tasks[numbers[0]].training.epochs, None
        for epoch in range(1, epochs + 1):
            if group is None:
                group = group_of(list(going.values()))
            group.run_epoch(epoch)
            for number, training in list(going.items()):
                is_last = epoch == epochs or training.is_over
                if not is_last and epoch not in rungs:
                    continue
                result = training.finish() if is_last else training.result("stopped")
                if is_last or not goes_on(number, result):
                    duration_sec = (time.perf_counter() - start) / len(numbers)
                    yield Ended(number=number, outcome=result, started_at=started_at, duration_sec=duration_sec)
                    del going[number]
                    group = None
            if not going:
                break


class Group:
    """Trainings that take their steps at the same time.

    Args:
        trainings: Trainings of one kind, none of which is over.
        are_grouped: Whether their networks are computed as one.
    """

    def __init__(self, trainings: Sequence[Training], *, are_grouped: bool) -> None:
        self._trainings = trainings
        self._network = Grouped([cast("Chain", one.network) for one in trainings]) if are_grouped else None

    def run_epoch(self, epoch: int) -> None:
        """Train one epoch, batch by batch, and score the models."""
        network, trainings = self._network, self._trainings
        if network is None:
            for training in trainings:
                training.run_epoch(epoch)
            return
        for training in trainings:
            training.network.train()
        totals = [torch.zeros(()) for _ in trainings]
        for batch, pairs in enumerate(zip(*(training.batches() for training in trainings), strict=True), 1):
            outputs = network([inputs for inputs, _ in pairs])
            means = []
            for training, logits, (_, target), total in zip(trainings, outputs, pairs, totals, strict=True):
                mean, batch_total = training.objective(logits, target)
                means.append(mean)
                total += batch_total
            torch.autograd.backward(means)
            if batch % trainings[0].accumulation == 0:
                network.hand_out_gradients()
            for training in trainings:
                training.update_after(batch)
        for training, total in zip(trainings, totals, strict=True):
            # By itself: the maps of the evaluated samples of several networks do not fit the cache.
            training.end_epoch(epoch, total, training.outputs(training.data.validation_images))


def group_of(trainings: Sequence[Training]) -> Group:
    """Return a group of trainings of one kind, whose networks are computed as one if this changes no bit."""
    first = trainings[0]
    if len(trainings) < 2 or not all(can_be_grouped(training.network) for training in trainings):
        return Group(trainings, are_grouped=False)
    shape = (first.batch_size, *first.data.input_shape)
    key = f"{first.task.model.model_dump_json()} {len(trainings)} {shape} {first.data.num_classes}"
    if key not in _agreed:
        state = torch.get_rng_state()
        _agreed[key] = agrees(cast("Chain", first.network), len(trainings), shape)
        torch.set_rng_state(state)
    return Group(trainings, are_grouped=_agreed[key])


_agreed: dict[str, bool] = {}


def most_in_group(task: Task, arrays: Arrays) -> int:
    """Return the most networks of a task's kind in a group."""
    num_samples = min(task.training.batch_size, len(arrays.train_labels))
    pixels = math.prod(arrays.train_images.shape[2:]) if task.model.name == "cnn" else 1
    return min(MOST, MOST_BYTES // (4 * num_samples * task.model.width * pixels))


def _may_be_grouped(task: Task, loss: BoundLoss) -> bool:
    """Return whether a training's network may be computed with others, as far as its settings tell.

    The network of another training must not take random numbers from it, and code of the user's own must not see it. An
    average of the weights reads them where they were at first.
    """
    return (
        task.model.name in {"cnn", "mlp"}
        and task.training.precision == "float32"
        and task.training.ema is None
        and len(task.seeds) == 1
        and loss.spec.head != "dropout"
        and loss.spec.origin is None
    )


def _alone(number: int) -> Ended:
    return Ended(number=number, outcome=Alone(""), started_at=time.time(), duration_sec=0.0)
