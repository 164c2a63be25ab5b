"""What every source of data hands over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from losstune.errors import LosstuneError

Array = NDArray[Any]
Labels = NDArray[np.int64]

ReportProgress = Callable[[int, int], None]
"""Called with the number of images read so far and the number there are."""


@dataclass(frozen=True, slots=True)
class RawData:
    """A labelled data set in memory, before it is split.

    Attributes:
        images: ``(N, C, H, W)`` uint8 or float32, or ``(N, D)`` float32 for tabular data; C-contiguous.
        labels: ``(N,)`` int64 in ``[0, len(class_names))``.
        class_names: In the order of the labels.
        test_images: As `images`, where the data brings a test split of its own; None otherwise.
        test_labels: As `labels`; None exactly where `test_images` is.
    """

    images: Array
    labels: Labels
    class_names: tuple[str, ...]
    test_images: Array | None = None
    test_labels: Labels | None = None


def require_printable(class_names: Sequence[str], root: Path) -> None:
    """Raise for a class name that a terminal could take for a command, or that nobody could see.

    Raises:
        LosstuneError: With the name, and `root`, where the data lies.
    """
    for name in class_names:
        if not name.strip() or not name.isprintable():
            raise LosstuneError(
                f"data.root: {root}: found the class name {name!r}, expected one that can be printed"
            )
