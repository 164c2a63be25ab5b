"""What a training loop of the user's own is given, :class:`Job`, and what it returns, :class:`Result`.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from losstune.config.settings import TrainingSettings
from losstune.core.errors import LosstuneError
from losstune.core.seeds import derive_seed
from losstune.losses.module import LossModule, Reduction
from losstune.losses.spec import BoundLoss
from losstune.models import adapt_head, build_network
from losstune.models.pretrained import Weights
from losstune.training import device_data
from losstune.training.device_data import DeviceData
from losstune.training.task import Task

KEY = "training.loop"


@dataclass(frozen=True, slots=True)
class Logits:
    """The model's outputs (N, C) for all samples of a split in their order, before any map to probabilities."""

    values: Tensor


Score = float | Tensor | NDArray[Any] | Logits
"""A score in the units of the study's metric, or class probabilities (N, C) of a split's samples in their order, or
the outputs that the loss's own map turns into them."""


class Stopped(BaseException):
    """Raised by :meth:`Job.report` where a training ends early. Let it pass, so that the loop ends.

    It is no ``Exception``, so that a loop's ``except Exception`` does not catch it.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a training loop of your own returns.

    From ``Logits(outputs)``, losstune computes what it computes in its own loop. From probabilities, it knows no
    temperature, unless the loss's own map is softmax, and no predictions for balanced accuracy that ignore the class
    prior. From a score, it knows the study's metric alone.

    Attributes:
        validation: Score of the trained model on the validation split, see :data:`Score`.
        test: The same for the test split; expected if and only if :attr:`Job.score_test` is true.
        num_parameters: Number of trainable parameters, for the record.
        weights: The trained weights, ``model.state_dict()``; kept for the first block of each search.
    """

    validation: Score
    test: Score | None = None
    num_parameters: int | None = None
    weights: Mapping[str, Tensor] | None = None


class Samples:
    """A split of the prepared data: a map-style dataset of pairs (input, target), in a fixed order.

    ``samples[index]`` takes a number, a list or a tensor of indices. The tensors are on the job's device. Don't change
    them in place, as other trainings use them.

    Attributes:
        labels: Class indices (N,), int64; of soft labels, the modes.
        targets: What the loss is trained on: `labels`, or soft labels (N, C) in the training split if the data has them
            and the loss takes them.
    """

    def __init__(
        self, inputs: device_data.Samples, labels: Tensor, data: DeviceData, targets: Tensor | None = None
    ) -> None:
        self._inputs, self.labels, self._data = inputs, labels, data
        self.targets = labels if targets is None else targets

    @property
    def inputs(self) -> Tensor:
        """All inputs: float32, (N, C, H, W) or (N, D), with mean 0 and standard deviation 1 in each channel."""
        return self._data.inputs(self._inputs, slice(None))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        rows = index if isinstance(index, slice) else torch.as_tensor(index)
        if isinstance(rows, Tensor) and rows.ndim == 0:
            return self._data.inputs(self._inputs, rows[None])[0], self.targets[index]
        return self._data.inputs(self._inputs, rows), self.targets[index]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return (self[index] for index in range(len(self)))


