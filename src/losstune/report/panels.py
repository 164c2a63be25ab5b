"""Small multiples: one panel per loss, with common axes, four per row."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from losstune.core.drawing import COLOURS
from losstune.verdict.results import LossResult
from losstune.verdict.wording import Units

WIDTH_INCHES = 8.0
NUM_COLUMNS = 4
ROW_INCHES = 1.38
_TOP_INCHES, _BOTTOM_INCHES = 0.28, 0.55


def panels(
    num_panels: int, x_limits: tuple[float, float], y_limits: tuple[float, float], *, x_scale: str = "linear"
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its panels, row by row, with common axes. Panels beyond `num_panels` are hidden.

    The limits of the axes are set once, before anything is drawn, because each change is passed to every panel.
    """
    num_columns = min(NUM_COLUMNS, max(num_panels, 1))
    num_rows = math.ceil(num_panels / num_columns)
    height = _BOTTOM_INCHES + ROW_INCHES * num_rows
    figure = Figure(figsize=(WIDTH_INCHES, height))
    grid = figure.subplots(num_rows, num_columns, sharex=True, sharey=True, squeeze=False)
    figure.subplots_adjust(
        left=0.085, right=0.985, top=1 - _TOP_INCHES / height, bottom=_BOTTOM_INCHES / height, wspace=0.1, hspace=0.34
    )
    found = list(grid.flat)
    found[0].set_xscale(x_scale)
    found[0].set_xlim(x_limits)
    found[0].set_ylim(y_limits)
    found[0].yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    for axes in found[num_panels:]:
        axes.set_visible(False)
        found[found.index(axes) - num_columns].tick_params(labelbottom=True)
    return figure, found


def finish_panel(axes: Axes, title: str) -> None:
    """Set a panel's title and a few horizontal grid lines."""
    axes.grid(axis="y", color=COLOURS["line"], linewidth=0.7)
    # A fixed height of the title, because matplotlib would measure every tick label to place it.
    axes.set_title(title, loc="left", fontsize=8.5, fontweight="bold", color=COLOURS["ink"], pad=4, y=1.0)


def label_panels(figure: Figure, x_label: str, y_label: str) -> None:
    """Label the axes once for all panels."""
    height = figure.get_figheight()
    figure.text(0.535, 0.09 / height, x_label, ha="center", va="bottom", fontsize=9, color=COLOURS["ink"])
    # A long label may be higher than a single row of panels. A letter is about 0.58 times as wide as high.
    size = min(9.0, 72.0 * height / (0.58 * max(len(y_label), 1)))
    figure.text(0.012, 0.5, y_label, rotation=90, ha="left", va="center", fontsize=size, color=COLOURS["ink"])


def say_in(axes: Axes, text: str) -> None:
    """Write a short text into an empty panel."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=8, color=COLOURS["muted"])


def score_limits(values: Sequence[float], units: Units, *, quantile: float) -> tuple[float, float]:
    """Return the axis limits, for fractions in percent: the better part of the scores, where losses differ."""
    if not values:
        return 0.0, float(units.factor)
    if units.minimize:
        low, high = min(values), float(np.quantile(values, 1.0 - quantile))
    else:
        low, high = float(np.quantile(values, quantile)), max(values)
    margin = max(0.12 * (high - low), 0.005 if units.percent else 0.01 * max(abs(low), abs(high)), 1e-12)
    least = 0.0 if units.percent else -math.inf
    return units.factor * max(low - margin, least), units.factor * (high + margin)


def colour_of(loss: LossResult) -> str:
    """Return the name of a loss's colour, by its decision or its role."""
    return loss.decision or ("control" if loss.part in ("control", "alias") else "undecided")
