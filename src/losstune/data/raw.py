"""The interface of a data source: what each of them returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from losstune.core.errors import LosstuneError

if TYPE_CHECKING:
    from losstune.data.encoded import Images

Array = NDArray[Any]
Labels = NDArray[np.int64]

ReportProgress = Callable[[int, int], None]
"""Called with the number of images read so far and the total number."""


@dataclass(frozen=True, slots=True)
class RawData:
    """A labelled data set in memory, before it is split.

    Attributes:
        images: ``(N, C, H, W)`` uint8 or float32, or ``(N, D)`` float32 for tabular data; C-contiguous.
        labels: ``(N,)`` int64 in ``[0, len(class_names))``.
        class_names: Class names in the order of the labels.
        test_images: As `images`, if the data has its own test split; None otherwise.
        test_labels: As `labels`; None if and only if `test_images` is.
        validation: Indices into `images` of the data's own validation split, which is then not drawn; None otherwise.
        notes: Notes for the user on how the data was read, such as files that were not read; one sentence each.
        targets: Soft labels (N, C) float32 with rows that sum to 1, of which `labels` are the modes; None if every
            sample has one class. Then `test_targets` is None, too, unless there is no test split.
        test_targets: As `targets`, of the test split.
        noisy_labels: Labels as they were given, (N,) int64, beside the true `labels`; None without any.
        test_noisy_labels: As `noisy_labels`, of the test split.
        groups: The group of each sample, (N,) int64; no group is to be in two splits. None without groups.
        test_groups: As `groups`, of the test split; None if they are unknown, too.
        skipped: Names of images that could not be read and were left out.
        make_features: For a table, makes features of its columns once the training split is known, see
            :meth:`with_features`. Until then `images` has no features, (N, 0).
        feature_names: Names of the features of a table, in order; empty otherwise.
    """

    images: Images
    labels: Labels
    class_names: tuple[str, ...]
    test_images: Images | None = None
    test_labels: Labels | None = None
    notes: tuple[str, ...] = ()
    validation: Labels | None = None
    targets: Array | None = None
    test_targets: Array | None = None
    noisy_labels: Labels | None = None
    test_noisy_labels: Labels | None = None
    groups: Labels | None = None
    test_groups: Labels | None = None
    skipped: tuple[str, ...] = ()
    make_features: Callable[[RawData, Labels], RawData] | None = None
    feature_names: tuple[str, ...] = ()

    def with_features(self, train: Labels) -> RawData:
        """Return the data with features; what they need of the data is fitted on the training samples alone.

        Args:
            train: Indices of the training samples.
        """
        return self if self.make_features is None else self.make_features(self, train)


def require_printable(class_names: Sequence[str], root: Path) -> None:
    """Reject class names that are blank or contain control characters, which a terminal could execute.

    Raises:
        LosstuneError: With the name and `root`, the location of the data.
    """
    for name in class_names:
        if not name.strip() or not name.isprintable():
            raise LosstuneError(f"data.root: {root}: found the class name {name!r}, expected one that can be printed")


def printable(text: str) -> str:
    """Return `text` with control characters, and characters that cannot be encoded, escaped."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def shortlist(names: Sequence[str], most: int = 10) -> str:
    """Return the first names and the number of remaining ones.

    Example:
        >>> shortlist(["ant", "bee", "cow"], most=2)
        'ant, bee and 1 more'
    """
    shown = printable(", ".join(names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def describe_classes(names: Sequence[str]) -> str:
    """Return the number of classes with the first ten names."""
    first = ", the first ten" if len(names) > 10 else ""
    return f"{len(names)} classes{first}: {', '.join(names[:10])}"
