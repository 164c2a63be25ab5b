"""A training loop of the user's own: ``train(job, **options) -> losstune.Result``.

The loop runs in a greenlet: :meth:`losstune.training.job.Job.report` returns to the caller of :func:`train` at a rung
of early stopping, and the loop goes on, or ends, when the caller says so.
"""

from __future__ import annotations

import inspect
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from greenlet import getcurrent, greenlet
from safetensors.torch import save
from torch import Tensor

from losstune.config.settings import OwnSettings
from losstune.core.errors import LosstuneError, in_one_line
from losstune.core.own_code import load
from losstune.core.records import Epoch, Status
from losstune.core.seeds import derive_seed
from losstune.losses.spec import BoundLoss
from losstune.training.device_data import DeviceData
from losstune.training.job import KEY, Job, Result, Score, Stopped
from losstune.training.own_scores import Scores
from losstune.training.reproducible import kept_global_state, reproducible
from losstune.training.task import Arrays, Task, TrainingResult


def train(
    task: Task, arrays: Arrays, loss: BoundLoss, rungs: tuple[int, ...] = (), *, is_check: bool = False
) -> Iterator[list[TrainingResult]]:
    """Train as :func:`losstune.training.loop.train` does, with the loop of ``task.training.loop``.

    With several seeds, one training follows another, and none stops early.

    Args:
        task: What to train.
        arrays: The data. Without samples, the loop reads its data itself.
        loss: The loss of the task's configuration.
        rungs: Epochs after which to yield.
        is_check: Whether the training only tries the loop.

    Raises:
        LosstuneError: If the loop breaks the contract; the message names the key, what was found and what is expected.
    """
    data = DeviceData.of(arrays, torch.device(task.device)) if arrays.has_samples else None
    results = []
    with reproducible(task.device), kept_global_state():
        for seed in task.seeds:
            training = _Training(task, seed, loss, data, arrays, rungs, is_check=is_check)
            for stopped in training.run():
                if len(task.seeds) == 1:
                    yield [stopped]
            results.append(training.result)
    yield results


