"""The forest plot: the paired difference of every loss from the baseline, and the controls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from losstune.core.drawing import COLOURS, drawing_style, svg_of
from losstune.report.panels import WIDTH_INCHES, colour_of
from losstune.verdict.numbers import Difference
from losstune.verdict.results import Results
from losstune.verdict.wording import Units

_MARKERS = {"better": "^", "worse": "v", "equivalent": "s", "undecided": "o", "control": "D"}
_ROW_INCHES, _TOP_INCHES, _BOTTOM_INCHES = 0.27, 0.32, 0.55
_RIGHT, _KINDS, _INCHES_A_LETTER = 0.605, 0.84, 0.071


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceRow:
    """A row of the forest plot.

    Attributes:
        name: Name of the loss, of the two losses of a pair, or ``degraded baseline``.
        kind: The decision, or the kind of row: ``identical loss`` (a loss that equals another one), ``identical
            losses`` (two identical losses, neither the baseline), ``positive control``.
        colour: Name of the colour.
        difference: The loss minus the baseline; for identical losses, the first minus the second.
    """

    name: str
    kind: str
    colour: str
    difference: Difference


def difference_rows(results: Results) -> list[DifferenceRow]:
    """Return the rows from top to bottom: the losses, the best first, identical losses, the positive control."""
    losses = [
        DifferenceRow(name=loss.loss, kind=loss.standing, colour=colour_of(loss), difference=loss.difference)
        for loss in results.losses
        if loss.difference
    ]
    losses.sort(key=lambda row: -results.units.sign * row.difference.mean)
    controls = [
        DifferenceRow(
            name=f"{pair.loss} − {pair.equals}", kind="identical losses", colour="control", difference=pair.difference
        )
        for pair in results.control.pairs
        if pair.equals != results.baseline  # a loss that equals the baseline already has a row
    ]
    if results.control.positive:
        positive = results.control.positive.difference
        controls.append(
            DifferenceRow(name="degraded baseline", kind="positive control", colour="control", difference=positive)
        )
    return [*losses, *controls]


def differences_svg(results: Results) -> str:
    """Draw the rows with their intervals.

    The band is the ROPE, in which a difference does not matter in practice. The dotted lines are the noise floor, the
    difference of two identical losses. A difference outside the axes is drawn as an arrow.
    """
    rows = difference_rows(results)[::-1]
    num_controls = sum(row.kind in ("identical losses", "positive control") for row in rows)
    low, high = difference_limits(results)
    height = _TOP_INCHES + _BOTTOM_INCHES + _ROW_INCHES * max(len(rows), 1)
    left = 0.03 + max([1.2, *(_INCHES_A_LETTER * len(row.name) for row in rows)]) / WIDTH_INCHES
    floor, units = results.control.noise_floor, results.units
    factor = units.factor
    with drawing_style("differences"):
        figure = Figure(figsize=(WIDTH_INCHES, height))
        left = min(left, 0.4)
        axes = figure.add_axes(
            (left, _BOTTOM_INCHES / height, _RIGHT - left, 1 - (_TOP_INCHES + _BOTTOM_INCHES) / height)
        )
        axes.axvspan(-factor * results.rope, factor * results.rope, color=COLOURS["band"], zorder=0)
        axes.axvline(0.0, color=COLOURS["shadow"], linewidth=1.0, zorder=1)
        for side in () if floor is None else (-floor, floor):
            if low < side < high:
                style = (0, (1, 2))
                axes.axvline(factor * side, color=COLOURS["control"], linewidth=0.9, linestyle=style, zorder=1)
        if 0 < num_controls < len(rows):
            axes.axhline(num_controls - 0.5, color=COLOURS["line"], linewidth=0.8, zorder=0)
        for place, row in enumerate(rows):
            _draw_row(axes, place, row, (factor * low, factor * high), units)
        axes.set_xlim(factor * low, factor * high)
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.tick_params(axis="y", length=0, pad=7, labelcolor=COLOURS["ink"], labelsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _minus(f"{value:+g}") if value else "0"))
        axes.spines["left"].set_visible(False)
        unit = ", percentage points" if units.percent else ""
        better = f" ({units.direction})" if units.minimize else ""
        axes.set_xlabel(f"{units.label} minus {results.baseline}'s{unit}{better}")
        _annotate_top(figure, left, results)
        return svg_of(figure)


def difference_limits(results: Results) -> tuple[float, float]:
    """Return the limits of the axis: all intervals and the ROPE, but at most four times the median reach per side."""
    differences = [loss.difference for loss in results.losses if loss.difference is not None]
    lows = [d.low if math.isfinite(d.low) else d.mean for d in differences]
    highs = [d.high if math.isfinite(d.high) else d.mean for d in differences]
    reach = 4.0 * float(np.median(np.abs([*lows, *highs]))) if differences else 0.0
    least = max(1.4 * results.rope, 0.001 if results.percent else 1e-9)
    return (
        -1.08 * max(least, min(reach, -min(lows, default=0.0))),
        1.08 * max(least, min(reach, max(highs, default=0.0))),
    )


def _annotate_top(figure: Figure, left: float, results: Results) -> None:
    """Explain band, dotted lines and numbers above the rows."""
    floor, units = results.control.noise_floor, results.units
    legend = f"shaded: no practical difference (±{units.size(results.rope)})"
    if floor is not None:
        legend += f" · dotted: noise floor (±{units.size(floor)})"
    height = figure.get_figheight()
    y = 1 - (_TOP_INCHES - 0.08) / height
    style: Any = {"va": "bottom", "fontsize": 8, "color": COLOURS["muted"]}
    figure.text(_RIGHT - 0.012, y, legend, ha="right", **style)
    confidence = f"{100 * (1 - results.alpha):g}%"
    figure.text(_RIGHT + 0.014, y, f"mean difference [{confidence} interval]", **style)


def _draw_row(axes: Axes, place: int, row: DifferenceRow, frame: tuple[float, float], units: Units) -> None:
    difference = row.difference
    colour = COLOURS[row.colour]
    bounds = np.clip([units.factor * difference.low, units.factor * difference.high], *frame)
    style: Any = "solid" if math.isfinite(difference.low) else (0, (1, 3))
    axes.plot(bounds, [place, place], color=colour, linewidth=2.0, linestyle=style, zorder=2)
    mean = units.factor * difference.mean
    inside = frame[0] <= mean <= frame[1]
    edge = 0.012 * (frame[1] - frame[0])
    axes.plot(
        [np.clip(mean, frame[0] + edge, frame[1] - edge)],
        [place],
        marker=_MARKERS[row.colour] if inside else ("<" if mean < 0 else ">"),
        markersize=6.5,
        color=colour,
        markerfacecolor=COLOURS["card"] if row.colour in ("undecided", "control") else colour,
        markeredgewidth=1.4,
        linestyle="none",
        zorder=3,
    )
    estimate = units.with_interval(difference.mean, difference.low, difference.high)
    left, width = axes.get_position().x0, axes.get_position().width
    for text, x, tone in ((_minus(estimate), _RIGHT + 0.014, "ink"), (row.kind, _KINDS, row.colour)):
        axes.annotate(
            text,
            ((x - left) / width, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8.5,
            color=COLOURS[tone],
            annotation_clip=False,
        )


def _minus(text: str) -> str:
    return text.replace("-", "−")
