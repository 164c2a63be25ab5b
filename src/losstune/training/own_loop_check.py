"""Try a training loop of the user's own on a few samples, before anything trains."""

from __future__ import annotations

import traceback
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from losstune.config.settings import OwnSettings
from losstune.core.errors import LosstuneError, in_one_line
from losstune.core.metric import STANDARD
from losstune.core.own_code import local_files
from losstune.losses.spec import BoundLoss
from losstune.training.job import KEY
from losstune.training.own_loop import train
from losstune.training.task import Arrays, Task, TrainingResult

TRAIN_SAMPLES, VALIDATION_SAMPLES = 64, 256
"""Samples that a loop is tried on. Scores of fewer validation samples are often equal by chance."""

SEEDS = (1, 2, 3)


def check_loop(task: Task, arrays: Arrays, loss: BoundLoss) -> list[str]:
    """Run the loop for one epoch with a seed, again with it, and with other seeds.

    The test split is not read: validation samples stand in for it. Data that the loop reads itself is not made smaller,
    but ``job.is_check`` tells the loop that a few samples will do.

    Args:
        task: A training of the study.
        arrays: The data, without its test split.
        loss: The loss of the task's configuration.

    Returns:
        Notes for the user, one sentence each.

    Raises:
        LosstuneError: If the loop raises or breaks the contract.
    """
    own = _own(task)
    first, *others = (try_loop(replace(task, seeds=(seed,)), arrays, loss) for seed in SEEDS)
    again = try_loop(replace(task, seeds=SEEDS[:1]), arrays, loss)
    for result in (first, again, *others):
        if result.status == "diverged":
            return [f"{own.name} diverged on a few samples: {result.cause}"]
    missing = [name for name in task.worst_scores().keys() - STANDARD if name not in first.validation]
    notes = [f"{own.name} returns a number, so {', '.join(sorted(missing))} can't be computed"] if missing else []
    if first.validation != again.validation:
        notes.append(
            f"{own.name}: the same seed gives different scores, so no result can be repeated, and losses are not "
            "paired as well; draw random numbers from the global generators or job.generator(...) alone"
        )
    elif all(other.validation == first.validation for other in others):
        notes.append(
            f"{own.name}: {len(SEEDS)} seeds give the same score; if it sets a seed of its own, blocks differ in "
            "nothing, and the study can't tell chance from a difference"
        )
    return notes


def try_loop(task: Task, arrays: Arrays, loss: BoundLoss) -> TrainingResult:
    """Run the loop for one epoch on a few samples, with the task's seed; arguments as in :func:`check_loop`."""
    own, part = _own(task), _few(arrays) if arrays.has_samples else arrays
    size = max(2, min(task.training.batch_size, len(part.train_labels) // 2 or task.training.batch_size))
    training = task.training.model_copy(update={"epochs": 1, "batch_size": size})
    task = replace(task, training=training, test=arrays.has_samples, keep_weights=True)
    found = f"{KEY}: {own.name}"
    try:
        *_, (result,) = train(task, part, loss, is_check=True)
    except LosstuneError:
        raise
    except Exception as error:
        where = _place(error, local_files(own.name, KEY))
        raise LosstuneError(f"{found} raises{where}: {type(error).__name__}: {in_one_line(error)}") from None
    return result


def _own(task: Task) -> OwnSettings:
    assert isinstance(task.training.loop, OwnSettings), "the caller checks it"
    return task.training.loop


def _place(error: Exception, files: list[Path]) -> str:
    """Return the last line of the user's own code that the error passed."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).resolve() in files]
    return f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""


def _few(arrays: Arrays) -> Arrays:
    """Return a few samples of each class, with validation samples in place of the test split."""
    train = _stratified(arrays.train_labels, TRAIN_SAMPLES, arrays.num_classes)
    validation = _stratified(arrays.validation_labels, VALIDATION_SAMPLES, arrays.num_classes)
    few = arrays.part(train, validation, "a few samples")
    return replace(
        few, test_images=few.validation_images, test_labels=few.validation_labels, test_targets=few.validation_targets
    )


def _stratified(labels: NDArray[np.int64], number: int, num_classes: int) -> NDArray[np.int64]:
    each = max(2, number // num_classes)
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:each] for label in range(num_classes)]))
