"""A comparison's figures as SVG text: equal numbers give equal bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from losstune.core.drawing import COLOURS, drawing_style, svg_of
from losstune.report.across.results import Across, Interval, LossAcross

LABELS = {
    "critical_difference.svg": "Mean ranks of all losses, with bars that join losses within the critical difference",
    "estimates.svg": "Interquartile mean and probability of improvement of every loss, with intervals",
    "profiles.svg": "Performance profiles, one panel per loss",
}
_WIDTH_INCHES = 8.0
_ROW_INCHES = 0.24
_NUM_COLUMNS = 4


def draw(across: Across) -> dict[str, str]:
    """Return the figures as SVG text by file name."""
    return {
        "critical_difference.svg": critical_difference_svg(across),
        "estimates.svg": estimates_svg(across),
        "profiles.svg": profiles_svg(across),
    }


def critical_difference_svg(across: Across) -> str:
    """Draw the usual diagram: mean ranks on an axis, and a bar over losses that Nemenyi's test does not separate.

    scikit-posthocs draws it, too, but its colours and labels cannot follow the page.

    Source:
        Demsar 2006, section 3.2.4, figure 1.
    """
    methods = across.methods
    num_methods = len(methods)
    num_left = math.ceil(num_methods / 2)
    low, high = 1.0, float(num_methods)
    with drawing_style("critical_difference"):
        # In inches from the top: the length of the critical difference, the axis, the bars, one row per label.
        axis, first_bar = 0.62, 0.8
        first_row = first_bar + 0.13 * max(len(across.groups), 1) + 0.14
        height = first_row + _ROW_INCHES * num_left + 0.05
        figure = Figure(figsize=(_WIDTH_INCHES, height))
        axes = figure.add_axes((0.25, 0.0, 0.5, 1.0))
        axes.set_axis_off()
        axes.set_xlim(low, high)
        axes.set_ylim(height, 0.0)
        _rank_axis(axes, axis, num_methods)
        _critical_length(axes, across.critical_difference, low, high)
        ranks = {method.loss: method.mean_rank or 0.0 for method in methods}
        for number, group in enumerate(across.groups):
            y = first_bar + 0.13 * number
            ends = [ranks[group[0]] - 0.05, ranks[group[-1]] + 0.05]
            axes.plot(ends, [y, y], color=COLOURS["ink"], linewidth=3.2, solid_capstyle="round", clip_on=False)
        margin = 0.06 * (high - low)
        for place, method in enumerate(methods):
            is_left = place < num_left
            row = place if is_left else num_methods - 1 - place
            y = first_row + _ROW_INCHES * (row + 0.5)
            rank, end = ranks[method.loss], low - margin if is_left else high + margin
            is_baseline = method.part == "baseline"
            tone = COLOURS["better"] if is_baseline else COLOURS["ink"]
            axes.plot(
                [rank, rank, end],
                [axis, y, y],
                color=tone if is_baseline else COLOURS["undecided"],
                linewidth=1.4 if is_baseline else 1.0,
                clip_on=False,
            )
            number_text = f"{rank:.2f}"
            axes.annotate(
                f"{method.loss}  {number_text}" if is_left else f"{number_text}  {method.loss}",
                (end, y),
                xytext=(-5 if is_left else 5, 0),
                textcoords="offset points",
                ha="right" if is_left else "left",
                va="center",
                fontsize=9,
                fontweight="bold" if is_baseline else "normal",
                color=tone,
                annotation_clip=False,
            )
        return svg_of(figure)


def estimates_svg(across: Across) -> str:
    """Draw the interquartile mean and the probability of improvement of every loss, side by side."""
    shown = [loss for loss in reversed(across.losses) if loss.iqm and loss.improvement]
    height = 0.85 + 0.27 * len(shown)
    with drawing_style("estimates"):
        figure = Figure(figsize=(_WIDTH_INCHES, height))
        box = (0.55 / height, 1 - (0.85 - 0.02) / height)
        points = figure.add_axes((0.175, box[0], 0.38, box[1]))
        shares = figure.add_axes((0.61, box[0], 0.375, box[1]))
        units = across.units
        points.axvspan(*_band(across), color=COLOURS["band"], zorder=0)
        for axes, middle in ((points, 0.0), (shares, 50.0)):
            axes.axvline(middle, color=COLOURS["shadow"], linewidth=1.0, zorder=1)
            axes.set_ylim(-0.7, len(shown) - 0.3)
            axes.spines["left"].set_visible(False)
        reach = _reach(across, shown)
        points.set_xlim(-reach, reach)
        for side in () if across.noise_floor is None else (-across.noise_floor, across.noise_floor):
            style = (0, (1, 2))
            points.axvline(units.factor * side, color=COLOURS["control"], linewidth=0.9, linestyle=style, zorder=1)
        shares.set_xlim(-3, 103)
        for row, loss in enumerate(shown):
            _estimate(points, row, loss.iqm, loss, units.factor)
            _estimate(shares, row, loss.improvement, loss, 100)
        points.set_yticks(range(len(shown)), [loss.loss for loss in shown])
        points.tick_params(axis="y", length=0, pad=7, labelcolor=COLOURS["ink"], labelsize=9)
        shares.set_yticks([])
        points.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        points.xaxis.set_major_formatter(FuncFormatter(_signed))
        shares.set_xticks([0, 25, 50, 75, 100])
        better = f" ({units.direction})" if units.minimize else ""
        unit = ", points" if units.percent else ""
        points.set_xlabel(f"IQM of {units.label} minus {across.baseline}'s{unit}{better}")
        shares.set_xlabel(f"blocks ahead of {across.baseline}, %")
        floor = across.noise_floor
        _caption(
            points,
            f"shaded: no practical difference (±{units.size(units.rope)})"
            + ("" if floor is None else f" · dotted: noise floor (±{units.size(floor)})"),
        )
        return svg_of(figure)


def profiles_svg(across: Across) -> str:
    """Draw the performance profile of each loss in its own panel, with the baseline's step in grey."""
    shown = [loss for loss in across.losses if loss.part != "baseline"]
    baseline = next(loss for loss in across.losses if loss.part == "baseline")
    num_columns = min(_NUM_COLUMNS, len(shown))
    num_rows = math.ceil(len(shown) / num_columns)
    height = 0.55 + 1.45 * num_rows
    units = across.units
    thresholds = [units.factor * value for value in across.thresholds]
    with drawing_style("profiles"):
        figure = Figure(figsize=(_WIDTH_INCHES, height))
        grid = figure.subplots(num_rows, num_columns, sharex=True, sharey=True, squeeze=False)
        figure.subplots_adjust(
            left=0.085, right=0.985, top=1 - 0.28 / height, bottom=0.55 / height, wspace=0.1, hspace=0.34
        )
        panels: list[Axes] = list(grid.flat)
        for axes in panels[len(shown) :]:
            axes.set_visible(False)
            panels[panels.index(axes) - num_columns].tick_params(labelbottom=True)
        for loss, axes in zip(shown, panels, strict=False):
            axes.axvspan(*_band(across), color=COLOURS["band"], zorder=0)
            _profile(axes, thresholds, baseline.profile, "shadow", 1.2)
            _profile(axes, thresholds, loss.profile, _tone(loss), 1.5)
            axes.set_xlim(thresholds[0], thresholds[-1])
            axes.set_ylim(-3, 103)
            axes.set_yticks([0, 50, 100])
            axes.grid(axis="y", color=COLOURS["line"], linewidth=0.7)
            axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
            axes.xaxis.set_major_formatter(FuncFormatter(_signed))
            axes.set_title(loss.loss, loc="left", fontsize=8.5, fontweight="bold", color=COLOURS["ink"], pad=4)
        style: Any = {"fontsize": 9, "color": COLOURS["ink"]}
        side = "below" if units.minimize else "above"
        x_label = f"τ, {'points of ' if units.percent else ''}{units.label} {side} {across.baseline} (grey: baseline)"
        figure.text(0.535, 0.09 / height, x_label, ha="center", va="bottom", **style)
        y_label = "blocks ahead by more than τ, %" if units.minimize else "blocks above τ, %"
        figure.text(0.012, 0.5, y_label, rotation=90, ha="left", va="center", **style)
        return svg_of(figure)


