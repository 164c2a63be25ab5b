"""Labels of a user as class indices from 0: class names, other numbers and one-hot rows are understood.

Soft labels, a distribution over the classes for each sample, are kept beside their modes. Shape suffixes: N samples, C
classes, A annotators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from losstune.core.errors import LosstuneError, did_you_mean
from losstune.data.conversion import describe, require_array
from losstune.data.raw import Array, Labels, printable, shortlist

LARGEST = 2**31
SUM_TOLERANCE = 1e-3
"""Rows that sum to 1 within this are distributions; rounded text files are less exact than float32."""


@dataclass(frozen=True, slots=True)
class ReadLabels:
    """Labels as losstune stores them.

    Attributes:
        indices: Class indices (N,) int64 of each array, in the order given. Of soft labels, the modes; of several
            likeliest classes, the first.
        class_names: Names in the order of the indices, as the user knows the classes.
        notes: How the labels were read, for the user; empty if they were class indices from 0.
        targets: Soft labels (N, C) float32 of each array; None if every sample of every array has one class.
    """

    indices: tuple[Labels, ...]
    class_names: tuple[str, ...]
    notes: tuple[str, ...]
    targets: tuple[Array, ...] | None = None


def read_labels(found: Mapping[str, Array], class_names: Sequence[str] | None = None) -> ReadLabels:
    """Read the labels of all splits of a data set with one mapping.

    Understood are class indices from 0, classes numbered from 1, the two classes -1 and +1, truth values, real numbers
    that are whole, class names as text, one-hot rows (N, C), and soft labels (N, C): rows of at least 0 that sum to 1.

    Args:
        found: The labels by the start of the error message, such as file and array; the training split first.
        class_names: Names of the classes in the order of the indices, if the data brings them.

    Raises:
        LosstuneError: If they are nothing of that: several classes per sample, numbers with a fraction, or classes
            without a sample between others.
    """
    soft = {name: rows for name, array in found.items() if (rows := _distributions(name, array)) is not None}
    if soft:
        return _soft(found, soft, class_names)
    notes: list[str] = []
    arrays = {name: _one_per_sample(name, array, notes) for name, array in found.items()}
    kinds = {name: "text" if array.dtype.kind == "U" else "numbers" for name, array in arrays.items()}
    if len(set(kinds.values())) > 1:
        told = ", ".join(f"{name} are {kind}" for name, kind in kinds.items())
        raise LosstuneError(f"{told}; expected the same kind of labels in every split")
    if "text" in kinds.values():
        return _named(arrays, class_names, notes)
    whole = {name: _whole(name, array, notes) for name, array in arrays.items()}
    return _numbered(whole, class_names, notes)


def _one_per_sample(name: str, array: Array, notes: list[str]) -> Array:
    require_array(name, array)
    if array.dtype == object and array.size and all(isinstance(value, str) for value in array.ravel()):
        array = array.astype(str)
    if array.dtype.kind == "S":
        try:
            array = np.char.decode(array, "utf-8")
        except UnicodeDecodeError:
            raise LosstuneError(f"{name}: found text that is not UTF-8, expected class names in UTF-8") from None
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and array.dtype.kind in "buif" and array.size:
        return _from_rows(name, array, notes)
    if array.ndim != 1:
        raise LosstuneError(f"{name}: found shape {array.shape}, expected (N,), one class per sample")
    return array


def _from_rows(name: str, array: Array, notes: list[str]) -> Array:
    num_columns = array.shape[1]
    is_indicator = bool(((array == 0) | (array == 1)).all())
    sums = array.sum(axis=1)
    if is_indicator and bool((sums == 1).all()):
        _note(notes, f"Labels: one-hot rows of {num_columns} columns are read as classes 0 to {num_columns - 1}.")
        labels: Labels = array.argmax(axis=1).astype(np.int64)
        return labels
    if is_indicator:
        raise LosstuneError(
            f"{name}: found {describe(array)} with {int(sums.min())} to {int(sums.max())} ones per row, expected one "
            "class per sample (N,); several classes per sample (multi-label) are not supported"
        )
    hint = "; divide counts of votes by their sum" if array.dtype.kind in "ui" and bool((sums > 0).all()) else ""
    if array.dtype.kind == "f":
        is_fine = (array.min(axis=1) >= 0) & (abs(sums - 1) <= SUM_TOLERANCE)  # NaN is not
        row = int(is_fine.argmin())
        hint = f"; row {row} sums to {sums[row]:g}" + (", with a negative value" if array[row].min() < 0 else "")
    raise LosstuneError(
        f"{name}: found {describe(array)}, expected (N,), one class per sample, or soft labels (N, C), rows that sum "
        f"to 1{hint}"
    )


def _distributions(name: str, array: Array) -> Array | None:
    """Return soft labels (N, C) float32, with rows that sum to 1 up to rounding; None if the labels are others."""
    require_array(name, array)
    if array.ndim != 2 or array.shape[1] < 2 or array.dtype.kind not in "buif" or not array.size:
        return None
    rows = array.astype(np.float64)
    sums = rows.sum(axis=1, keepdims=True)
    if not (bool((rows >= 0).all()) and bool((abs(sums - 1) <= SUM_TOLERANCE).all())):
        return None
    if bool(((rows == 0) | (rows == 1)).all()):
        return None
    shares: Array = (rows / sums).astype(np.float32)
    return shares


def _soft(found: Mapping[str, Array], soft: Mapping[str, Array], class_names: Sequence[str] | None) -> ReadLabels:
    """Read labels of which at least one split has soft ones; those of the others become one-hot rows."""
    first, rows = next(iter(soft.items()))
    num_classes = rows.shape[1]
    if class_names is not None and len(class_names) != num_classes:
        raise LosstuneError(
            f"{first}: found soft labels over {num_classes} classes, expected {len(class_names)}, the classes named"
        )
    names = tuple(class_names) if class_names is not None else tuple(str(label) for label in range(num_classes))
    notes: list[str] = []
    targets = []
    for name, array in found.items():
        if name in soft:
            target_NC = soft[name]
            if target_NC.shape[1] != num_classes:
                raise LosstuneError(
                    f"{name}: found soft labels over {target_NC.shape[1]} classes, {first} has {num_classes}"
                )
        else:
            (labels_N,) = read_labels({name: _one_per_sample(name, array, notes)}, names).indices
            target_NC = np.eye(num_classes, dtype=np.float32)[labels_N]
        targets.append(target_NC)
    _note(notes, f"Labels: a distribution over {num_classes} classes for each sample (soft labels).")
    indices = tuple(target_NC.argmax(axis=1).astype(np.int64) for target_NC in targets)
    return ReadLabels(indices, names, tuple(notes), tuple(targets))


def targets_from_votes(votes_NA: Labels, num_classes: int) -> Array:
    """Return the share of the votes for each class, (N, C) float32.

    Args:
        votes_NA: The class that each annotator gave each sample, (N, A) int64; -1 where one gave none. Every sample has
            at least one vote.
        num_classes: C.
    """
    counts_NC = (votes_NA[:, :, None] == np.arange(num_classes)).sum(axis=1)
    shares_NC: Array = (counts_NC / counts_NC.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares_NC


def _named(arrays: Mapping[str, Array], class_names: Sequence[str] | None, notes: list[str]) -> ReadLabels:
    present = {str(label) for array in arrays.values() for label in np.unique(array).tolist()}
    # Numbers as text are in the order of the numbers.
    are_numbers = all(label.lstrip("+-").isdecimal() for label in present)
    names = tuple(class_names) if class_names is not None else tuple(sorted(present, key=int if are_numbers else None))
    positions = {label: index for index, label in enumerate(names)}
    for name, array in arrays.items():
        if unknown := sorted({str(label) for label in np.unique(array).tolist()} - positions.keys()):
            raise LosstuneError(
                f"{name}: found the class {printable(unknown[0])!r}, expected one of {shortlist(names)}"
                f"{did_you_mean(unknown[0], names)}"
            )
    order = "by number" if are_numbers else "in alphabetical order"
    if class_names is None:
        shown = shortlist([f"{label} is {index}" for label, index in positions.items()], most=3)
        _note(notes, f"Labels: class names are read as classes {order}: {shown}.")
    indices = tuple(
        np.array([positions[str(label)] for label in array.tolist()], np.int64) for array in arrays.values()
    )
    return ReadLabels(indices, names, tuple(notes))


def _whole(name: str, array: Array, notes: list[str]) -> Array:
    if array.dtype.kind == "f":
        if array.size and not np.isfinite(array).all():
            raise LosstuneError(
                f"{name}: found NaN or infinite values, expected a class for each sample; drop samples without a label"
            )
        if fractions := array[array != np.floor(array)][:1].tolist():
            raise LosstuneError(
                f"{name}: found {fractions[0]:g}, expected whole numbers or names of classes (values of a quantity are "
                "no classes)"
            )
        if array.size and abs(array).max() < LARGEST:
            return array.astype(np.int64)
    if array.dtype.kind == "b":
        return array
    if array.dtype.kind not in "uif":
        raise LosstuneError(f"{name}: found type {array.dtype}, expected whole numbers or names of classes")
    if array.size and (array.max() >= LARGEST or array.min() <= -LARGEST):
        raise LosstuneError(f"{name}: found labels from {array.min()} to {array.max()}, expected 0 to C-1")
    return array.astype(np.int64)


def _numbered(arrays: Mapping[str, Array], class_names: Sequence[str] | None, notes: list[str]) -> ReadLabels:
    are_truth_values = all(array.dtype.kind == "b" for array in arrays.values())
    integers = {name: array.astype(np.int64) for name, array in arrays.items()}
    present = np.unique(np.concatenate([*integers.values(), np.arange(2 if are_truth_values else 0)]))
    mapping = _mapping(present.tolist(), None if class_names is None else len(class_names))
    if mapping is None:
        raise LosstuneError(_unmapped(integers, present, class_names))
    low, high = int(present[0]), int(present[-1])
    if class_names is None:
        names = tuple(str(label) for label in mapping)
        if are_truth_values:
            names = ("False", "True")
        elif low == -1:
            names = ("-1", "+1")
    else:
        names = tuple(class_names)
    if are_truth_values:
        _note(notes, "Labels: False is read as class 0, True as class 1.")
    elif low == -1:
        _note(notes, "Labels: -1 is read as class 0, +1 as class 1.")
    elif low == 1 and mapping[1] == 0:
        _note(notes, f"Labels: 1 to {high} are read as classes 0 to {high - 1}.")
    values = np.array(list(mapping), np.int64)
    indices = tuple(np.searchsorted(values, array).astype(np.int64) for array in integers.values())
    return ReadLabels(indices, names, tuple(notes))


def _mapping(present: list[int], num_named: int | None) -> dict[int, int] | None:
    """Return the class index of each label, in ascending order of both; None if the labels are not understood."""
    low, high = present[0], present[-1]
    if present == [-1, 1] and num_named in {None, 2}:
        return {-1: 0, 1: 1}
    if num_named is not None:
        if low >= 0 and high < num_named:
            return {label: label for label in range(num_named)}
        if low >= 1 and high == num_named:
            return {label: label - 1 for label in range(1, num_named + 1)}
        return None
    if low in {0, 1} and high - low + 1 == len(present):
        return {label: label - low for label in present}
    return None


def _unmapped(integers: Mapping[str, Labels], present: Labels, class_names: Sequence[str] | None) -> str:
    low, high = int(present[0]), int(present[-1])
    where = next(name for name, array in integers.items() if low in array or high in array)
    if class_names is not None:
        where = next(name for name, array in integers.items() if array.min() < 0 or array.max() >= len(class_names))
        found = integers[where].max() if integers[where].max() >= len(class_names) else integers[where].min()
        return f"{where}: found {found}, expected 0 to {len(class_names) - 1}, the {len(class_names)} classes named"
    if low < 0:
        hint = "; if -1 marks samples without a label, drop them" if low == -1 else ""
        return f"{where}: found labels from {low} to {high}, expected 0 to C-1, 1 to C, or -1 and 1{hint}"
    if low > 1:
        return (
            f"{where}: found labels from {low} to {high}, expected classes from 0 or 1 on; if they are codes, give "
            "them as text"
        )
    gap = int(np.setdiff1d(np.arange(low, min(high, low + len(present)) + 1), present)[0])
    return (
        f"{where}: labels run from {low} to {high} but none is {gap}, expected every class from {low} to {high}; if "
        "they are codes, give them as text"
    )


def _note(notes: list[str], line: str) -> None:
    if line not in notes:
        notes.append(line)
