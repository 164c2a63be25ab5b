"""A data set of the user's own: ``load(**options) -> losstune.Dataset``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from losstune.core.errors import LosstuneError, in_one_line
from losstune.core.own_code import load
from losstune.data.conversion import as_stored, describe
from losstune.data.groups import join_splits, read_groups
from losstune.data.labels import read_labels
from losstune.data.raw import Array, Labels, RawData

KEY = "data.name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A labelled data set that a user's own function returns.

    A split is a pair of samples and labels, or a map-style dataset of such pairs, as ``torch.utils.data.Dataset``.
    Samples are images (N, H, W), (N, H, W, C) or (N, C, H, W), all of one size, or features (N, D): arrays, tensors or
    lists of them. Labels are class indices from 0 or 1, class names, -1 and +1, truth values, one-hot rows, or soft
    labels (N, C): rows that sum to 1.

    Attributes:
        train: All samples that are not in one of the other splits.
        validation: The split for selection; None draws ``data.validation_fraction`` of `train`.
        test: The split for the verdict; None draws ``data.test_fraction`` of `train`.
        class_names: Names in the order of the class indices; None for the labels themselves.
        groups: The group of each sample of `train`, such as the patient, as names or numbers; no group is then in two
            of the splits that are drawn. With an own validation split, or to compare with an own test split, a
            dictionary of one such list for each split: ``{"train": ..., "test": ...}``. None without groups.
    """

    train: Any
    validation: Any = None
    test: Any = None
    class_names: Sequence[str] | None = None
    groups: Any = None


def load_own(reference: str, root: str, options: dict[str, Any]) -> RawData:
    """Call the user's function and return what it loads.

    It gets ``data.options``, and ``data.root`` if it has a parameter `root`.

    Raises:
        LosstuneError: If there is no such function, it raises, or returns something else than a valid data set.
    """
    function = load(reference, KEY)
    found = f"{KEY}: {reference}"
    given = dict(options)
    try:
        signature = inspect.signature(function)
        if "root" in signature.parameters and "root" not in given:
            given["root"] = root
        signature.bind(**given)
    except (TypeError, ValueError) as error:
        raise LosstuneError(
            f"{found} can't be called with {', '.join(given) or 'no arguments'}: {in_one_line(error)}; expected "
            "load(...) with data.options as arguments"
        ) from None
    try:
        dataset = function(**given)
    except LosstuneError:
        raise
    except Exception as error:
        raise LosstuneError(f"{found} raises: {type(error).__name__}: {in_one_line(error)}") from None
    if not isinstance(dataset, Dataset):
        kind = "nothing" if dataset is None else f"a {type(dataset).__name__}"
        raise LosstuneError(f"{found} returned {kind}, expected a losstune.Dataset(train=(samples, labels), ...)")
    return as_raw(dataset, found)


def as_raw(dataset: Dataset, found: str) -> RawData:
    """Return a data set as losstune stores it.

    Args:
        dataset: The data set.
        found: Start of the error message.

    Raises:
        LosstuneError: If a split has no samples and labels of matching shapes and types.
    """
    splits = {
        name: _pair(f"{found}: {name}", value)
        for name in ("train", "validation", "test")
        if (value := getattr(dataset, name)) is not None
    }
    if "train" not in splits:
        raise LosstuneError(f"{found}: train is None, expected samples and labels")
    read = read_labels(
        {f"{found}: {name}: labels": labels for name, (_, labels) in splits.items()},
        _class_names(found, dataset.class_names),
    )
    parts = {}
    for (name, (samples, _)), indices in zip(splits.items(), read.indices, strict=True):
        where = f"{found}: {name}"
        images = as_stored(f"{where}: samples", samples)
        if len(images) != len(indices):
            raise LosstuneError(f"{where}: found {len(images)} samples and {len(indices)} labels, expected as many")
        parts[name] = images, indices
    groups = _groups(found, dataset.groups, {name: len(labels) for name, (_, labels) in parts.items()})
    images, labels = parts["train"]
    for name, (other, _) in parts.items():
        if other.shape[1:] != images.shape[1:] or other.dtype != images.dtype:
            raise LosstuneError(f"{found}: {name} samples are {describe(other)}, train samples {describe(images)}")
    soft = dict(zip(splits, read.targets or (), strict=False))
    validation, targets = None, soft.get("train")
    if "validation" in parts:
        validation = np.arange(len(labels), len(labels) + len(parts["validation"][1]), dtype=np.int64)
        images = np.concatenate([images, parts["validation"][0]])
        labels = np.concatenate([labels, parts["validation"][1]])
        if targets is not None:
            targets = np.concatenate([targets, soft["validation"]])
    test_images, test_labels = parts.get("test", (None, None))
    return RawData(
        images,
        labels,
        read.class_names,
        test_images,
        test_labels,
        read.notes,
        validation,
        targets=targets,
        test_targets=soft.get("test"),
        groups=join_splits(groups),
        test_groups=groups.get("test"),
    )


