"""Columns of a table as labels and groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from losstune.config.data import DataSettings
from losstune.core.errors import LosstuneError, did_you_mean
from losstune.data.groups import join_splits, read_groups
from losstune.data.labels import read_labels, targets_from_votes
from losstune.data.raw import Array, Labels, shortlist

LABEL = "label"
"""The column of the labels unless ``data.label`` names another."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Which columns are what.

    Attributes:
        labels: The column of the labels, or one column for each annotator.
        features: All columns that nothing else is made of.
        groups: The column of the groups, or None.
        noisy: The column of the labels as they were given, or None.
    """

    labels: tuple[str, ...]
    features: tuple[str, ...]
    groups: str | None
    noisy: str | None

    @classmethod
    def of(cls, settings: DataSettings, columns: Sequence[str], found: str, label: str | None = None) -> Roles:
        """Return the roles of the columns that the settings give them.

        Args:
            settings: ``data`` of ``params.yaml``.
            columns: Names of all columns.
            found: Start of the error message, such as the file.
            label: The column of the labels unless the settings say which; None for one of the name ``label``.

        Raises:
            LosstuneError: If a column that is named is missing, or none is left for the features.
        """
        label = label or LABEL
        if settings.label is None and label not in columns:
            raise LosstuneError(
                f"data.label: found null, and {found} has no column {label}; expected the name of the column with the "
                f"classes, one of {shortlist(columns)}"
            )
        labels = (settings.label or label,) if not isinstance(settings.label, tuple) else settings.label
        noisy = settings.label_noise if isinstance(settings.label_noise, str) else None
        named = [("data.label", name) for name in labels] + [("data.drop", name) for name in settings.drop]
        named += [("data.groups", settings.groups)] if settings.groups is not None else []
        named += [("data.label_noise", noisy)] if noisy is not None else []
        for key, name in named:
            if name not in columns:
                raise LosstuneError(
                    f"{key}: found {name!r}, and {found} has no such column; expected one of {shortlist(columns)}"
                    f"{did_you_mean(name, columns)}"
                )
        of_key: dict[str, str] = {}
        for key, name in named:
            if of_key.setdefault(name, key) != key and {of_key[name], key} != {"data.groups", "data.drop"}:
                raise LosstuneError(f"{key}: found {name!r}, which is {of_key[name]}, too; expected another column")
        if len(set(labels)) < len(labels):
            raise LosstuneError(f"data.label: found a column twice in {shortlist(labels)}, expected different ones")
        features = tuple(name for name in columns if name not in of_key)
        if not features:
            raise LosstuneError(f"{found}: found no column with features beside {shortlist(list(of_key))}")
        return cls(labels, features, settings.groups, noisy)


def labels_of(
    found: str, frames: Mapping[str, Any], roles: Roles, class_names: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return the labels and groups in the frames of all splits, as arguments of :class:`RawData`.

    Raises:
        LosstuneError: If a sample has no label or group, or labels are not understood.
    """
    columns = [*roles.labels, *([roles.noisy] if roles.noisy else [])]
    given = {(split, name): frame[name] for split, frame in frames.items() for name in columns}
    present = {key: column.notna().to_numpy() for key, column in given.items()}
    for split in frames:
        is_there = np.any([present[split, name] for name in roles.labels], axis=0)
        _require_all(found, split, is_there, " or ".join(roles.labels), "a label")
        if roles.noisy:
            _require_all(found, split, present[split, roles.noisy], roles.noisy, "a label")
    arrays = {key: _label_array(_where(found, *key), column[present[key]]) for key, column in given.items()}
    if class_names is None:
        arrays = _one_kind(arrays)
    read = read_labels({_where(found, *key): array for key, array in arrays.items()}, class_names)
    indices = dict(zip(given, read.indices, strict=True))
    labels, targets = {}, {}
    for split in frames:
        if len(roles.labels) == 1:
            labels[split] = indices[split, roles.labels[0]]
            continue
        votes = np.full((len(frames[split]), len(roles.labels)), -1, dtype=np.int64)
        for number, name in enumerate(roles.labels):
            votes[present[split, name], number] = indices[split, name]
        targets[split] = targets_from_votes(votes, len(read.class_names))
        labels[split] = targets[split].argmax(axis=1).astype(np.int64)
    noisy = {split: indices[split, roles.noisy] for split in frames} if roles.noisy else {}
    groups = _groups(found, frames, roles.groups) if roles.groups else {}
    return {
        "labels": join_splits(labels),
        "test_labels": labels.get("test"),
        "targets": join_splits(targets),
        "test_targets": targets.get("test"),
        "noisy_labels": join_splits(noisy),
        "test_noisy_labels": noisy.get("test"),
        "groups": join_splits(groups),
        "test_groups": groups.get("test"),
        "class_names": read.class_names,
        "notes": read.notes,
    }


def _groups(found: str, frames: Mapping[str, Any], name: str) -> dict[str, Labels]:
    arrays = {}
    for split, frame in frames.items():
        _require_all(found, split, frame[name].notna().to_numpy(), name, "a group")
        arrays[_where(found, split, name)] = frame[name].astype(str).to_numpy(dtype=str)
    return dict(zip(frames, read_groups(arrays), strict=True))


def _require_all(found: str, split: str, is_there: Array, name: str, what: str) -> None:
    if not is_there.all():
        missing = np.flatnonzero(~is_there)
        raise LosstuneError(
            f"{_where(found, split, name)}: found {len(missing):,} of {len(is_there):,} rows without {what} (the first "
            f"is row {missing[0] + 1}), expected {what} in each; remove these rows"
        )


def _where(found: str, split: str, name: str) -> str:
    return f"{found}: {f'{split}: ' if split else ''}column {name}"


def _label_array(where: str, column: Any) -> Array:
    from pandas.api import types

    if types.is_bool_dtype(column.dtype):
        return np.asarray(column, dtype=bool)
    if types.is_numeric_dtype(column.dtype):
        numbers = np.asarray(column, dtype=None if types.is_integer_dtype(column.dtype) else np.float64)
        is_whole = numbers.dtype.kind == "f" and bool((numbers == np.floor(numbers)).all())
        return numbers.astype(np.int64) if is_whole else numbers
    if types.is_datetime64_any_dtype(column.dtype):
        raise LosstuneError(f"{where}: found dates, expected classes")
    return np.asarray(column.astype(str), dtype=str)


def _one_kind(arrays: Mapping[Any, Array]) -> dict[Any, Array]:
    """Return numbers that are codes as texts, as a column cannot say which of both it is."""
    if any(array.dtype.kind not in "iu" for array in arrays.values()):
        return dict(arrays)
    present = np.unique(np.concatenate(list(arrays.values())))
    is_counted = present[0] in {0, 1} and present[-1] - present[0] + 1 == len(present)
    if is_counted or present.tolist() == [-1, 1]:
        return dict(arrays)
    return {key: array.astype(str) for key, array in arrays.items()}
