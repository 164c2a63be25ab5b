"""The prepared data as tensors on the training device. Nothing is copied to it during a training."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from losstune.losses.spec import BoundLoss
from losstune.training.soft_labels import class_counts, train_target
from losstune.training.task import Arrays

FLOAT_CACHE_BYTES = 256 * 2**20
"""Data up to this size is normalised once and kept as float32. Larger data keeps its stored type, and each batch is
normalised when it is drawn."""


class DeviceData:
    """The arrays as tensors on a device."""

    _latest: DeviceData | None = None

    def __init__(self, arrays: Arrays, device: torch.device) -> None:
        self.identity = (arrays.digest, arrays.test_images is not None, device)
        self.device = device
        self.num_classes = arrays.num_classes
        self.input_shape = tuple(arrays.train_images.shape[1:])
        self.num_train = len(arrays.train_labels)
        shape = (1, -1, 1, 1) if len(self.input_shape) == 3 else (1, -1)
        self.mean = torch.tensor(arrays.mean, dtype=torch.float32, device=device).view(shape)
        self.std = torch.tensor(arrays.std, dtype=torch.float32, device=device).view(shape)
        self.unit = 255.0 if arrays.train_images.dtype == np.uint8 else 1.0
        self.is_normalised = arrays.train_images.size * 4 <= FLOAT_CACHE_BYTES
        self.train_images, self.train_labels = (self._load(arrays.train_images), self._labels(arrays.train_labels))
        self.validation_images = self._load(arrays.validation_images)
        self.validation_labels = self._labels(arrays.validation_labels)
        self.test_images = None if arrays.test_images is None else self._load(arrays.test_images)
        self.test_labels = None if arrays.test_labels is None else self._labels(arrays.test_labels)
        self.train_targets = None if arrays.train_targets is None else self._labels(arrays.train_targets)
        self.validation_targets = None if arrays.validation_targets is None else self._labels(arrays.validation_targets)
        self.test_targets = None if arrays.test_targets is None else self._labels(arrays.test_targets)

    @classmethod
    def of(cls, arrays: Arrays, device: torch.device) -> DeviceData:
        """Return the tensors of `arrays`; reuse those of the process's previous task if the data is the same."""
        identity = (arrays.digest, arrays.test_images is not None, device)
        if cls._latest is None or cls._latest.identity != identity:
            cls._latest = None  # free the old data before loading the new
            cls._latest = cls(arrays, device)
        return cls._latest

    @classmethod
    def forget(cls) -> None:
        """Load the data again for the next task."""
        cls._latest = None

    def tensors(self) -> list[Tensor]:
        """Return all samples and labels."""
        found = (self.train_images, self.train_labels, self.validation_images, self.validation_labels)
        soft = (self.train_targets, self.validation_targets, self.test_targets)
        return [tensor for tensor in (*found, self.test_images, self.test_labels, *soft) if tensor is not None]

    def train_target(self, loss: BoundLoss, setting: str) -> Tensor:
        """Return what `loss` is trained on, see :func:`losstune.training.soft_labels.train_target`."""
        return train_target(self.train_labels, self.train_targets, loss, setting)

    def with_counts(self, loss: BoundLoss, setting: str) -> BoundLoss:
        """Return `loss` with the class counts of the training split, if it needs them."""
        return loss.with_counts(class_counts(self.train_target(loss, setting), self.num_classes))

    def train_batch(self, index: Tensor) -> Tensor:
        """Return normalised inputs of the training samples at `index`."""
        return self.normalised(self.train_images[index])

    def normalised(self, images: Tensor) -> Tensor:
        """Return float32 inputs with mean 0 and standard deviation 1 in each channel of the training split."""
        return images if self.is_normalised else (images.float() - self.mean) / self.std

    def as_stored(self, images: Tensor) -> Tensor:
        """Return normalised inputs in [0, 1] if they are stored as bytes, else in stored units."""
        return (images * self.std + self.mean) / self.unit

    def from_stored(self, images: Tensor) -> Tensor:
        """Undo :meth:`as_stored`."""
        return (images * self.unit - self.mean) / self.std

    def _load(self, images: NDArray[np.generic]) -> Tensor:
        # Workers get read-only views of shared memory, which torch does not support: copy.
        tensor = torch.from_numpy(np.array(images)).to(self.device)
        return (tensor.float() - self.mean) / self.std if self.is_normalised else tensor

    def _labels(self, labels: NDArray[np.int64] | NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.array(labels)).to(self.device)
