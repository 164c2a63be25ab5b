"""Hand the data to other processes of this machine by the files that it lies in, so that it lies in memory once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from losstune.data.mapped import MappedFile
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
        found = {
            name: file
            for name in IMAGES
            if (images := getattr(arrays, name)) is not None and (file := MappedFile.of(images)) is not None
        }
        empty: dict[str, Any] = dict.fromkeys(found, np.empty(0, np.uint8))
        return cls(replace(arrays, **empty), found)

    def opened(self) -> Arrays:
        """Return the arrays, with the files mapped.

        Raises:
            LosstuneError: If a file is no longer what it was.
        """
        images: dict[str, Any] = {name: file.open() for name, file in self.files.items()}
        return replace(self.arrays, **images)