class _Training:
    """One run of the loop."""

    result: TrainingResult

    def __init__(
        self,
        task: Task,
        seed: int,
        loss: BoundLoss,
        data: DeviceData | None,
        arrays: Arrays,
        rungs: tuple[int, ...],
        *,
        is_check: bool,
    ) -> None:
        assert isinstance(task.training.loop, OwnSettings), "the caller trains with losstune's own loop otherwise"
        self.task, self.seed, self.data, self.rungs, self.own = task, seed, data, rungs, task.training.loop
        self.found = f"{KEY}: {self.own.name}"
        self.scores = Scores(task, loss, data, self.found)
        root = None if arrays.root is None else Path(arrays.root)
        num_classes = arrays.num_classes or None
        self.job = Job(
            task,
            seed,
            loss,
            data,
            self._report,
            data_root=root,
            num_classes=num_classes,
            is_check=is_check,
            weights=arrays.weights,
        )
        self.curve: list[Epoch] = []
        self.cause: str | None = None
        self.mistake: LosstuneError | None = None
        self.is_over = False
        self.thread = threading.get_ident()
        self.greenlet = greenlet(self._call)

    def run(self) -> Iterator[TrainingResult]:
        """Run the loop; yield the result so far at each rung. If the caller does not go on, the loop is ended."""
        versions = self._versions()
        seed = derive_seed(self.seed, "initialisation")
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - for code that uses the global generator
        random.seed(seed)
        try:
            returned = self.greenlet.switch()
            while not self.greenlet.dead:
                yield self._result("stopped")
                self.greenlet.parent = getcurrent()
                returned = self.greenlet.switch()
        except Exception:
            # A loop may turn our error into another one.
            if self.mistake is not None:
                raise self.mistake from None
            raise
        finally:
            self._end()
        if self._versions() != versions:
            DeviceData.forget()
            raise LosstuneError(f"{self.found} changes the job's data in place, which other trainings use; copy it")
        self.result = self._finished(returned)

    def _call(self) -> Any:
        function = load(self.own.name, KEY)
        try:
            inspect.signature(function).bind(self.job, **self.own.options)
        except (TypeError, ValueError) as error:
            arguments = ", ".join(["job", *self.own.options])
            raise LosstuneError(
                f"{self.found} can't be called with {arguments}: {in_one_line(error)}; expected train(job, ...) with "
                f"{KEY}.options as further arguments"
            ) from None
        try:
            return function(self.job, **self.own.options)
        except Stopped:
            return None

    def _end(self) -> None:
        """End a loop that waits at a rung. If it catches the exception, its next report raises another one."""
        self.is_over = True
        if not self.greenlet.dead:
            with suppress(Exception, Stopped):
                self.greenlet.throw(Stopped("early stopping"))

    def _report(self, epoch: int, score: Score, train_loss: float) -> None:
        if self.is_over:
            raise Stopped(self.cause or "early stopping")
        expected, epochs = len(self.curve) + 1, self.task.training.epochs
        if threading.get_ident() != self.thread:
            self._fail("calls job.report in another thread, expected the thread that called the loop")
        if expected > epochs:
            self._fail(f"reported epoch {epoch} after the last one, {epochs}; expected job.epochs reports")
        if epoch != expected:
            self._fail(f"reported epoch {epoch}, expected epoch {expected}: one report after each epoch, from 1")
        try:
            scores = self.scores.of(score, "validation", f"reported in epoch {epoch}")
        except LosstuneError as error:
            self.mistake = error
            raise
        if scores is None:
            self.cause = f"the validation score became {self.scores.not_finite(score)} in epoch {epoch}"
            self.is_over = True
            raise Stopped(self.cause)
        learning_rate = self.task.configuration.learning_rate
        self.curve.append(
            Epoch(epoch=expected, learning_rate=learning_rate, train_loss=float(train_loss), validation=scores)
        )
        if expected in self.rungs and expected < epochs and len(self.task.seeds) == 1:
            self.greenlet.parent.switch()

    def _finished(self, returned: object) -> TrainingResult:
        if self.mistake is not None:
            raise self.mistake
        if self.cause:
            return self._result("diverged")
        if not isinstance(returned, Result):
            what = "nothing" if returned is None else f"a {type(returned).__name__}"
            raise LosstuneError(f"{self.found} returned {what}, expected a losstune.Result")
        epochs = self.task.training.epochs
        if len(self.curve) < epochs:
            raise LosstuneError(
                f"{self.found} reported {len(self.curve)} of {epochs} epochs; expected job.report(epoch, score) after "
                "each of job.epochs epochs, from 1"
            )
        if not self.job.has_required_head:
            raise LosstuneError(
                f"{self.found}: {self.job.loss} needs a last layer of its own; pass the network through "
                "job.adapt_head(network), or take that of job.build_model()"
            )
        self._require_splits(returned)
        validation = self.scores.of(returned.validation, "validation", "returned")
        test = None if returned.test is None else self.scores.of(returned.test, "test", "returned")
        for split, scores, value in (("validation", validation, returned.validation), ("test", test, returned.test)):
            if scores is None and value is not None:
                self.cause = f"the {split} score became {self.scores.not_finite(value)} at the end"
                return self._result("diverged")
        assert validation is not None, "it is finite"
        result = replace(self._result("finished"), validation=validation, test=test)
        result = replace(result, **self.scores.predictions(returned.validation, returned.test))
        weights = returned.weights
        if weights is not None and self.task.keep_weights:
            result = replace(result, weights=self._as_bytes(weights))
        if returned.num_parameters is not None:
            result = replace(result, num_parameters=int(returned.num_parameters))
        return result

    def _require_splits(self, returned: Result) -> None:
        if returned.validation is None:
            raise LosstuneError(f"{self.found} returned no validation score, expected a score or probabilities")
        if self.task.test and returned.test is None:
            raise LosstuneError(
                f"{self.found} returned no test score, expected one, as job.score_test is true: "
                "Result(validation=..., test=...)"
            )
        if not self.task.test and returned.test is not None:
            raise LosstuneError(
                f"{self.found} returned a test score although job.score_test is false; the search must not read the "
                "test split"
            )

    def _result(self, status: Status) -> TrainingResult:
        worst = self.task.worst_scores()
        return TrainingResult(
            status=status,
            cause=self.cause,
            num_parameters=self.job.num_parameters or 0,
            curve=tuple(self.curve),
            validation=worst if self.cause else self.curve[-1].validation,
            test=worst if self.cause and self.task.test else None,
        )

    def _as_bytes(self, weights: Mapping[str, Tensor]) -> bytes:
        if not isinstance(weights, Mapping) or not all(isinstance(value, Tensor) for value in weights.values()):
            raise LosstuneError(f"{self.found} returned weights that are not model.state_dict()")
        # Copies, because the format stores no two tensors that share memory.
        content: bytes = save({name: value.detach().cpu().contiguous().clone() for name, value in weights.items()})
        return content

    def _versions(self) -> list[int]:
        """Return how often each tensor of the data was changed in place."""
        return [] if self.data is None else [tensor._version for tensor in self.data.tensors()]

    def _fail(self, problem: str) -> None:
        self.mistake = LosstuneError(f"{self.found} {problem}")
        raise self.mistake
