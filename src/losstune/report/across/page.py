"""A comparison as one HTML file, in the style of a study's report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from losstune.report.across.figures import LABELS
from losstune.report.across.results import Across, LossAcross
from losstune.report.across.terminal import difference, share, tally
from losstune.report.parts.page import inline, render
from losstune.verdict import wording

MOST_NAMES = 3
"""In the headline."""


def render_page(across: Across, figures: Mapping[str, str], links: Mapping[str, str]) -> str:
    """Return the page as HTML text.

    Args:
        across: The comparison.
        figures: SVG text by file name, see :func:`losstune.report.across.figures.draw`.
        links: Path of each cell's report relative to the page. A cell without a report gets no link.
    """
    better = [loss.loss for loss in across.losses if loss.standing == "better"]
    who = ", ".join(better) if len(better) <= MOST_NAMES else f"{len(better)} losses"
    return render(
        "across.html.j2",
        "losstune.report.across",
        across=across,
        rows=[_row(across, loss) for loss in across.losses],
        cells=across.cells,
        links=links,
        units=across.units,
        confidence=f"{100 * (1 - across.alpha):g}%",
        has_winner=bool(better),
        headline=f"{who} over {across.baseline}" if better else f"No loss beats {across.baseline}",
        figures={name.removesuffix(".svg"): inline(svg, LABELS[name]) for name, svg in figures.items()},
    )


def render_links(num_studies: int, links: Mapping[str, str], reason: str) -> str:
    """Return a page of studies that can't be compared, as HTML text.

    Args:
        num_studies: Number of studies.
        links: Path of each report relative to the page, by the name of the study.
        reason: Why they can't be compared.
    """
    return render("links.html.j2", "losstune.report.across", num_studies=num_studies, links=links, reason=reason)


def _row(across: Across, loss: LossAcross) -> dict[str, Any]:
    """Return the texts of a loss's rows."""
    units = across.units
    in_cells = {cell.cell: cell for cell in loss.cells}
    most = max(
        (abs(cell.mean) for other in across.losses for cell in other.cells if cell.mean is not None), default=0.0
    )
    return {
        "result": loss,
        "rank": "" if loss.mean_rank is None else f"{loss.mean_rank:.2f}",
        "iqm": difference(loss.iqm, units) if loss.iqm else "",
        "improvement": share(loss.improvement) if loss.improvement else "",
        "p_holm": wording.p_value(loss.p_holm) if loss.p_holm is not None and loss.standing else "",
        "kind": loss.standing or loss.part,
        "standing": loss.shown,
        "tally": tally(loss),
        "cells": [
            None
            if (cell := in_cells.get(facts.name)) is None
            else {
                "mean": "" if cell.mean is None else units.difference(cell.mean),
                "interval": "" if cell.low is None or cell.high is None else units.interval(cell.low, cell.high),
                "decision": cell.decision or ("" if facts.is_counted else "not counted"),
                "shade": "hit" if units.sign * (cell.mean or 0.0) > 0 else "miss",
                "share": f"{0.4 * abs(cell.mean or 0.0) / most if most else 0.0:.2f}",
            }
            for facts in across.cells
        ],
    }
