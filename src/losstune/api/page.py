"""A verdict as HTML for the output of a notebook's cell."""

from __future__ import annotations

import base64
from pathlib import Path

from losstune.report.differences import differences_svg
from losstune.report.page import LABELS
from losstune.report.page_rows import loss_row
from losstune.report.parts.page import render
from losstune.report.terminal import control_line
from losstune.verdict import wording
from losstune.verdict.results import Results

FIGURE = "differences.svg"


def as_html(results: Results, report: Path) -> str:
    """Return the sentence, the winner's configuration, the forest plot and the table.

    The figure is an image and not inline SVG, because the cells of a notebook share one page, and with it the names in
    a figure.

    Args:
        results: Results of the study.
        report: Path of the full report, to name it.
    """
    svg = differences_svg(results).encode()
    chosen = results.verdict.loss or results.baseline
    winner = results.of(chosen).winner
    return render(
        "verdict.html.j2",
        "losstune.api",
        results=results,
        rows=[loss_row(loss, results) for loss in results.ranked()],
        label=results.units.label,
        points=results.units.points,
        confidence=f"{100 * (1 - results.alpha):g}%",
        chosen=chosen,
        configuration={}
        if winner is None
        else {name.replace("_", " "): wording.number(value) for name, value in winner.values.items()},
        control=control_line(results),
        figure=f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}",
        figure_label=LABELS[FIGURE],
        report=report,
    )
