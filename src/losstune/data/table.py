"""A table in one file: columns of numbers and of categories, and a column of labels."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from losstune.config.data import DataSettings
from losstune.core.errors import LosstuneError, in_one_line
from losstune.data.column_features import from_frames
from losstune.data.columns import Roles
from losstune.data.filetypes import describe_file
from losstune.data.raw import RawData, shortlist

SUFFIXES = (".csv", ".tsv", ".parquet", ".pq", ".csv.gz", ".tsv.gz")
_DELIMITERS = ",;\t|"
_EXPECTED = "expected a table: CSV (.csv, .tsv, .csv.gz) with the names of the columns in the first line, or Parquet"
_MISSING = ["?"]
"""What stands for a missing value, beside pandas' own: empty, NA, NaN, null and others."""


def is_table(path: Path) -> bool:
    """Whether a file has the extension of a table."""
    return path.name.lower().endswith(SUFFIXES)


def load(path: Path, settings: DataSettings) -> RawData:
    """Read a table. What the features need of the data is fitted later, see :meth:`RawData.with_features`.

    Raises:
        LosstuneError: If the file or a column is missing or not usable; the message names it.
    """
    path = path.absolute()
    roles = Roles.of(settings, names(path), f"{path}")
    with _read(path) as read:
        frame = read()
    return from_frames(f"{path}", {"": frame}, roles)


def inspect(path: Path, settings: DataSettings) -> tuple[str, ...]:
    """Check the names of the columns. Return notes for the user, without reading a row.

    Raises:
        LosstuneError: If the file or a column is missing.
    """
    path = path.absolute()
    columns = names(path)
    roles = Roles.of(settings, columns, f"{path}")
    return (f"Label: column {roles.labels[0]}." if len(roles.labels) == 1 else f"Votes: {shortlist(roles.labels)}.",)


def names(path: Path) -> list[str]:
    """Return the names of the columns.

    Raises:
        LosstuneError: If the file is no table, or two columns have the same name.
    """
    with _read(path) as read:
        found = read(header=True)
    columns = [str(name) for name in found]
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise LosstuneError(f"{path}: found two columns {twice[0]!r}, expected different names")
    return columns


@contextmanager
def _read(path: Path) -> Iterator[Any]:
    """Yield what reads the table, or the names of its columns; turn errors into one line."""
    import pandas
    import pyarrow

    try:
        yield _reader(path)
    except FileNotFoundError:
        raise LosstuneError(f"data.root: no file {path}; {_EXPECTED}") from None
    except IsADirectoryError:
        raise LosstuneError(f"data.root: {path} is a folder; {_EXPECTED}") from None
    except MemoryError:
        raise LosstuneError(f"{path}: the table is larger than the memory") from None
    except pandas.errors.EmptyDataError:
        raise LosstuneError(f"{path}: found an empty file, {_EXPECTED}") from None
    except UnicodeDecodeError:
        raise LosstuneError(f"{path}: found {_kind(path)}; {_EXPECTED}, in UTF-8") from None
    except (OSError, ValueError, pyarrow.ArrowException, csv.Error) as error:
        raise LosstuneError(
            f"{path}: cannot be read as a table: {in_one_line(error, 200)} (it is {_kind(path)}); {_EXPECTED}"
        ) from None


def _kind(path: Path) -> str:
    try:
        return describe_file(path)
    except (OSError, ValueError):
        return "no file that can be read"


def _reader(path: Path) -> Any:
    import pandas
    import pyarrow.parquet

    name = path.name.lower()
    with path.open("rb"):  # a missing file, a folder
        pass
    is_parquet = name.endswith((".parquet", ".pq")) or describe_file(path) == "a Parquet table"

    def read(*, header: bool = False) -> Any:
        if is_parquet:
            file = pyarrow.parquet.ParquetFile(path)
            # Without pandas' notes in the file, every column is a column, also one that was an index.
            return file.schema_arrow.names if header else file.read().replace_schema_metadata().to_pandas()
        first, delimiter = _first_line(path)
        if header:
            return first
        return pandas.read_csv(
            path, sep=delimiter, skiprows=1, names=first, header=None, index_col=False, na_values=_MISSING,
            encoding="utf-8-sig", low_memory=False, skipinitialspace=True,
        )  # fmt: skip

    return read


def _first_line(path: Path) -> tuple[list[str], str]:
    """Return the names in the first line, and the delimiter: that which is most often in it."""
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        line = file.readline()
        if "\0" in line:
            raise ValueError("it is no text")
        delimiter = max(_DELIMITERS, key=line.count)
        file.seek(0)
        names = next(csv.reader(file, delimiter=delimiter, skipinitialspace=True), [])
    if not names:
        raise ValueError("its first line is empty")
    return [name.strip() or f"Unnamed: {number}" for number, name in enumerate(names)], delimiter
