"""Columns of a table as features: numbers as they are, and one feature for each category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from losstune.core.errors import LosstuneError
from losstune.data.columns import Roles, labels_of
from losstune.data.raw import Array, Labels, RawData, printable, shortlist

MOST_CATEGORIES = 1000
MISSING = "missing"
"""The category of a missing value."""

_ROWS_PER_VALUE = 5
"""A column with fewer rows for each value, on average, may tell the class by chance."""

_FEW = 10
"""Columns with so few different texts are categories, however few rows there are."""


def from_frames(
    found: str,
    frames: Mapping[str, Any],
    roles: Roles,
    *,
    class_names: Sequence[str] | None = None,
    own_validation: bool = False,
) -> RawData:
    """Return the data in the frames of its splits. Its features are made later, see :meth:`RawData.with_features`.

    Args:
        found: Start of the error message.
        frames: A pandas frame for each split: ``""`` (the training data), ``"validation"``, ``"test"``, in this order.
        roles: What the columns are.
        class_names: Names of the classes, if the labels are their numbers.
        own_validation: Whether the validation split is used as such; else it joins the training data.

    Raises:
        LosstuneError: If labels, groups or features are not usable; the message names the column.
    """
    import pandas

    for split, frame in frames.items():
        if not len(frame):
            raise LosstuneError(f"{found}: found no row{f' in {split}' if split else ''}, expected samples")
    labelled = labels_of(found, frames, roles, class_names)
    rest = [frame[list(roles.features)] for split, frame in frames.items() if split != "test"]
    features = pandas.concat(rest, ignore_index=True) if len(rest) > 1 else rest[0]
    test = frames["test"][list(roles.features)] if "test" in frames else None
    columns = _Columns.of(found, features, test)
    raw = RawData(
        images=np.empty((len(features), 0), dtype=np.float32),
        test_images=None if test is None else np.empty((len(test), 0), dtype=np.float32),
        make_features=columns.make_features,
        **labelled,
    )
    validation = None
    if own_validation and "validation" in frames:
        validation = np.arange(len(frames[""]), len(features), dtype=np.int64)
    return replace(raw, validation=validation, notes=(*columns.notes, *_telling(features, raw.labels), *raw.notes))


def _telling(features: Any, labels: Labels) -> list[str]:
    """Return a note on columns from whose few values the class follows, as if they were another name of it."""
    import pandas

    found = []
    for name in features.columns:
        num = features[name].nunique(dropna=False)
        if 1 < num <= len(features) / _ROWS_PER_VALUE:
            pairs = pandas.DataFrame({"value": features[name], "label": labels}).drop_duplicates()
            found += [name] if len(pairs) == num else []
    if not found:
        return []
    return [
        f"Each value of {shortlist(found)} goes with one class; if it is made of the label, `data.drop` leaves it out."
    ]


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of features of all samples outside the test split, and of the test split that the data brings.

    Attributes:
        names: Names of the columns of numbers, and of those of categories.
        numbers: Numbers of both splits, (N, D) float32 with NaN where one is missing; no test split is (0, D).
        categories: Categories of both splits as texts, (N, E).
        notes: How the columns are used, for the user.
    """

    names: tuple[list[str], list[str]]
    numbers: tuple[Array, Array]
    categories: tuple[Array, Array]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, found: str, frame: Any, test: Any) -> _Columns:
        """Decide which columns are numbers and which are categories.

        Raises:
            LosstuneError: If a column is neither, or no column has more than one value.
        """
        from pandas.api import types

        numbers: list[str] = []
        categories: list[str] = []
        left_out: list[str] = []
        for name in frame.columns:
            column, where = frame[name], f"{found}: column {name}"
            if types.is_numeric_dtype(column.dtype) and not types.is_complex_dtype(column.dtype):
                is_constant, kind = column.nunique(dropna=False) == 1, numbers
            else:
                is_constant, kind = _num_categories(where, column) + column.isna().any() <= 1, categories
            (left_out if is_constant else kind).append(name)
        if not numbers and not categories:
            raise LosstuneError(f"{found}: found only one value in each of {shortlist(left_out)}, expected features")
        both = (("numbers", numbers), ("categories", categories))
        kinds = [f"{kind} in {shortlist(names)}" for kind, names in both if names]
        notes = [f"Features: {', '.join(kinds)}."]
        if left_out:
            notes.append(f"Left out, as each row has the same value: {shortlist(left_out)}.")
        missing = [
            f"{name} in {int(num):,}" for name, num in frame.isna().sum().items() if num and name not in left_out
        ]
        if missing:
            notes.append(f"Missing values, of {len(frame):,} rows: {shortlist(missing)}.")
        notes += [
            f"{name} numbers the rows; if it is an identifier, `data.drop: [{name}]` leaves it out."
            for name in map(printable, (name for name in numbers if _numbers_rows(frame[name])))
        ]
        test = frame[:0] if test is None else test
        return cls(
            (numbers, categories),
            (_as_numbers(found, frame[numbers]), _as_numbers(found, test[numbers])),
            (_as_texts(frame[categories]), _as_texts(test[categories])),
            tuple(notes),
        )

    def make_features(self, raw: RawData, train: Labels) -> RawData:
        """Return the data with features. Medians and categories are those of the training samples.

        Args:
            raw: The data.
            train: Indices of the training samples.
        """
        from sklearn.impute import SimpleImputer
        from sklearn.preprocessing import OneHotEncoder

        images: list[list[Array]] = [[], []]
        names: list[str] = []
        if self.names[0]:
            imputer = SimpleImputer(strategy="median", keep_empty_features=True).fit(self.numbers[0][train])
            names += self.names[0]
            for parts, numbers in zip(images, self.numbers, strict=True):
                parts.append(imputer.transform(numbers) if len(numbers) else numbers)
        if self.names[1]:
            encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
            encoder.fit(self.categories[0][train])
            pairs = zip(self.names[1], encoder.categories_, strict=True)
            names += [f"{name}={category}" for name, categories in pairs for category in categories]
            for parts, texts in zip(images, self.categories, strict=True):
                parts.append(encoder.transform(texts) if len(texts) else np.empty((0, len(names)), dtype=np.float32))
        train_images = np.concatenate(images[0], axis=1, dtype=np.float32)
        test_images = None if raw.test_images is None else np.concatenate(images[1], axis=1, dtype=np.float32)
        return replace(
            raw, images=train_images, test_images=test_images, feature_names=tuple(names), make_features=None
        )


