"""``losstune across``: compare several studies by their ``results.json``. Reads no settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from losstune.core.errors import LosstuneError
from losstune.core.files import write_atomically, write_json
from losstune.report.across import figures, tables
from losstune.report.across.cells import read_cells
from losstune.report.across.comparison import compare
from losstune.report.across.page import render_links, render_page
from losstune.report.across.terminal import print_across
from losstune.stages.layout import REPORT
from losstune.stages.layout import RESULTS as STUDY_RESULTS

RESULTS = Path("across.json")
PAGE = Path("across.html")
PLOTS = Path("plots")


def run(folders: Sequence[Path], output: Path, *, or_links: bool = False) -> None:
    """Write ``across.json``, ``across.html`` and ``plots/`` into `output`, and print the comparison.

    Args:
        folders: Folders of studies, each with a ``results.json``.
        output: Folder to write to, which is created if missing.
        or_links: Whether studies that are not comparable are no error: a page with their reports says why. A pipeline
            whose studies all have a verdict should not end in an error.

    Raises:
        LosstuneError: If results are missing, damaged or, without `or_links`, not comparable.
    """
    try:
        cells = read_cells(folders)
        across = compare(cells)
    except LosstuneError as error:
        if not or_links or not all((folder / STUDY_RESULTS).is_file() for folder in folders):
            raise
        _write_links(folders, output, str(error))
        return
    drawn = figures.draw(across)
    for name, text in {**drawn, **tables.draw(across)}.items():
        write_atomically(output / PLOTS / name, text)
    links = _links({cell.name: cell.folder for cell in cells}, output)
    write_atomically(output / PAGE, render_page(across, drawn, links))
    write_json(output / RESULTS, across.model_dump(mode="json"))
    print(f"Full comparison: {output / PAGE}", flush=True)
    print_across(across)


def _write_links(folders: Sequence[Path], output: Path, reason: str) -> None:
    """Write a page with the reports of studies that can't be compared, and the reason."""
    links = _links({folder.absolute().name: folder for folder in folders}, output)
    write_atomically(output / PAGE, render_links(len(folders), links, reason))
    write_json(output / RESULTS, {"cells": [{"name": name} for name in links], "not_compared": reason})
    print(f"The studies are not ranked together: {reason}. Their reports: {output / PAGE}", flush=True)


def _links(folders: Mapping[str, Path], output: Path) -> dict[str, str]:
    """Return the path of each study's report relative to the page. Studies without a report are left out."""
    return {
        name: quote(Path(os.path.relpath(folder / REPORT, output)).as_posix())
        for name, folder in folders.items()
        if (folder / REPORT).is_file()
    }
