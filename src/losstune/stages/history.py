"""``losstune log``: the verdicts in the study's Git history."""

from __future__ import annotations

from pathlib import Path

from losstune.core.errors import LosstuneError
from losstune.core.files import write_atomically
from losstune.report.compare.history import Entry, history
from losstune.report.compare.history_formats import history_svg
from losstune.stages.layout import RESULTS


def study_history(folder: Path, revision: str, most: int | None) -> list[Entry]:
    """Return the verdicts of the study in a folder, newest first; see :func:`losstune.report.compare.history.history`.

    Raises:
        LosstuneError: If there is no such revision.
    """
    return history(folder, RESULTS, revision, most)


def draw_history(entries: list[Entry], path: Path) -> None:
    """Write the history as an SVG file.

    Raises:
        LosstuneError: If there is nothing to draw, or the file cannot be written.
    """
    if not any(entry.baseline_score for entry in entries):
        raise LosstuneError(f"--plot: nothing to draw, no commit has a {RESULTS} with scores")
    try:
        write_atomically(path, history_svg(entries))
    except OSError as error:
        raise LosstuneError(f"--plot: cannot write {path}: {error.strerror or error}") from None
