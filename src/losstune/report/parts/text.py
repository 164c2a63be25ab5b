"""CSV and JSON text: equal numbers give equal bytes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]], form: str = ".6f") -> str:
    """Return a table as CSV text with a header and line feeds.

    Args:
        header: Names of the columns.
        rows: Values of the rows; None becomes an empty cell.
        form: Format of floats.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([f"{value:{form}}" if isinstance(value, float) else value for value in row] for row in rows)
    return text.getvalue()


def json_text(value: Any) -> str:
    """Return a value as indented JSON with a final line break."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
