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
            blob = images.source if isinstance(images, EncodedImages) else None
            content = blob.data if isinstance(blob, Blob) else images
            if isinstance(content, np.ndarray) and (file := MappedFile.of(content)) is not None:
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


def _with_content(images: Images | None, content: Array) -> Any:
    """Return samples with their memory replaced."""
    if isinstance(images, EncodedImages) and isinstance(images.source, Blob):
        return replace(images, source=replace(images.source, data=content))
    return content
