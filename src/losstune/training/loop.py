"""The training loop: one configuration and several seeds in, one result per seed out."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from losstune.losses.spec import BoundLoss
from losstune.training.device_data import DeviceData
from losstune.training.reproducible import reproducible
from losstune.training.task import Arrays, Task, TrainingResult
from losstune.training.training import Training


def train(task: Task, arrays: Arrays, loss: BoundLoss, rungs: tuple[int, ...] = ()) -> Iterator[list[TrainingResult]]:
    """Train one model per seed with `loss`, the loss of the task's configuration.

    Yields the results so far, with status ``"stopped"``, after every epoch in `rungs` except the last, so that the
    caller can stop there. At the end it yields the final results, one per seed in order. A training whose loss or
    outputs become NaN or infinite ends as ``"diverged"`` with the worst scores.
    """
    data = DeviceData.of(arrays, torch.device(task.device))
    with reproducible(task.device):
        loss = data.with_counts(loss, task.training.soft_labels)
        trainings = [Training(task, seed, loss, data, arrays.weights) for seed in task.seeds]
        for epoch in range(1, task.training.epochs + 1):
            for training in trainings:
                training.run_epoch(epoch)
            if all(training.is_over for training in trainings):
                break
            if epoch in rungs and epoch < task.training.epochs:
                yield [training.result("stopped") for training in trainings]
        yield [training.finish() for training in trainings]
