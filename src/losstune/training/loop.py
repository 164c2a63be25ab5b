"""The training loop: one configuration and several seeds in, one result per seed out.

The data stays in memory as tensors, a CPU training uses one thread, and only a few numbers an epoch are copied to the
host. Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from losstune.core import labels
from losstune.core.records import Epoch, Status
from losstune.core.seeds import derive_seed
from losstune.losses.spec import BoundLoss
from losstune.models import build_network, head_of
from losstune.models.pretrained import Weights
from losstune.models.weights import weights_as_bytes
from losstune.training import metrics
from losstune.training.augmentation import augmentation_of
from losstune.training.averaging import averaged
from losstune.training.best_epoch import BestEpoch
from losstune.training.calibration import calibration
from losstune.training.device_data import DeviceData, Samples
from losstune.training.mixing import Target, mixed
from losstune.training.objective import Objective, class_weights
from losstune.training.optimisation import Optimizer, learning_rate_at
from losstune.training.reproducible import reproducible
from losstune.training.sampling import order_of
from losstune.training.scores import Scorer
from losstune.training.task import Arrays, Task, TrainingResult

EVALUATION_VALUES = {"cpu": 256 * 3 * 32 * 32, "cuda": 2048 * 3 * 32 * 32}
"""Maximum number of pixel values (or features) in an evaluation batch; small on a CPU, where each worker holds one."""

MAX_EVALUATION_BATCH = 2048


def train(task: Task, arrays: Arrays, loss: BoundLoss, rungs: tuple[int, ...] = ()) -> Iterator[list[TrainingResult]]:
    """Train one model per seed with `loss`, the loss of the task's configuration.

    Yields the results so far, with status ``"stopped"``, after every epoch in `rungs` except the last, so that the
    caller can stop there. At the end it yields the final results, one per seed in order. A training whose loss or
    outputs become NaN or infinite ends as ``"diverged"`` with the worst scores.
    """
    data = DeviceData.of(arrays, torch.device(task.device))
    with reproducible(task.device):
        loss = data.with_counts(loss, task.training.soft_labels)
        trainings = [_Training(task, seed, loss, data, arrays.weights) for seed in task.seeds]
        for epoch in range(1, task.training.epochs + 1):
            for training in trainings:
                training.run_epoch(epoch)
            if all(training.is_over for training in trainings):
                break
            if epoch in rungs and epoch < task.training.epochs:
                yield [training.result("stopped") for training in trainings]
        yield [training.finish() for training in trainings]


class _Training:
    """The state of one model's training."""

    def __init__(self, task: Task, seed: int, loss: BoundLoss, data: DeviceData, weights: Weights | None) -> None:
        self.task, self.loss, self.data = task, loss, data
        settings = task.training
        self.scorer = Scorer(task)
        # Every source of randomness has its own stream, so that all losses of a block share every stream.
        torch.manual_seed(derive_seed(seed, "initialisation"))
        head = loss.head_options(data.num_classes)
        network = build_network(task.model, data.input_shape, data.num_classes, head, weights)
        self.num_parameters = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
        self.memory_format = torch.channels_last if len(data.input_shape) == 3 else torch.contiguous_format
        self.network = network.to(data.device).to(memory_format=self.memory_format)
        torch.manual_seed(derive_seed(seed, "dropout"))
        order = torch.Generator().manual_seed(derive_seed(seed, "order"))
        self.draw_order = order_of(settings.sampling, data, order)
        self.augmentation = torch.Generator().manual_seed(derive_seed(seed, "augmentation"))
        self.augment = augmentation_of(settings.augmentation, data)
        self.target = data.train_target(loss, settings.soft_labels)
        self.objective = Objective(loss, class_weights(settings, self.target, data.num_classes))
        self.optimizer = Optimizer(self.network, task, head_of(self.network, data.num_classes))
        self.batch_size = min(settings.batch_size, data.num_train)
        # An incomplete last batch is skipped, because batch normalisation fails with a single sample.
        num_batches = data.num_train // self.batch_size
        # Likewise an incomplete last group of batches with a common step.
        self.accumulation = min(settings.accumulation, num_batches)
        self.num_batches = num_batches - num_batches % self.accumulation
        self.num_steps = settings.epochs * (self.num_batches // self.accumulation)
        self.autocast = settings.precision == "bfloat16"
        self.step = 0
        self.average = averaged(self.network, settings.ema) if settings.ema is not None else None
        self.scored = self.network if self.average is None else self.average.module
        self.best = BestEpoch(task.selects, settings.patience) if settings.patience is not None else None
        self.curve: list[Epoch] = []
        self.cause: str | None = None

    @property
    def is_over(self) -> bool:
        return self.cause is not None or (self.best is not None and self.best.is_over)

    def run_epoch(self, epoch: int) -> None:
        if self.is_over:
            return
        self.network.train()
        total = torch.zeros((), device=self.data.device)
        learning_rate, peak = 0.0, self.task.configuration.learning_rate
        batches = self.data.train_batches(self.draw_order(), self.batch_size, self.num_batches)
        for batch, (index, inputs) in enumerate(batches):
            learning_rate = learning_rate_at(self.step, self.num_steps, peak, self.task.training)
            if self.augment is not None:
                inputs = self.augment(inputs, self.augmentation)
            target = Target(self.target[index])
            if self.task.training.mixes:
                inputs, target = mixed(inputs, target.own, self.task.training, self.augmentation)
            mean, batch_total = self.objective(self._logits(inputs, self.network), target)
            mean.backward()  # type: ignore[no-untyped-call]
            if (batch + 1) % self.accumulation == 0:
                self._update(learning_rate)
            total += batch_total
        train_loss = total.item() / (self.num_batches * self.batch_size)
        outputs = self._outputs(self.data.validation_images)
        scores = self._scores(outputs, self.data.validation_labels, self.data.validation_targets)
        if not math.isfinite(train_loss):
            self.cause = f"the training loss became {train_loss} in epoch {epoch}"
        elif scores is None:
            self.cause = f"the model's outputs became NaN or infinite in epoch {epoch}"
        else:
            self.curve.append(Epoch(epoch=epoch, learning_rate=learning_rate, train_loss=train_loss, validation=scores))
            if self.best is not None:
                self.best.add(scores, self.scored)

    def _update(self, learning_rate: float) -> None:
        self.optimizer.step(learning_rate, self.accumulation)
        self.optimizer.zero_grad()
        self.step += 1
        if self.average is not None:
            self.average.update_parameters(self.network)

    def result(self, status: Status) -> TrainingResult:
        if self.cause:
            status = "diverged"
        return TrainingResult(
            status=status,
            cause=self.cause,
            num_parameters=self.num_parameters,
            curve=tuple(self.curve),
            validation=self.task.worst_scores() if self.cause else self._reached(),
            test=self.task.worst_scores() if self.cause and self.task.test else None,
        )

    def _reached(self) -> dict[str, float]:
        return dict(self.best.scores) if self.best is not None else self.curve[-1].validation

    def finish(self) -> TrainingResult:
        result = self.result("finished")
        if self.cause:
            return result
        if self.best is not None:
            self.best.restore(self.scored)
        if self.task.test:
            if self.data.test_images is None or self.data.test_labels is None:
                raise ValueError("a task asks for test scores, but was given no test split")
            logits, target = self._outputs(self.data.test_images), self.data.test_labels
            scores = self._scores(logits, target, self.data.test_targets)
            if scores is None:
                self.cause = "the model's outputs became NaN or infinite on the test split"
                return self.result("diverged")
            predicted = self.loss.probabilities(logits).argmax(1)
            counts = metrics.confusion_matrix(predicted, target, self.data.num_classes)
            temperature = metrics.fit_temperature(
                self._outputs(self.data.validation_images), self.data.validation_labels
            )
            result = replace(
                result,
                test=scores,
                confusion=tuple(tuple(row) for row in counts.tolist()),
                balanced_hits=metrics.hits_by_class(logits.argmax(1), target, self.data.num_classes)
                if self.loss.spec.balanced_outputs
                else None,
                predictions=labels.pack(predicted.cpu().numpy()),
                calibration={
                    "softmax": calibration(logits.softmax(1), target),
                    "link": calibration(self.loss.probabilities(logits), target),
                    "scaled": calibration((logits.double() / temperature).softmax(1).float(), target),
                },
                temperature=temperature.item(),
            )
        if self.task.keep_weights:
            result = replace(result, weights=weights_as_bytes(self.scored))
        return result

    def _logits(self, inputs: Tensor, network: nn.Module) -> Tensor:
        inputs = inputs.contiguous(memory_format=self.memory_format)
        if not self.autocast:
            return network(inputs)  # type: ignore[no-any-return]
        with torch.autocast(self.data.device.type, dtype=torch.bfloat16):
            logits = network(inputs)
        return logits.float()  # type: ignore[no-any-return]

    @torch.no_grad()
    def _outputs(self, images: Samples) -> Tensor:
        self.scored.eval()
        size = max(
            1, min(MAX_EVALUATION_BATCH, EVALUATION_VALUES[self.data.device.type] // math.prod(images.shape[1:]))
        )
        rows = (slice(start, start + size) for start in range(0, len(images), size))
        return torch.cat([self._logits(inputs, self.scored) for inputs in self.data.batches(images, rows)])

    @torch.no_grad()
    def _scores(self, logits: Tensor, target: Tensor, soft: Tensor | None) -> dict[str, float] | None:
        """Return all metrics; None if an output is not finite."""
        probabilities = self.loss.probabilities(logits)
        if not bool(torch.isfinite(probabilities).all()):
            return None
        balanced = logits.argmax(1) if self.loss.spec.balanced_outputs else None
        return self.scorer.scores(probabilities, target, balanced, soft)
