"""The figures of the page, as SVG text: equal numbers give equal bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from findings import CONDITIONS, Cell, Pooled, Tuning, find
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from losstune.core.drawing import COLOURS, drawing_style, svg_of

_ROW_INCHES, _TOP, _BOTTOM = 0.2, 0.34, 0.5
_LEFT, _RIGHT = 0.2, 0.985


def losses_svg(by_condition: Mapping[str, Mapping[str, Pooled]], cells: Sequence[Cell]) -> str:
    """Draw a panel for each condition: the pooled difference of each loss, and its difference in each study."""
    names = list(dict.fromkeys(name for losses in by_condition.values() for name in losses))[::-1]
    shown = [condition for condition in CONDITIONS if by_condition.get(condition)]
    with drawing_style("study losses"):
        figure, panels = _panels(len(names), max(len(shown), 1))
        for axes, condition in zip(panels, shown, strict=False):
            own = [cell.results for cell in cells if cell.condition == condition and cell.has_verdict and cell.results]
            pooled = by_condition[condition]
            limit = _limit([bound for one in pooled.values() for bound in (one.low, one.high)])
            for place, name in enumerate(names):
                means = [
                    entry.difference.mean for results in own if (entry := find(results, name)) and entry.difference
                ]
                axes.plot(
                    np.clip(100 * np.array(means), -limit, limit),
                    [place] * len(means),
                    linestyle="none",
                    marker="o",
                    markersize=2.6,
                    color=COLOURS["shadow"],
                    zorder=2,
                )
                if name in pooled:
                    one = pooled[name]
                    tone = "better" if one.low > 0 else "worse" if one.high < 0 else "undecided"
                    _interval(axes, place, (one.mean, one.low, one.high), limit, COLOURS[tone])
            _finish(axes, names, axes is panels[0], limit, CONDITIONS[condition])
        _label(figure)
        return svg_of(figure)


def kl_svg(cells: Sequence[Cell], losses: Sequence[str]) -> str:
    """Draw a panel for each of two losses: its difference from the baseline in each study."""
    run = [cell for cell in cells if cell.results is not None][::-1]
    with drawing_style("study kl"):
        figure, panels = _panels(len(run), len(losses))
        found = [
            [(entry.difference if (entry := find(cell.results, loss)) else None) for cell in run if cell.results]
            for loss in losses
        ]
        limit = _limit([bound for row in found for one in row if one for bound in (one.low, one.high)])
        for axes, loss, row in zip(panels, losses, found, strict=True):
            for place, one in enumerate(row):
                if one is not None:
                    tone = "better" if one.low > 0 else "worse" if one.high < 0 else "undecided"
                    _interval(axes, place, (one.mean, one.low, one.high), limit, COLOURS[tone])
            _finish(axes, [cell.title for cell in run], axes is panels[0], limit, loss)
        _label(figure)
        return svg_of(figure)


def tuning_svg(changes: Mapping[str, Tuning]) -> str:
    """Draw, for each study, the spread of the losses at the published defaults and after the search."""
    names = list(changes)[::-1]
    with drawing_style("study tuning"):
        figure, (axes,) = _panels(len(names), 1)
        for place, name in enumerate(names):
            before, after = 100 * changes[name].before, 100 * changes[name].after
            axes.plot([before, after], [place, place], color=COLOURS["line"], linewidth=1.6, zorder=1)
            style: Any = {"linestyle": "none", "marker": "o", "markersize": 5.5, "markeredgewidth": 1.4, "zorder": 2}
            first = place == len(names) - 1
            axes.plot(
                [before],
                [place],
                color=COLOURS["worse"],
                markerfacecolor=COLOURS["card"],
                label="at the published defaults" if first else None,
                **style,
            )
            axes.plot([after], [place], color=COLOURS["better"], label="after the search" if first else None, **style)
        axes.set_xlim(left=0.0)
        _rows(axes, names)
        axes.set_xlabel("standard deviation of the losses' validation accuracy, percentage points")
        if changes:
            figure.legend(loc="upper right", ncols=2, frameon=False, fontsize=8)
        return svg_of(figure)


def _panels(num_rows: int, num_panels: int) -> tuple[Figure, list[Axes]]:
    height = _TOP + _BOTTOM + _ROW_INCHES * max(num_rows, 1)
    figure = Figure(figsize=(8.0, height))
    left, right, gap = _LEFT, _RIGHT, 0.025
    width = (right - left - gap * (num_panels - 1)) / num_panels
    bottom, inner = _BOTTOM / height, 1 - (_TOP + _BOTTOM) / height
    return figure, [
        figure.add_axes((left + panel * (width + gap), bottom, width, inner)) for panel in range(num_panels)
    ]


def _label(figure: Figure) -> None:
    """Name the horizontal axes of all panels once: the name is wider than one of four panels."""
    figure.text((_LEFT + _RIGHT) / 2, 0.01, "test accuracy minus cross_entropy's, points", ha="center", va="bottom")


def _limit(bounds: Sequence[float]) -> float:
    """Return the half-width of the axis in points: three times the median bound, so that wide intervals are cut."""
    finite = [abs(100 * bound) for bound in bounds if math.isfinite(bound)]
    return max(3.0 * float(np.median(finite)), 1.0) if finite else 1.0


def _interval(axes: Axes, place: int, values: tuple[float, float, float], limit: float, colour: str) -> None:
    mean, low, high = (100 * value for value in values)
    axes.plot(np.clip([low, high], -limit, limit), [place, place], color=colour, linewidth=1.8, zorder=3)
    axes.plot([min(max(mean, -limit), limit)], [place], color=colour, marker="D", markersize=3.8, zorder=4)


def _finish(axes: Axes, names: Sequence[str], is_first: bool, limit: float, title: str) -> None:
    axes.axvspan(-0.5, 0.5, color=COLOURS["band"], zorder=0)
    axes.axvline(0.0, color=COLOURS["shadow"], linewidth=1.0, zorder=1)
    axes.set_xlim(-1.04 * limit, 1.04 * limit)
    axes.spines["left"].set_visible(False)
    axes.set_title(title, fontsize=9)
    _rows(axes, names, is_first)


def _rows(axes: Axes, names: Sequence[str], is_named: bool = True) -> None:
    axes.set_yticks(range(len(names)), names if is_named else [""] * len(names))
    axes.tick_params(axis="y", length=0, labelcolor=COLOURS["ink"])
    axes.set_ylim(-0.7, len(names) - 0.3)
