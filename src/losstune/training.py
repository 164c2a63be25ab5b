"""The trial hot path: one configuration and several seeds in, one outcome per seed out.

The data stays in memory as tensors, a CPU training uses one thread, and nothing is copied to the host but a few
numbers an epoch. Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from losstune import labels, metrics
from losstune.losses.spec import BoundLoss
from losstune.models import adapt_head, build_model
from losstune.models.weights import weights_as_bytes
from losstune.records import Calibration, Configuration, Epoch, Status
from losstune.seeds import derive_seed
from losstune.settings import ModelSettings, TrainingSettings

EVALUATION_VALUES = 2048 * 3 * 32 * 32
"""Pixels (or features) that are evaluated at once; a batch of evaluation has as many samples as that allows."""

MAX_EVALUATION_BATCH = 2048
FLOAT_CACHE_BYTES = 256 * 2**20
"""Data up to this size is normalised once and kept as float32; larger data stays as stored, and each batch is
normalised as it is drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to train. Together with the data it determines the outcomes; nothing else may.

    Attributes:
        configuration: Loss, its hyperparameters, learning rate and weight decay.
        seeds: One training per seed; each is the root of that training's streams for initialisation, order,
            augmentation and dropout.
        model: The architecture.
        training: Epochs, batch size, optimiser and so on; `precision` is resolved (not ``"auto"``).
        device: ``"cpu"`` or ``"cuda"``.
        test: Whether to score the trained model on the test split.
        keep_weights: Whether to return the trained weights.
        early_stopping: The rule by which others may end the training early, in words; None if it runs to the end.
    """

    configuration: Configuration
    seeds: tuple[int, ...]
    model: ModelSettings
    training: TrainingSettings
    device: str
    test: bool = False
    keep_weights: bool = False
    early_stopping: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrays:
    """The prepared data as it lies on the disk.

    Attributes:
        train_images: Inputs as stored, (N, C, H, W) or (N, D), uint8 or float32; so are the others.
        train_labels: Class indices, (N,) int64; so are the others.
        mean: Of each channel over the training split, in stored units.
        std: Of each channel over the training split, in stored units; above 0.
        num_classes: Number of classes.
        digest: Identity of the content.
    """

    train_images: NDArray[np.generic]
    train_labels: NDArray[np.int64]
    validation_images: NDArray[np.generic]
    validation_labels: NDArray[np.int64]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    num_classes: int
    digest: str
    test_images: NDArray[np.generic] | None = None
    test_labels: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one training ended; the fields are those of :class:`losstune.records.Record`.

    Attributes:
        weights: The trained weights in safetensors format, or None.
    """

    status: Status
    cause: str | None
    num_parameters: int
    curve: tuple[Epoch, ...]
    validation: dict[str, float]
    test: dict[str, float] | None = None
    confusion: tuple[tuple[int, ...], ...] | None = None
    predictions: str | None = None
    calibration: dict[str, Calibration] | None = None
    temperature: float | None = None
    weights: bytes | None = None


def train(
    task: Task, arrays: Arrays, loss: BoundLoss, rungs: tuple[int, ...] = ()
) -> Iterator[list[Outcome]]:
    """Train one model per seed with `loss`, which is the one that the task's configuration names.

    Yields the outcomes so far, with status ``"stopped"``, after every epoch named in `rungs` that is not the
    last, so that the caller can give up there; and at the end the final outcomes, one per seed in order. A
    training whose loss or outputs become NaN or infinite ends as ``"diverged"`` with the worst scores.
    """
    data = _Data.of(arrays, torch.device(task.device))
    with _reproducible(task.device):
        loss = loss.with_counts(torch.bincount(data.train_labels, minlength=data.num_classes))
        trainings = [_Training(task, seed, loss, data) for seed in task.seeds]
        for epoch in range(1, task.training.epochs + 1):
            for training in trainings:
                training.run_epoch(epoch)
            if epoch in rungs and epoch < task.training.epochs:
                yield [training.outcome("stopped") for training in trainings]
        yield [training.finish() for training in trainings]