def _num_categories(where: str, column: Any) -> int:
    """Return the number of different values of a column that holds no numbers.

    Raises:
        LosstuneError: If they are no categories: dates, lists, or texts that are nearly all different.
    """
    from pandas.api import types

    cure = f"; `data.drop: [{column.name}]` leaves the column out"
    if types.is_datetime64_any_dtype(column.dtype) or types.is_timedelta64_dtype(column.dtype):
        raise LosstuneError(f"{where}: found dates, expected numbers or categories, such as the year{cure}")
    try:
        num = int(column.nunique())
    except TypeError:
        raise LosstuneError(f"{where}: found lists, expected one number or category in each row{cure}") from None
    values = column.dropna()
    if len(values) and isinstance(values.iloc[0], bytes):
        raise LosstuneError(f"{where}: found bytes, expected numbers or categories{cure}")
    if num > MOST_CATEGORIES or (num > _FEW and 2 * num > len(values)):
        raise LosstuneError(
            f"{where}: found {num:,} different texts in {len(values):,} rows, {_like(values)}; expected numbers or at "
            f"most {MOST_CATEGORIES:,} categories of several rows{cure}"
        )
    return num


def _like(values: Any) -> str:
    """Return what texts look like, for a message."""
    import pandas

    texts = values.astype(str)
    first = repr(printable(texts.iloc[0][:40]))
    is_number = pandas.to_numeric(texts, errors="coerce").notna()
    if is_number.all():
        return f"such as {first}, numbers stored as texts"
    if is_number.mean() > 0.5:
        odd = repr(printable(texts[~is_number].iloc[0][:40]))
        return f"numbers, and {odd} among them, which stands for a missing value if it is left empty"
    if pandas.to_numeric(texts.str.replace(",", "."), errors="coerce").notna().all():
        return f"such as {first}, numbers with a comma for the point"
    some = texts.iloc[:20]
    if some.str.contains(r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}").all():
        return f"dates such as {first}"
    return f"such as {first}, like an identifier or free text"


def _numbers_rows(column: Any) -> bool:
    """Whether a column looks like the number of the row: whole numbers without a gap, each once, in order."""
    from pandas.api import types

    return bool(
        types.is_integer_dtype(column.dtype)
        and len(column) > _FEW
        and column.is_unique
        and column.max() - column.min() + 1 == len(column)
    )


def _as_numbers(found: str, frame: Any) -> Array:
    with np.errstate(over="ignore"):
        numbers: Array = frame.to_numpy(dtype=np.float32, na_value=np.nan)
    if (is_infinite := np.isinf(numbers).any(axis=0)).any():
        name = frame.columns[int(is_infinite.argmax())]
        raise LosstuneError(f"{found}: column {name}: found infinite values or some too large for float32")
    return numbers


def _as_texts(frame: Any) -> Array:
    columns = [frame[name].astype(object).where(frame[name].notna(), MISSING).map(str) for name in frame.columns]
    return (
        np.stack([column.to_numpy(dtype=object) for column in columns], axis=1)
        if columns
        else np.empty((len(frame), 0))
    )
