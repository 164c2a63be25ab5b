"""One model's training: its state, the parts of a step, its epochs one after another, and its result.

The data stays in memory as tensors, a CPU training uses one thread, and only a few numbers an epoch are copied to the
host. Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor, nn

from losstune.core import labels
from losstune.core.records import Epoch, Status
from losstune.core.seeds import derive_seed
from losstune.losses.spec import BoundLoss
from losstune.models import build_network, head_of
from losstune.models.pretrained import Weights
from losstune.models.weights import weights_as_bytes
from losstune.training import metrics, mixing
from losstune.training.augmentation import augmentation_of
from losstune.training.averaging import Average
from losstune.training.best_epoch import BestEpoch
from losstune.training.calibration import calibration
from losstune.training.device_data import DeviceData, Samples
from losstune.training.mixing import Target
from losstune.training.objective import Objective, class_weights
from losstune.training.optimisation import Optimizer, learning_rate_at
from losstune.training.sampling import order_of
from losstune.training.scores import Scorer
from losstune.training.task import Task, TrainingResult

EVALUATION_VALUES = {"cpu": 256 * 3 * 32 * 32, "cuda": 2048 * 3 * 32 * 32}
"""Maximum number of pixel values (or features) in an evaluation batch; small on a CPU, where each worker holds one."""

MAX_EVALUATION_BATCH = 2048


class Training:
    """One model's training, with a seed and the loss of the task's configuration."""

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
        self.num_updates = 0
        self.average = Average(self.network, settings.ema) if settings.ema is not None else None
        self.scored = self.network if self.average is None else self.average.module
        self.best = BestEpoch(task.selects, settings.patience) if settings.patience is not None else None
        self.curve: list[Epoch] = []
        self.cause: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether it ends before its last epoch."""
        return self.cause is not None or (self.best is not None and self.best.is_over)

    def run_epoch(self, epoch: int) -> None:
        """Train one epoch, batch by batch, and score the model."""
        if self.is_over:
            return
        self.network.train()
        settings = self.task.training
        total = torch.zeros((), device=self.data.device)
        batches = self.data.train_batches(self.draw_order(), self.batch_size, self.num_batches)
        for batch, (index, inputs) in enumerate(batches):
            if self.augment is not None:
                inputs = self.augment(inputs, self.augmentation)
            target = Target(self.target[index])
            if settings.mixes:
                draws = mixing.draw(inputs.shape, settings, self.augmentation)
                draws = tuple(values.to(self.data.device) for values in draws)
                inputs, target = mixing.apply(inputs, target.own, settings, draws)
            total += self.backward(inputs, target)
            if (batch + 1) % self.accumulation == 0:
                self.update(self.rates[self.num_updates], self.average_rates[self.num_updates])
                self.num_updates += 1
        outputs = self.outputs(self.data.validation_images)
        scores = self._scores(outputs, self.data.validation_labels, self.data.validation_targets)
        self.add_epoch(epoch, total.item(), scores)

    def backward(self, inputs: Tensor, target: Target) -> Tensor:
        """Add the gradients of a batch; return the sum of its losses."""
        mean, total = self.objective(self._logits(inputs, self.network), target)
        mean.backward()  # type: ignore[no-untyped-call]
        return total

    @cached_property
    def rates(self) -> Sequence[float] | Tensor:
        """The learning rate of every step; on a GPU a tensor there, which a CUDA graph can read."""
        rates = [self._rate(step) for step in range(self.num_steps)]
        return torch.tensor(rates, device=self.data.device) if self.data.device.type == "cuda" else rates

    @cached_property
    def average_rates(self) -> Sequence[float]:
        """What each step brings into the average of the weights; 0 without an average."""
        return [self.average.rate(step) if self.average is not None else 0.0 for step in range(self.num_steps)]

    def _rate(self, step: int) -> float:
        return learning_rate_at(step, self.num_steps, self.task.configuration.learning_rate, self.task.training)

    def update(self, learning_rate: float | Tensor, average_rate: float | Tensor) -> None:
        """Take a step, and delete the gradients.

        Args:
            learning_rate: Its learning rate.
            average_rate: The share of the network that it brings into the average of the weights, if there is one.
        """
        self.optimizer.step(learning_rate, self.accumulation)
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update(average_rate)

    def add_epoch(self, epoch: int, total: float, scores: dict[str, float] | None) -> None:
        """Add an epoch to the curve.

        Args:
            epoch: Its number, from 1.
            total: Sum of the losses of its samples.
            scores: Scores on the validation split; None if an output is not finite.
        """
        train_loss = total / (self.num_batches * self.batch_size)
        if not math.isfinite(train_loss):
            self.cause = f"the training loss became {train_loss} in epoch {epoch}"
        elif scores is None:
            self.cause = f"the model's outputs became NaN or infinite in epoch {epoch}"
        else:
            last = epoch * (self.num_batches // self.accumulation) - 1
            learning_rate = self._rate(last)
            self.curve.append(Epoch(epoch=epoch, learning_rate=learning_rate, train_loss=train_loss, validation=scores))
            if self.best is not None:
                self.best.add(scores, self.scored)

    def result(self, status: Status) -> TrainingResult:
        """Return the result so far, as ``"diverged"`` if it is."""
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
        """Return the result of the last epoch, or of the best one, with test scores and weights as the task says."""
        result = self.result("finished")
        if self.cause:
            return result
        if self.best is not None:
            self.best.restore(self.scored)
        if self.task.test:
            if self.data.test_images is None or self.data.test_labels is None:
                raise ValueError("a task asks for test scores, but was given no test split")
            logits, target = self.outputs(self.data.test_images), self.data.test_labels
            scores = self._scores(logits, target, self.data.test_targets)
            if scores is None:
                self.cause = "the model's outputs became NaN or infinite on the test split"
                return self.result("diverged")
            predicted = self.loss.probabilities(logits).argmax(1)
            counts = metrics.confusion_matrix(predicted, target, self.data.num_classes)
            temperature = metrics.fit_temperature(
                self.outputs(self.data.validation_images), self.data.validation_labels
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
        # A CUDA graph cannot hold the cache, which lives longer than a step.
        with torch.autocast(self.data.device.type, dtype=torch.bfloat16, cache_enabled=self.data.device.type == "cpu"):
            logits = network(inputs)
        return logits.float()  # type: ignore[no-any-return]

    @torch.no_grad()
    def outputs(self, images: Samples) -> Tensor:
        """Return the model's outputs (N, C) for all samples of a split."""
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
