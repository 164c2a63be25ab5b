"""Arrays that processes of one machine share: each maps the same file, and its pages lie in memory once."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass

import numpy as np

from losstune.core.errors import LosstuneError
from losstune.data.raw import Array


@dataclass(frozen=True, slots=True)
class MappedFile:
    """Where the content of a memory-mapped array lies, for another process.

    Attributes:
        path: The file, absolute.
        offset: Where the content starts in it, in bytes.
        dtype: Type of the values.
        shape: Shape of the array.
        identity: Size, time and inode of the file.
    """

    path: str
    offset: int
    dtype: str
    shape: tuple[int, ...]
    identity: tuple[int, int, int]

    @classmethod
    def of(cls, array: Array) -> MappedFile | None:
        """Return the place of a whole array that :func:`numpy.load` mapped; None for any other array."""
        base: object = array.base  # of a slice, which has the offset of the whole, another array
        if not (isinstance(array, np.memmap) and isinstance(base, mmap.mmap) and array.filename):
            return None
        path = os.path.abspath(array.filename)
        return cls(path, array.offset, array.dtype.str, array.shape, _identity(path))

    def open(self) -> Array:
        """Map the file, read-only.

        Raises:
            LosstuneError: If it is no longer there, or another one.
        """
        try:
            found = _identity(self.path)
            if found == self.identity:
                return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)
        except OSError as error:
            raise LosstuneError(f"{self.path}: {error.strerror or error}; was it removed while a stage ran?") from None
        raise LosstuneError(f"{self.path}: changed while a stage ran; run `dvc repro` again")


def _identity(path: str) -> tuple[int, int, int]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns, status.st_ino
