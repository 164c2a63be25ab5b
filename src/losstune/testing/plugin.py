"""Losses in a user's own Python file."""

from __future__ import annotations

import runpy
from pathlib import Path

from losstune.errors import LosstuneError
from losstune.losses.spec import LossSpec


def specs_in(path: Path) -> list[LossSpec]:
    """Run a Python file and return every :class:`LossSpec` that it defines at its top level.

    Raises:
        LosstuneError: If there is no such file, it can't be run, or it defines none.
    """
    if not path.is_file():
        raise LosstuneError(f"{path}: no such file; expected a Python file that defines a LossSpec")
    try:
        names = runpy.run_path(str(path))
    except Exception as error:  # whatever the file raises
        raise LosstuneError(
            f"{path}: cannot be run: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        ) from None
    found = list({id(value): value for value in names.values() if isinstance(value, LossSpec)}.values())
    if not found:
        raise LosstuneError(
            f"{path}: found no LossSpec at its top level; expected, say, SPEC = LossSpec(name=...)"
        )
    return found
