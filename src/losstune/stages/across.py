"""``losstune across``: compare several studies by their ``results.json``. Reads no settings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from losstune.core.files import write_atomically, write_json
from losstune.report.across import figures, tables
from losstune.report.across.cells import Cell, read_cells
from losstune.report.across.comparison import compare
from losstune.report.across.page import render_page
from losstune.report.across.terminal import print_across
from losstune.stages.layout import REPORT

RESULTS = Path("across.json")
PAGE = Path("across.html")
PLOTS = Path("plots")


def run(folders: Sequence[Path], output: Path) -> None:
    """Write ``across.json``, ``across.html`` and ``plots/`` into `output`, and print the comparison.

    Args:
        folders: Folders of studies, each with a ``results.json``.
        output: Folder to write to, which is created if missing.

    Raises:
        LosstuneError: If results are missing, damaged or not comparable.
    """
    cells = read_cells(folders)
    across = compare(cells)
    drawn = figures.draw(across)
    for name, text in {**drawn, **tables.draw(across)}.items():
        write_atomically(output / PLOTS / name, text)
    write_atomically(output / PAGE, render_page(across, drawn, _links(cells, output)))
    write_json(output / RESULTS, across.model_dump(mode="json"))
    print(f"Full comparison: {output / PAGE}", flush=True)
    print_across(across)


def _links(cells: Sequence[Cell], output: Path) -> dict[str, str]:
    """Return the path of each cell's report relative to the page. Cells without a report are left out."""
    return {
        cell.name: quote(Path(os.path.relpath(cell.folder / REPORT, output)).as_posix())
        for cell in cells
        if (cell.folder / REPORT).is_file()
    }
