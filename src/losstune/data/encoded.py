"""Images kept as the bytes of their files, and decoded when they are read: for images too large to store as arrays."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from losstune.core.errors import LosstuneError
from losstune.core.machine import num_cores
from losstune.data.decoding import pixels_of
from losstune.data.raw import Array, Labels

CHUNK = 32
"""Images that a thread decodes at a time."""


@dataclass(frozen=True, slots=True)
class Files:
    """Encoded images as files on the disk.

    Attributes:
        paths: Their paths.
    """

    paths: Sequence[str]

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        """Return an image's name for messages."""
        return self.paths[index]

    def size(self, index: int) -> int:
        """Return an image's number of bytes."""
        return os.path.getsize(self.paths[index])

    def content(self, index: int) -> bytes:
        """Return an image's bytes."""
        return Path(self.paths[index]).read_bytes()

    def part(self, rows: slice) -> Files:
        """Return some of the images."""
        return Files(self.paths[rows])


@dataclass(frozen=True, slots=True)
class Blob:
    """Encoded images one after the other in an array.

    Attributes:
        data: All bytes, uint8; usually memory-mapped.
        offsets: Where each image starts, and the end of the last one, (N + 1,) int64.
        path: The array's file, for messages.
    """

    data: Array
    offsets: Labels
    path: str

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def name(self, index: int) -> str:
        """Return an image's name for messages."""
        return f"{self.path}: image {index}"

    def size(self, index: int) -> int:
        """Return an image's number of bytes."""
        return int(self.offsets[index + 1] - self.offsets[index])

    def content(self, index: int) -> bytes:
        """Return an image's bytes."""
        return bytes(self.data[self.offsets[index] : self.offsets[index + 1]])

    def part(self, rows: slice) -> Blob:
        """Return images that lie one after the other."""
        start, stop, _ = rows.indices(len(self))
        return replace(self, offsets=self.offsets[start : max(start, stop) + 1])


@dataclass(frozen=True, slots=True, eq=False)
class EncodedImages:
    """Images (N, C, H, W) uint8 that are decoded when they are read.

    As with an array, a slice is a view, without decoding; a number or an array of numbers decodes.

    Attributes:
        source: The encoded images.
        image_shape: C, H and W.
        resized: Whether images are resized to it; else they have this size.
    """

    source: Files | Blob
    image_shape: tuple[int, int, int]
    resized: bool

    dtype = np.dtype(np.uint8)
    ndim = 4

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return (len(self.source), *self.image_shape)

    @property
    def size(self) -> int:
        """As of an array."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """Bytes of the decoded images."""
        return self.size

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, rows: Any) -> Any:
        if isinstance(rows, slice):
            return replace(self, source=self.source.part(rows))
        index = np.arange(len(self))[rows]
        return self.take(index, num_cores()) if index.ndim else self.take(index[None])[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Decode all."""
        return self.take(np.arange(len(self)), num_cores()).astype(dtype or np.uint8, copy=False)

    def take(self, index: Labels, num_threads: int = 1) -> Array:
        """Return the images at `index`, (n, C, H, W).

        Args:
            index: Numbers of the images, (n,).
            num_threads: Threads that decode; Pillow lets them run in parallel.

        Raises:
            LosstuneError: If an image is not readable, or has another size or colours than the others.
        """
        out = np.empty((len(index), *self.image_shape), np.uint8)

        def fill(start: int) -> None:
            for place in range(start, min(start + CHUNK, len(index))):
                out[place] = self._image(int(index[place]))

        starts = range(0, len(index), CHUNK)
        if num_threads == 1 or len(starts) == 1:
            for start in starts:
                fill(start)
            return out
        with ThreadPoolExecutor(min(num_threads, len(starts))) as pool:
            list(pool.map(fill, starts))
        return out

    def _image(self, index: int) -> Array:
        num_channels, height, width = self.image_shape
        name, content = self.source.name(index), self.source.content(index)
        pixels = pixels_of(lambda: Image.open(io.BytesIO(content)), name, height if self.resized else None)
        found = (pixels.shape[2] if pixels.ndim == 3 else 1, *pixels.shape[:2])
        if found[1:] != (height, width) or found[0] > num_channels:
            raise LosstuneError(f"{name}: found shape {found}, expected {self.image_shape}; was the file changed?")
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


class Checked:
    """Takes decoded images in place of an array, and keeps none of them.

    Args:
        shape: As of an array.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def __len__(self) -> int:
        return self.shape[0]

    def __setitem__(self, index: int, pixels: Array) -> None:
        pass


Images = Array | EncodedImages
"""Samples as an array, or as encoded images."""


def offsets_path(path: Path) -> Path:
    """Return the file of the offsets that belong to a file of encoded images."""
    return path.with_name(f"{path.stem}_offsets.npy")


def write_encoded(path: Path, images: EncodedImages, indices: Labels) -> None:
    """Write the bytes of ``images[indices]`` as one array (B,) uint8, and beside it the offsets (N + 1,) int64.

    Raises:
        OSError: If a file cannot be written.
    """
    path.parent.mkdir(exist_ok=True)
    sizes = [images.source.size(int(index)) for index in indices]
    offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    np.save(offsets_path(path), offsets)
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (int(offsets[-1]),)}
        np.lib.format.write_array_header_1_0(file, header)
        for index, size in zip(indices, sizes, strict=True):
            content = images.source.content(int(index))
            if len(content) != size:
                raise LosstuneError(f"{images.source.name(int(index))}: changed while it was read")
            file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_encoded(path: Path, image_shape: tuple[int, int, int], *, resized: bool) -> EncodedImages:
    """Map a file that :func:`write_encoded` wrote.

    Raises:
        OSError: If a file is missing.
        ValueError: If a file is damaged.
    """
    content = np.load(path, mmap_mode="r", allow_pickle=False)
    offsets = np.load(offsets_path(path), allow_pickle=False)
    if offsets.ndim != 1 or content.ndim != 1 or offsets[-1] != len(content):
        raise ValueError(f"found {len(content)} bytes, the offsets say {offsets[-1:]}")
    return EncodedImages(Blob(content, offsets, str(path)), image_shape, resized)