def failed(task: Task, cause: str) -> list[Outcome]:
    """Return the outcomes of a task that raised: the worst scores, and why."""
    worst = metrics.worst_scores()
    outcome = Outcome(status="failed", cause=cause, num_parameters=0, curve=(), validation=worst)
    return [replace(outcome, test=worst if task.test else None) for _ in task.seeds]


def resolve_precision(training: TrainingSettings, model: ModelSettings, device: str) -> TrainingSettings:
    """Replace precision ``"auto"`` by bfloat16 where it is faster, else by float32.

    On a GPU that is every convolutional network; on a CPU only deep ones, and only where the CPU multiplies
    bfloat16 in hardware.
    """
    if training.precision != "auto":
        return training
    deep = model.name == "resnet" or model.name.startswith("torchvision:")
    if device == "cuda":
        pays = model.name != "mlp" and torch.cuda.is_bf16_supported()
    else:
        pays = deep and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and _cpu_multiplies_bfloat16()
    return training.model_copy(update={"precision": "bfloat16" if pays else "float32"})


def _cpu_multiplies_bfloat16() -> bool:
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(
        capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("amx_tile")
    )


class _Training:
    """One model on its way through the epochs."""

    def __init__(self, task: Task, seed: int, loss: BoundLoss, data: _Data) -> None:
        self.task, self.loss, self.data = task, loss, data
        settings = task.training
        # Every source of randomness has a stream of its own, so that two losses of a block share them all.
        torch.manual_seed(derive_seed(seed, "initialisation"))
        network = adapt_head(
            build_model(task.model, data.input_shape, data.num_classes),
            data.num_classes,
            **loss.head_options(data.num_classes),
        )
        self.num_parameters = sum(
            parameter.numel() for parameter in network.parameters() if parameter.requires_grad
        )
        self.memory_format = torch.channels_last if len(data.input_shape) == 3 else torch.contiguous_format
        self.network = network.to(data.device).to(memory_format=self.memory_format)
        torch.manual_seed(derive_seed(seed, "dropout"))
        self.order = torch.Generator().manual_seed(derive_seed(seed, "order"))
        self.augmentation = torch.Generator().manual_seed(derive_seed(seed, "augmentation"))
        self.optimizer = _optimizer(self.network, task)
        self.batch_size = min(settings.batch_size, data.num_train)
        # A last batch of one sample would break batch normalisation; an incomplete one is left out of its epoch.
        self.num_batches = data.num_train // self.batch_size
        self.num_steps = settings.epochs * self.num_batches
        self.autocast = settings.precision == "bfloat16"
        self.step = 0
        self.curve: list[Epoch] = []
        self.cause: str | None = None

    def run_epoch(self, epoch: int) -> None:
        if self.cause:
            return
        self.network.train()
        total = torch.zeros((), device=self.data.device)
        order = torch.randperm(self.data.num_train, generator=self.order).to(self.data.device)
        learning_rate = 0.0
        for batch in range(self.num_batches):
            learning_rate = self._learning_rate()
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate
            index = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            inputs, labels = self.data.train_batch(index)
            if self.task.training.augmentation != "none":
                inputs = augment(inputs, self.task.training.augmentation, self.augmentation)
            losses = self.loss(self._logits(inputs), labels)
            self.optimizer.zero_grad(set_to_none=True)
            losses.mean().backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            total += losses.detach().sum()
            self.step += 1
        train_loss = total.item() / (self.num_batches * self.batch_size)
        scores = self._scores(self._outputs(self.data.validation_images), self.data.validation_labels)
        if not math.isfinite(train_loss):
            self.cause = f"the training loss became {train_loss} in epoch {epoch}"
        elif scores is None:
            self.cause = f"the model's outputs became NaN or infinite in epoch {epoch}"
        else:
            self.curve.append(
                Epoch(epoch=epoch, learning_rate=learning_rate, train_loss=train_loss, validation=scores)
            )

    def outcome(self, status: Status) -> Outcome:
        if self.cause:
            status = "diverged"
        return Outcome(
            status=status,
            cause=self.cause,
            num_parameters=self.num_parameters,
            curve=tuple(self.curve),
            validation=metrics.worst_scores() if self.cause else self.curve[-1].validation,
            test=metrics.worst_scores() if self.cause and self.task.test else None,
        )

    def finish(self) -> Outcome:
        outcome = self.outcome("finished")
        if self.cause:
            return outcome
        if self.task.test:
            if self.data.test_images is None or self.data.test_labels is None:
                raise ValueError("a task asks for test scores, but was given no test split")
            logits, target = self._outputs(self.data.test_images), self.data.test_labels
            scores = self._scores(logits, target)
            if scores is None:
                self.cause = "the model's outputs became NaN or infinite on the test split"
                return self.outcome("diverged")
            predicted = self.loss.probabilities(logits).argmax(1)
            counts = metrics.confusion_matrix(predicted, target, self.data.num_classes)
            temperature = metrics.fit_temperature(
                self._outputs(self.data.validation_images), self.data.validation_labels
            )
            outcome = replace(
                outcome,
                test=scores,
                confusion=tuple(tuple(row) for row in counts.tolist()),
                predictions=labels.pack(predicted.cpu().numpy()),
                calibration={
                    "softmax": _calibration(logits.softmax(1), target),
                    "link": _calibration(self.loss.probabilities(logits), target),
                    "scaled": _calibration((logits.double() / temperature).softmax(1).float(), target),
                },
                temperature=temperature.item(),
            )
        if self.task.keep_weights:
            outcome = replace(outcome, weights=weights_as_bytes(self.network))
        return outcome

    def _logits(self, inputs: Tensor) -> Tensor:
        inputs = inputs.contiguous(memory_format=self.memory_format)
        if not self.autocast:
            return self.network(inputs)  # type: ignore[no-any-return]
        with torch.autocast(self.data.device.type, dtype=torch.bfloat16):
            logits = self.network(inputs)
        return logits.float()  # type: ignore[no-any-return]

    def _learning_rate(self) -> float:
        settings = self.task.training
        num_warmup = round(settings.warmup_fraction * self.num_steps)
        peak = self.task.configuration.learning_rate
        if self.step < num_warmup:
            return peak * (self.step + 1) / num_warmup
        if settings.schedule == "constant":
            return peak
        progress = (self.step - num_warmup) / max(1, self.num_steps - num_warmup)
        return peak * 0.5 * (1.0 + math.cos(math.pi * progress))

    @torch.no_grad()
    def _outputs(self, images: Tensor) -> Tensor:
        self.network.eval()
        chunks = []
        size = max(1, min(MAX_EVALUATION_BATCH, EVALUATION_VALUES // images[0].numel()))
        for start in range(0, len(images), size):
            chunks.append(self._logits(self.data.normalised(images[start : start + size])))
        return torch.cat(chunks)

    @torch.no_grad()
    def _scores(self, logits: Tensor, target: Tensor) -> dict[str, float] | None:
        """Return every metric; None if an output is not finite."""
        probabilities = self.loss.probabilities(logits)
        if not bool(torch.isfinite(probabilities).all()):
            return None
        balanced = logits.argmax(1) if self.loss.spec.balanced_outputs else None
        return metrics.evaluate(probabilities, target, balanced)


def _calibration(probabilities: Tensor, target: Tensor) -> Calibration:
    scores = metrics.evaluate(probabilities, target)
    bins = metrics.reliability(probabilities, target)
    return Calibration(nll=scores["nll"], brier=scores["brier"], bins=bins)


class _Data:
    """The arrays as tensors on a device."""

    _latest: _Data | None = None

    def __init__(self, arrays: Arrays, device: torch.device) -> None:
        self.identity = (arrays.digest, arrays.test_images is not None, device)
        self.device = device
        self.num_classes = arrays.num_classes
        self.input_shape = tuple(arrays.train_images.shape[1:])
        self.num_train = len(arrays.train_labels)
        shape = (1, -1, 1, 1) if len(self.input_shape) == 3 else (1, -1)
        self.mean = torch.tensor(arrays.mean, dtype=torch.float32, device=device).view(shape)
        self.std = torch.tensor(arrays.std, dtype=torch.float32, device=device).view(shape)
        self.is_normalised = arrays.train_images.size * 4 <= FLOAT_CACHE_BYTES
        self.train_images, self.train_labels = (
            self._load(arrays.train_images),
            self._labels(arrays.train_labels),
        )
        self.validation_images = self._load(arrays.validation_images)
        self.validation_labels = self._labels(arrays.validation_labels)
        self.test_images = None if arrays.test_images is None else self._load(arrays.test_images)
        self.test_labels = None if arrays.test_labels is None else self._labels(arrays.test_labels)

    @classmethod
    def of(cls, arrays: Arrays, device: torch.device) -> _Data:
        """Return the tensors of `arrays`, those of the process's last task where they are the same."""
        identity = (arrays.digest, arrays.test_images is not None, device)
        if cls._latest is None or cls._latest.identity != identity:
            cls._latest = None  # frees the old data before the new is loaded
            cls._latest = cls(arrays, device)
        return cls._latest

    def train_batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        return self.normalised(self.train_images[index]), self.train_labels[index]

    def normalised(self, images: Tensor) -> Tensor:
        return images if self.is_normalised else (images.float() - self.mean) / self.std

    def _load(self, images: NDArray[np.generic]) -> Tensor:
        # Workers get read-only views of shared memory, which torch may not alias: copy.
        tensor = torch.from_numpy(np.array(images)).to(self.device)
        return (tensor.float() - self.mean) / self.std if self.is_normalised else tensor

    def _labels(self, labels: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(np.array(labels)).to(self.device)


def augment(images: Tensor, augmentation: str, generator: torch.Generator) -> Tensor:
    """Flip and shift a batch of images (N, C, H, W), each by its own draw.

    ``crop`` pads an eighth of the side with zeros (the mean, after normalisation) and crops at random; ``flip``
    mirrors left to right with probability 1/2; ``flip_crop`` does both. The draws come from `generator` (on the
    CPU, whatever the device) and depend on the batch's size and shape only. Features (N, D) are returned as they are.
    """
    if images.dim() != 4:
        return images
    num, _, height, width = images.shape
    rows = torch.arange(height).expand(num, height)
    columns = torch.arange(width).expand(num, width)
    if "flip" in augmentation:
        mirrored = torch.rand(num, generator=generator) < 0.5
        columns = torch.where(mirrored[:, None], width - 1 - columns, columns)
    if "crop" in augmentation:
        pad = max(1, width // 8)
        images = nn.functional.pad(images, (pad, pad, pad, pad))
        rows = rows + torch.randint(0, 2 * pad + 1, (num, 1), generator=generator)
        columns = columns + torch.randint(0, 2 * pad + 1, (num, 1), generator=generator)
    rows, columns = rows.to(images.device), columns.to(images.device)
    sample = torch.arange(num, device=images.device)
    picked = images[sample[:, None, None], :, rows[:, :, None], columns[:, None, :]]  # (N, H, W, C)
    return picked.permute(0, 3, 1, 2)


def _optimizer(network: nn.Module, task: Task) -> torch.optim.Optimizer:
    # Biases and normalisation parameters are not decayed: they have no scale to keep small.
    decayed = [
        parameter for parameter in network.parameters() if parameter.requires_grad and parameter.dim() > 1
    ]
    others = [
        parameter for parameter in network.parameters() if parameter.requires_grad and parameter.dim() <= 1
    ]
    groups = [
        {"params": decayed, "weight_decay": task.configuration.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    learning_rate = task.configuration.learning_rate
    if task.training.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=learning_rate, fused=True)
    momentum = task.training.momentum
    return torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, nesterov=momentum > 0, fused=True)


@contextmanager
def _reproducible(device: str) -> Iterator[None]:
    """One thread, deterministic kernels, no denormals; the caller's settings come back afterwards."""
    random_state, num_threads = torch.random.get_rng_state(), torch.get_num_threads()
    cudnn = (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)
    try:
        if device == "cpu":
            torch.set_num_threads(1)
            # The weights of a dying network shrink into denormal numbers, which a CPU adds many times slower.
            torch.set_flush_denormal(True)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        yield
    finally:
        torch.random.set_rng_state(random_state)
        torch.set_num_threads(num_threads)
        torch.set_flush_denormal(False)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
