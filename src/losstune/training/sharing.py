"""Hand the data to other processes of this machine by the files that it lies in, so that it lies in memory once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from losstune.data.encoded import Blob, EncodedImages, Images
from losstune.data.mapped import MappedFile
from losstune.data.raw import Array
from losstune.training.task import Arrays

IMAGES = ("train_images", "validation_images", "test_images")


@dataclass(frozen=True, slots=True)
class SharedArrays:
    """Arrays without the samples that lie in files, and these files.

    Attributes:
        arrays: The arrays; samples of `files` are empty there.
        files: File by the name of the field.
    """

    arrays: Arrays
    files: Mapping[str, MappedFile]

    @classmethod
    def of(cls, arrays: Arrays) -> SharedArrays:
        """Replace every memory-mapped array of samples by its file."""
        files, without = {}, {}
        for name in IMAGES:
            images: Images | None = getattr(arrays, name)
            content = _content(images)
            if content is not None and (file := MappedFile.of(content)) is not None:
                files[name] = file
                without[name] = _with_content(images, np.empty(0, np.uint8))
        return cls(replace(arrays, **without), files)

    def opened(self) -> Arrays:
        """Return the arrays, with the files mapped.

        Raises:
            LosstuneError: If a file is no longer what it was.
        """
        images = {name: _with_content(getattr(self.arrays, name), file.open()) for name, file in self.files.items()}
        return replace(self.arrays, **images)


def unmapped(arrays: Arrays) -> Arrays:
    """Return the arrays for other machines.

    Pickle copies a memory-mapped array into every process, but leaves a plain one in Ray's object store, once a node.
    """
    plain = {}
    for name in IMAGES:
        images: Images | None = getattr(arrays, name)
        if (content := _content(images)) is not None:
            plain[name] = _with_content(images, np.asarray(content))
    return replace(arrays, **plain)


def _content(images: Images | None) -> Array | None:
    """Return the array that holds the samples; None without any, and for files."""
    found = images.source if isinstance(images, EncodedImages) else images
    found = found.data if isinstance(found, Blob) else found
    return found if isinstance(found, np.ndarray) else None


def _with_content(images: Images | None, content: Array) -> Any:
    """Return samples with their memory replaced."""
    if isinstance(images, EncodedImages) and isinstance(images.source, Blob):
        return replace(images, source=replace(images.source, data=content))
    return content
