"""Inputs and results of a training."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from losstune.config.metrics import Named, measure_of
from losstune.config.settings import ModelSettings, TrainingSettings
from losstune.core.metric import METRICS, Metric, worst_scores
from losstune.core.records import Calibration, Configuration, Epoch, Status
from losstune.data.encoded import Images
from losstune.models.pretrained import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to train. The task and the data alone determine the results.

    Settings that the configuration has a value for are replaced by it in `training` and `model`.

    Attributes:
        configuration: Loss, its hyperparameters, learning rate and weight decay.
        seeds: One training per seed. Each seed is the root of that training's random streams for initialisation, order,
            augmentation and dropout.
        model: The architecture.
        training: Epochs, batch size, optimiser and so on; `precision` is resolved (not ``"auto"``).
        device: ``"cpu"`` or ``"cuda"``.
        test: Whether to score the trained model on the test split.
        keep_weights: Whether to return the trained weights.
        metrics: The metrics that are computed besides the standard ones.
        early_stopping: Description of the rule that may stop the training early; None if it runs to the end.
        score: Name of the study's metric, which selects.
    """

    configuration: Configuration
    seeds: tuple[int, ...]
    model: ModelSettings
    training: TrainingSettings
    device: str
    test: bool = False
    keep_weights: bool = False
    metrics: tuple[Named, ...] = ()
    early_stopping: str | None = None
    score: str = "accuracy"

    def __post_init__(self) -> None:
        """Replace the settings that are searched."""
        for name in ("training", "model"):
            section = getattr(self, name)
            values = {
                key: value for key, value in self.configuration.settings.items() if key in type(section).model_fields
            }
            if values:
                object.__setattr__(self, name, section.model_copy(update=values))

    @property
    def selects(self) -> Metric:
        """The metric that selects on validation."""
        named = {metric.name: metric for metric in map(measure_of, self.metrics)}
        return named.get(self.score) or METRICS[self.score]

    def worst_scores(self) -> dict[str, float]:
        """Return each metric's worst score."""
        return worst_scores(map(measure_of, self.metrics))


Rows = slice | NDArray[np.int64]
"""Which samples of a split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrays:
    """The prepared data as stored on disk.

    Without samples (``data.name: files``), the arrays are empty, and a loop of the user's own reads the data at `root`.

    Attributes:
        train_images: Inputs as stored, (N, C, H, W) or (N, D), uint8 or float32, or encoded images; likewise for the
            other splits.
        train_labels: Class indices, (N,) int64; likewise for the other splits.
        mean: Mean of each channel over the training split, in stored units.
        std: Standard deviation of each channel over the training split, in stored units; above 0.
        train_targets: Soft labels (N, C) float32, of which `train_labels` are the modes; None if every sample has one
            class. Likewise for the other splits.
        num_classes: Number of classes; 0 if unknown, without samples only.
        digest: Digest of the content.
        root: The absolute path of the original data; it is not part of its identity.
        weights: The pretrained weights that ``model.weights`` names, by their names in the file; None without any. They
            are here because workers may not see the file.
    """

    train_images: Images
    train_labels: NDArray[np.int64]
    validation_images: Images
    validation_labels: NDArray[np.int64]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    num_classes: int
    digest: str
    test_images: Images | None = None
    test_labels: NDArray[np.int64] | None = None
    train_targets: NDArray[np.float32] | None = None
    validation_targets: NDArray[np.float32] | None = None
    test_targets: NDArray[np.float32] | None = None
    root: str | None = None
    weights: Weights | None = None

    @property
    def has_samples(self) -> bool:
        """Whether there are any."""
        return len(self.train_labels) > 0

    def part(self, train: Rows, validation: Rows, description: str) -> Arrays:
        """Return some samples of the training and validation split, with an identity of their own."""
        return replace(
            self,
            train_images=self.train_images[train],
            train_labels=self.train_labels[train],
            validation_images=self.validation_images[validation],
            validation_labels=self.validation_labels[validation],
            digest=f"{self.digest}, {description}",
            train_targets=None if self.train_targets is None else self.train_targets[train],
            validation_targets=None if self.validation_targets is None else self.validation_targets[validation],
        )


def without_samples(num_classes: int, digest: str, root: str) -> Arrays:
    """Return the data that only a training loop of the user's own reads."""
    none, labels = np.empty((0,), dtype=np.uint8), np.empty((0,), dtype=np.int64)
    return Arrays(
        train_images=none,
        train_labels=labels,
        validation_images=none,
        validation_labels=labels,
        mean=(),
        std=(),
        num_classes=num_classes,
        digest=digest,
        root=root,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """The result of one training; for its fields see :class:`losstune.core.records.Record`.

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
    balanced_hits: tuple[int, ...] | None = None
    predictions: str | None = None
    calibration: dict[str, Calibration] | None = None
    temperature: float | None = None
    weights: bytes | None = None


def failed(task: Task, cause: str) -> list[TrainingResult]:
    """Return the results of a task that raised an exception: the worst scores and the cause."""
    worst = task.worst_scores()
    result = TrainingResult(status="failed", cause=cause, num_parameters=0, curve=(), validation=worst)
    return [replace(result, test=worst if task.test else None) for _ in task.seeds]
