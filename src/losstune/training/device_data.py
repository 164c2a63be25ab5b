"""The prepared data for the training device.

On a CPU, images stay where they lie: in a file that all workers of a machine map, or in Ray's object store. Small data
is copied and normalised once. On a GPU, data that fits is copied to it; other data follows batch by batch.
"""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from losstune.core.machine import num_cores
from losstune.data.encoded import EncodedImages, Images
from losstune.losses.spec import BoundLoss
from losstune.training.soft_labels import class_counts, train_target
from losstune.training.task import Arrays

FLOAT_CACHE_BYTES = 32 * 2**20
"""Training images up to this size as float32 are normalised once and kept. Larger data keeps its stored type, and each
batch is normalised when it is drawn; every worker would otherwise hold a copy."""

EPOCH_CACHE_BYTES = 4 * 2**20
"""The training images of an epoch are gathered at once, in its order, if they are normalised and take at most so much.
Gathering the images of a batch takes as long as a small layer; a copy of larger data would not be worth its memory."""

DEVICE_SHARE = 0.25
"""Data is copied to a GPU if it takes at most this share of the free memory."""

MAX_THREADS = 8
"""Threads that bring batches to a GPU."""

Samples = Tensor | EncodedImages
"""Samples of a split: a tensor, or images that are decoded when they are read."""

Rows = Tensor | slice
"""Which samples of a split: their indices, or a slice."""


class DeviceData:
    """The arrays of a training, as tensors."""

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
        is_encoded = isinstance(arrays.train_images, EncodedImages)
        self.is_normalised = math.prod(arrays.train_images.shape) * 4 <= FLOAT_CACHE_BYTES and not is_encoded
        images = (arrays.train_images, arrays.validation_images, arrays.test_images)
        self.is_resident = not is_encoded and (device.type != "cuda" or _fits(images))
        self.train_images, self.validation_images = self._images(images[0]), self._images(images[1])
        self.test_images = None if images[2] is None else self._images(images[2])
        self.train_labels = self._copy(arrays.train_labels)
        self.validation_labels = self._copy(arrays.validation_labels)
        self.test_labels = self._copy_if_any(arrays.test_labels)
        self.train_targets = self._copy_if_any(arrays.train_targets)
        self.validation_targets = self._copy_if_any(arrays.validation_targets)
        self.test_targets = self._copy_if_any(arrays.test_targets)

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
        return [one for one in (*found, self.test_images, self.test_labels, *soft) if isinstance(one, Tensor)]

    def train_target(self, loss: BoundLoss, setting: str) -> Tensor:
        """Return what `loss` is trained on, see :func:`losstune.training.soft_labels.train_target`."""
        return train_target(self.train_labels, self.train_targets, loss, setting)

    def with_counts(self, loss: BoundLoss, setting: str) -> BoundLoss:
        """Return `loss` with the class counts of the training split, if it needs them."""
        return loss.with_counts(class_counts(self.train_target(loss, setting), self.num_classes))

    def train_batches(self, order: Tensor, size: int, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the indices, on the device, and normalised inputs of one training batch after another.

        Args:
            order: Indices of the training samples in the order of the epoch, on the CPU.
            size: Samples of a batch.
            number: Number of batches.
        """
        index = order[: number * size].to(self.device)
        places = torch.split(index, size)
        images = self.train_images
        if self.is_normalised and isinstance(images, Tensor) and images.nbytes <= EPOCH_CACHE_BYTES:
            return zip(places, torch.split(images.index_select(0, index), size), strict=True)
        rows = places if self.is_resident else torch.split(order, size)[:number]
        return zip(places, self.batches(images, rows), strict=True)

    def batches(self, images: Samples, rows: Iterable[Rows]) -> Iterator[Tensor]:
        """Yield normalised inputs of some samples after another.

        Samples that do not lie on the device are brought there ahead of time, in threads.

        Args:
            images: Those of a split.
            rows: Samples of each batch.
        """
        if self.is_resident:
            return (self.inputs(images, index) for index in rows)
        return self._fetched(images, rows)

    def inputs(self, images: Samples, rows: Rows) -> Tensor:
        """Return normalised inputs of some samples of a split, on the device."""
        return self.normalised(self._rows(images, rows).to(self.device))

    def normalised(self, images: Tensor) -> Tensor:
        """Return float32 inputs with mean 0 and standard deviation 1 in each channel of the training split."""
        return images if self.is_normalised else self._standardised(images)

    def _standardised(self, images: Tensor) -> Tensor:
        # In place, but not in the memory of the data, which float32 images still lie in.
        centred = images - self.mean if images.dtype == torch.float32 else images.float().sub_(self.mean)
        return centred.div_(self.std)

    def as_stored(self, images: Tensor) -> Tensor:
        """Return normalised inputs in [0, 1] if they are stored as bytes, else in stored units."""
        return (images * self.std + self.mean) / self.unit

    def from_stored(self, images: Tensor) -> Tensor:
        """Undo :meth:`as_stored`."""
        return (images * self.unit - self.mean) / self.std

    def _images(self, images: Images) -> Samples:
        if isinstance(images, EncodedImages):
            return images
        if self.is_normalised:
            return self._standardised(self._copy(images))
        with warnings.catch_warnings():
            # The memory is shared and read-only, which torch does not know. All access is by batches, which are copies.
            warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
            tensor = torch.from_numpy(images)
        return tensor.to(self.device) if self.is_resident else tensor

    def _copy(self, values: NDArray[np.generic]) -> Tensor:
        # What workers get is read-only, which torch does not support.
        return torch.from_numpy(np.array(values)).to(self.device)

    def _copy_if_any(self, values: NDArray[np.generic] | None) -> Tensor | None:
        return None if values is None else self._copy(values)

    def _rows(self, images: Samples, rows: Rows) -> Tensor:
        if isinstance(images, EncodedImages):
            # As of a tensor, -1 is the last sample, and truth values are a mask.
            index = np.arange(len(images))[rows if isinstance(rows, slice) else rows.cpu().numpy()]
            return torch.from_numpy(images.take(index))
        return images[rows if isinstance(rows, slice) else rows.to(images.device)]

    def _fetched(self, images: Samples, rows: Iterable[Rows]) -> Iterator[Tensor]:
        def arrived(future: Future[Tensor]) -> Tensor:
            return self.normalised(future.result().to(self.device, non_blocking=True))

        def fetch(index: Rows) -> Tensor:
            found = self._rows(images, index)
            return found.pin_memory() if self.device.type == "cuda" else found

        # A training on the CPU has one core; its thread of batches works while that of the network waits.
        num_threads = min(MAX_THREADS, num_cores()) if self.device.type == "cuda" else 1
        ahead: deque[Future[Tensor]] = deque()
        with ThreadPoolExecutor(num_threads) as pool:
            try:
                for index in rows:
                    ahead.append(pool.submit(fetch, index))
                    if len(ahead) > num_threads:
                        yield arrived(ahead.popleft())
                while ahead:
                    yield arrived(ahead.popleft())
            finally:
                for future in ahead:
                    future.cancel()


def _fits(images: Iterable[Images | None]) -> bool:
    free, _ = torch.cuda.mem_get_info()
    return sum(split.nbytes for split in images if split is not None) <= DEVICE_SHARE * free