def _rank_axis(axes: Axes, y: float, num_methods: int) -> None:
    axes.plot([1, num_methods], [y, y], color=COLOURS["shadow"], linewidth=1.0, clip_on=False)
    for rank in range(1, num_methods + 1):
        axes.plot([rank, rank], [y - 0.05, y], color=COLOURS["shadow"], linewidth=1.0, clip_on=False)
        axes.text(rank, y - 0.08, str(rank), ha="center", va="bottom", fontsize=8, color=COLOURS["muted"])
    for rank, text, side, offset in ((1, "best", "right", -8), (num_methods, "worst", "left", 8)):
        axes.annotate(
            text,
            (rank, y - 0.08),
            xytext=(offset, 0),
            textcoords="offset points",
            ha=side,
            va="bottom",
            fontsize=8,
            color=COLOURS["muted"],
            annotation_clip=False,
        )


def _critical_length(axes: Axes, difference: float, low: float, high: float) -> None:
    y, end = 0.16, min(low + difference, high + 0.3 * (high - low))
    for x in (low, end):
        axes.plot([x, x], [y - 0.04, y + 0.04], color=COLOURS["muted"], linewidth=1.0, clip_on=False)
    axes.plot([low, end], [y, y], color=COLOURS["muted"], linewidth=1.0, clip_on=False)
    text = f"critical difference {difference:.2f}"
    axes.annotate(
        text,
        (low, y),
        xytext=(-5, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=8,
        color=COLOURS["muted"],
        annotation_clip=False,
    )


def _estimate(axes: Axes, row: int, estimate: Interval | None, loss: LossAcross, factor: int) -> None:
    assert estimate is not None
    colour = COLOURS[_tone(loss)]
    bounds = np.clip([factor * estimate.low, factor * estimate.high], *axes.get_xlim())
    style: Any = "solid" if math.isfinite(estimate.low) else (0, (1, 3))
    axes.plot(bounds, [row, row], color=colour, linewidth=2.0, linestyle=style, zorder=2)
    is_significant = loss.standing in ("better", "worse")
    axes.plot(
        [factor * estimate.value],
        [row],
        marker={"better": "^", "worse": "v"}.get(loss.standing or "", "o" if loss.standing else "D"),
        markersize=6.5,
        color=colour,
        markerfacecolor=colour if is_significant else COLOURS["card"],
        markeredgewidth=1.4,
        linestyle="none",
        zorder=3,
    )


def _reach(across: Across, shown: Sequence[LossAcross]) -> float:
    """Return the limit of the symmetric axis of differences."""
    values = [value for loss in shown if loss.iqm for value in (loss.iqm.value, loss.iqm.low, loss.iqm.high)]
    found = [across.units.rope, *(abs(value) for value in values if math.isfinite(value))]
    return 1.08 * across.units.factor * (max(found) or 1.0)


def _profile(axes: Axes, thresholds: Sequence[float], profile: Sequence[float], tone: str, width: float) -> None:
    axes.step(thresholds, [100 * share for share in profile], where="post", color=COLOURS[tone], linewidth=width)


def _tone(loss: LossAcross) -> str:
    if loss.standing is None:
        return "control"
    return loss.standing if loss.standing in ("better", "worse") else "ink"


def _band(across: Across) -> tuple[float, float]:
    """Return the narrowest ROPE of the studies, as shown."""
    rope = across.units.factor * across.units.rope
    return -rope, rope


def _caption(axes: Axes, text: str) -> None:
    axes.annotate(
        text,
        (0.0, 1.0),
        xycoords="axes fraction",
        xytext=(0, 4),
        textcoords="offset points",
        fontsize=8,
        color=COLOURS["muted"],
    )


def _signed(value: float, _: int | None = None) -> str:
    return f"{value:+g}".replace("-", "−") if value else "0"
