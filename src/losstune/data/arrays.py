"""Write, hash and summarise large arrays block by block, without a second copy in memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from losstune.data.encoded import EncodedImages, Images, write_encoded
from losstune.data.raw import Array, Labels

_BLOCK_BYTES = 1 << 26


def write_array(path: Path, array: Images, indices: Labels) -> str:
    """Write ``array[indices]`` as a little-endian ``.npy`` file and return its :func:`digest_of_array`.

    Encoded images are written encoded, and the digest is that of their pixels.

    Raises:
        OSError: If the file cannot be written.
    """
    if isinstance(array, EncodedImages):
        write_encoded(path, array, indices)
        return _digest(array, indices)
    path.parent.mkdir(exist_ok=True)
    dtype = array.dtype.newbyteorder("<")
    shape = (len(indices), *array.shape[1:])
    hasher = _hasher(dtype, shape)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        )
        for rows in _rows(array, indices):
            content = rows.astype(dtype, copy=False).data
            hasher.update(content)
            file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return hasher.hexdigest()


def digest_of_array(array: Images) -> str:
    """Return the SHA-256 (64 hex digits) of type, shape and values; the same on every machine."""
    return _digest(array, np.arange(len(array)))


def _digest(array: Images, indices: Labels) -> str:
    hasher = _hasher(array.dtype, (len(indices), *array.shape[1:]))
    for rows in _rows(array, indices):
        hasher.update(rows.data)
    return hasher.hexdigest()


def statistics(images: Images, indices: Labels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of ``images[indices]`` per channel, in the units of `images`.

    Args:
        images: ``(N, C, H, W)`` uint8 or float32, or ``(N, D)`` float32, where each feature counts as a channel.
        indices: Indices of the samples; at least one.

    Returns:
        Mean and population standard deviation per channel; a standard deviation of 0 is replaced by 1.
    """
    num_channels = images.shape[1]
    if images.dtype == np.uint8:
        # Integer sums are exact in any order, so the result is the same on every machine.
        histogram = np.zeros((num_channels, 256), dtype=np.int64)
        for rows in _rows(images, indices):
            for channel in range(num_channels):
                histogram[channel] += np.bincount(rows[:, channel].ravel(), minlength=256)
        values = np.arange(256, dtype=np.int64)
        num_values = int(histogram[0].sum())
        totals = [int(total) for total in histogram @ values]
        squares = [int(total) for total in histogram @ values**2]
        mean = [total / num_values for total in totals]
        variance = [
            (num_values * square - total**2) / num_values**2 for total, square in zip(totals, squares, strict=True)
        ]
    else:
        axes = tuple(axis for axis in range(images.ndim) if axis != 1)
        num_values = len(indices) * (images[0, 0].size)
        sums = np.zeros(num_channels)
        for rows in _rows(images, indices):
            sums += rows.sum(axis=axes, dtype=np.float64)
        center = sums / num_values
        squares_about_center = np.zeros(num_channels)
        for rows in _rows(images, indices):
            deviations = rows.astype(np.float64) - center.reshape(-1, *[1] * (images.ndim - 2))
            squares_about_center += np.square(deviations).sum(axis=axes)
        mean, variance = center.tolist(), (squares_about_center / num_values).tolist()
    std = [value**0.5 if value > 0 else 1.0 for value in variance]
    return tuple(mean), tuple(std)


def _rows(array: Images, indices: Labels) -> Iterator[Array]:
    step = max(1, _BLOCK_BYTES // max(1, array[:1].nbytes))
    for start in range(0, len(indices), step):
        yield np.ascontiguousarray(array[indices[start : start + step]])


def _hasher(dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> hashlib._Hash:
    return hashlib.sha256(f"{dtype.newbyteorder('<').str}{list(shape)}".encode())
