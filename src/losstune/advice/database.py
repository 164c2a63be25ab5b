"""Read and extend a database of verdicts, a file of JSON lines. losstune ships one; a user's own is never sent."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from losstune.advice.records import PastVerdict
from losstune.core.errors import LosstuneError
from losstune.core.files import canonical_json, write_atomically
from losstune.core.text import read_text

SHIPPED = Path(__file__).parent / "verdicts.jsonl"
"""The verdicts of losstune's own studies; `benchmarks/verdicts.py` makes the file."""


def own_path() -> Path:
    """Return where the user's own verdicts are, by the XDG base directory specification."""
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".local/share") / "losstune/verdicts.jsonl"


@cache
def shipped() -> tuple[PastVerdict, ...]:
    """Return the verdicts of losstune's own studies."""
    return read(SHIPPED)


def known() -> tuple[PastVerdict, ...]:
    """Return the shipped verdicts and the user's own; of the same loss in the same study, the user's."""
    return merged(shipped(), read(own_path()) if own_path().exists() else ())


def read(path: Path) -> tuple[PastVerdict, ...]:
    """Read a database.

    Raises:
        LosstuneError: If it cannot be read; the message names the first bad line.
    """
    lines = read_text(path, "expected a database of verdicts (`losstune advice add`)").splitlines()
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(PastVerdict.model_validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            value = "" if first["type"] in ("json_invalid", "missing") else f" (found {str(first['input'])[:80]!r})"
            reason = f"{key}: {first['msg']}{value}" if key else first["msg"]
            raise LosstuneError(f"{path}: line {number}: {reason}; expected one verdict per line") from None
    return tuple(found)


def merged(first: Iterable[PastVerdict], second: Iterable[PastVerdict]) -> tuple[PastVerdict, ...]:
    """Return both, without those of the first that the second has, too: the same loss in the same study."""
    return tuple({(one.protocol, one.source, one.loss): one for one in (*first, *second)}.values())


def write(path: Path, verdicts: Iterable[PastVerdict]) -> None:
    """Write a database, one line a verdict, atomically."""
    write_atomically(path, text_of(verdicts))


def text_of(verdicts: Iterable[PastVerdict]) -> str:
    """Return the lines of a database."""
    return "".join(canonical_json(verdict.model_dump(mode="json")) + "\n" for verdict in verdicts)


def add(path: Path, verdicts: Iterable[PastVerdict]) -> int:
    """Add verdicts to a database, or replace them there; return how many it has.

    Raises:
        LosstuneError: If the file exists and is no database.
        OSError: If it cannot be written.
    """
    combined = merged(read(path) if path.exists() else (), verdicts)
    write(path, combined)
    return len(combined)