def _groups(found: str, given: Any, sizes: Mapping[str, int]) -> dict[str, Labels]:
    """Return the groups of the samples of each split."""
    if given is None:
        return {}
    by_split = given if isinstance(given, Mapping) else {"train": given}
    if by_split.keys() - sizes.keys() or sizes.keys() - by_split.keys() - {"test"}:
        raise LosstuneError(
            f"{found}: groups: found those of {', '.join(map(str, by_split)) or 'nothing'}, expected a dictionary with "
            f"those of {', '.join(sizes)}"
        )
    where = {name: f"{found}: groups: {name}" for name in sizes if name in by_split}
    arrays = {name: _array(where[name], by_split[name]) for name in where}
    for name, array in arrays.items():
        if len(array) != sizes[name]:
            raise LosstuneError(f"{where[name]}: found {len(array)}, expected {sizes[name]}, one for each sample")
    read = read_groups({where[name]: array for name, array in arrays.items()})
    return dict(zip(arrays, read, strict=True))


def _pair(where: str, split: Any) -> tuple[Array, Array]:
    if isinstance(split, tuple | list) and len(split) == 2:
        samples, labels = split
    elif hasattr(split, "__len__") and hasattr(split, "__getitem__") and not isinstance(split, np.ndarray | dict | str):
        rows = [split[number] for number in range(len(split))]
        if not rows or any(not isinstance(row, tuple | list) or len(row) != 2 for row in rows):
            raise LosstuneError(f"{where}: its items are no pairs, expected (sample, label)")
        samples, labels = [row[0] for row in rows], [row[1] for row in rows]
    else:
        raise LosstuneError(
            f"{where}: found a {type(split).__name__}, expected (samples, labels) or a map-style dataset of such pairs"
        )
    return _array(f"{where}: samples", samples), _array(f"{where}: labels", labels)


def _array(where: str, values: Any) -> Array:
    try:
        if isinstance(values, list | tuple):
            values = [np.asarray(value) for value in values]
            shapes = {value.shape for value in values}
            if len(shapes) > 1:
                raise LosstuneError(
                    f"{where}: found {len(shapes)} shapes, such as {' and '.join(map(str, sorted(shapes)[:2]))}, "
                    "expected one; resize them"
                )
            if len({value.dtype.kind in "US" for value in values}) > 1:  # NumPy would make texts of all
                raise LosstuneError(f"{where}: found texts and numbers, expected one of both; is a value missing?")
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise LosstuneError(f"{where}: can't be made an array: {in_one_line(error)}") from None
    if array.dtype == object and all(isinstance(value, str) for value in array.ravel()):
        array = array.astype(str)
    if array.dtype == object or not array.size:
        raise LosstuneError(
            f"{where}: found {describe(array)}, expected numbers, or texts as labels, and no missing value"
        )
    return array


def _class_names(found: str, given: Sequence[str] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    names = tuple(str(name) for name in given)
    if len(set(names)) < len(names):
        raise LosstuneError(f"{found}: class_names: a name is given twice, expected different ones")
    return names