class Job:
    """One training for a loop of your own: what to train with, and where to report.

    Attributes:
        loss: Name of the loss.
        hyperparameters: Its hyperparameters.
        learning_rate: The learning rate to use, the peak of a schedule.
        weight_decay: The weight decay to use.
        epochs: Number of epochs to train.
        batch_size: Samples per step.
        settings: All of ``training`` in ``params.yaml``.
        seed: Seed of this training, in [0, 2**32). All losses of a block get the same seeds. The global generators of
            PyTorch, NumPy and Python are seeded before the loop is called.
        device: ``"cpu"`` or ``"cuda"``.
        score_test: Whether to score the trained model on the test split. Where it is false, nothing may read it.
        num_classes: Number of classes; None if the data doesn't tell.
        input_shape: Shape of one sample; None for data that the loop reads itself.
        train: The training split; None for data that the loop reads itself (``data.name: files``).
        validation: The validation split; None likewise.
        test: The test split; None unless `score_test` is true.
        data_root: The path ``data.root``, absolute.
        is_check: Whether ``losstune check`` tries the loop. The score does not count, so a loop that reads its data
            itself may use a few samples.
    """

    def __init__(
        self,
        task: Task,
        seed: int,
        loss: BoundLoss,
        data: DeviceData | None,
        report: Callable[[int, Score, float], None],
        *,
        data_root: Path | None = None,
        num_classes: int | None = None,
        is_check: bool = False,
        weights: Weights | None = None,
    ) -> None:
        self.loss, self.hyperparameters = loss.spec.name, dict(loss.hyperparameters)
        self.learning_rate, self.weight_decay = task.configuration.learning_rate, task.configuration.weight_decay
        self.settings: TrainingSettings = task.training
        self.epochs, self.batch_size = task.training.epochs, task.training.batch_size
        self.seed = derive_seed(seed, "loop") % 2**32
        self.device, self.score_test, self.data_root, self.is_check = task.device, task.test, data_root, is_check
        self.num_classes = data.num_classes if data else num_classes
        self.input_shape = data.input_shape if data else None
        self.train = self.validation = self.test = None
        if data is not None:
            target = data.train_target(loss, task.training.soft_labels)
            self.train = Samples(data.train_images, data.train_labels, data, target)
            self.validation = Samples(data.validation_images, data.validation_labels, data)
            if task.test and data.test_images is not None and data.test_labels is not None:
                self.test = Samples(data.test_images, data.test_labels, data)
            loss = data.with_counts(loss, task.training.soft_labels)
        self._task, self._root_seed, self._bound, self._report = task, seed, loss, report
        self._weights = weights
        self.num_parameters: int | None = None
        self.has_required_head = loss.spec.head == "linear"

    def __repr__(self) -> str:
        return f"Job({self._bound!r}, learning_rate={self.learning_rate:g}, seed={self.seed})"

    @cached_property
    def criterion(self) -> LossModule:
        """The loss with its hyperparameters: ``criterion(logits, target)`` gives the mean, as ``nn.CrossEntropyLoss``.

        It takes logits (N, C) with classes (N,), or (N, C, d1, ...) with (N, d1, ...); and distributions (N, C) if the
        loss does.
        """
        return self.make_criterion()

    def make_criterion(
        self,
        reduction: Reduction = "mean",
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        class_counts: Sequence[float] | Tensor | None = None,
    ) -> LossModule:
        """Return the loss as a module with other options, on the job's device.

        Args:
            reduction: ``"mean"``, ``"sum"`` or ``"none"``.
            weight: Weight of each class, (C,).
            ignore_index: Targets of this value are ignored.
            class_counts: Training samples of each class, for data that the loop reads itself and a loss that needs
                them. They hold for :meth:`probabilities`, too.

        Raises:
            LosstuneError: If the loss needs class counts and there are none.
        """
        if class_counts is not None:
            self._bound = self._bound.with_counts(class_counts)
        if self._bound.spec.needs_counts and self._bound.counts is None:
            raise LosstuneError(
                f"{KEY}: {self.loss} needs the number of training samples of each class, which is not known for data "
                "that the loop reads itself: job.make_criterion(class_counts=...)"
            )
        return self._bound.as_module(reduction, weight=weight, ignore_index=ignore_index).to(self.device)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return class probabilities by the loss's own map from outputs, for logits (N, C) or (N, C, d1, ...)."""
        if logits.ndim == 2:
            return self._bound.probabilities(logits)
        rows_NC = logits.movedim(1, -1).flatten(0, -2)
        shape = (logits.shape[0], *logits.shape[2:], logits.shape[1])
        return self._bound.probabilities(rows_NC).view(shape).movedim(-1, 1)

    def build_model(self) -> nn.Module:
        """Build the network that ``model`` in ``params.yaml`` names, as losstune's own loop does, on the job's device.

        It starts from ``model.weights``, and the layers of ``model.freeze`` are frozen: they take no gradient, and stay
        in evaluation mode when the network is trained.

        Raises:
            LosstuneError: If the network can't be built, or the loop reads its data itself.
        """
        if self.input_shape is None or self.num_classes is None:
            raise LosstuneError(f"{KEY}: job.build_model() needs data that losstune reads, not data.name: files")
        torch.manual_seed(derive_seed(self._root_seed, "initialisation"))
        head = self._bound.head_options(self.num_classes)
        network = build_network(self._task.model, self.input_shape, self.num_classes, head, self._weights)
        self.has_required_head = True
        torch.manual_seed(derive_seed(self._root_seed, "dropout"))
        self.num_parameters = sum(item.numel() for item in network.parameters() if item.requires_grad)
        return network.to(self.device)

    def adapt_head(self, network: nn.Module, num_classes: int | None = None) -> nn.Module:
        """Return a network of your own with the last layer that the loss needs, such as a normalised one for arcface.

        Args:
            network: Its last layer is a linear one.
            num_classes: Number of classes, if the job doesn't know it.

        Raises:
            LosstuneError: If the last layer can't be replaced.
        """
        found = num_classes or self.num_classes
        if found is None:
            raise LosstuneError(f"{KEY}: job.adapt_head(network, num_classes) needs the number of classes here")
        self.has_required_head = True
        return adapt_head(network, found, **self._bound.head_options(found))

    def generator(self, purpose: str) -> torch.Generator:
        """Return a generator on the CPU for a purpose, such as ``"order"``. All losses of a block get equal streams."""
        return torch.Generator().manual_seed(derive_seed(self._root_seed, purpose))

    def report(self, epoch: int, score: Score, train_loss: float = math.nan) -> None:
        """Report the validation score after an epoch. It is due after each, from epoch 1 to :attr:`epochs`.

        Args:
            epoch: Number of the epoch, from 1.
            score: A score in the units of the study's metric, or class probabilities of the validation split.
            train_loss: Mean training loss of the epoch, for the learning curve in MLflow.

        Raises:
            Stopped: If the training is to end here.
            LosstuneError: If the epoch or the score is not what is expected.
        """
        self._report(epoch, score, train_loss)
