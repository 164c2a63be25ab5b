"""The report's figures as SVG text: the same bytes for the same numbers, and legible without colour.

Outcomes differ in colour and in shape. The colours are Okabe and Ito's, which people with any colour vision tell
apart. Every colour comes from :data:`COLOURS`, so that a page can put its own in place of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from losstune.drawing import COLOURS, drawing_style, svg_of
from losstune.records import Record
from losstune.report import wording
from losstune.report.panels import (
    WIDTH_INCHES,
    colour_of,
    finish_panel,
    label_panels,
    panels,
    say_in,
    score_limits,
)
from losstune.report.results import LossResult, Results
from losstune.report.tables import winner_curves
from losstune.report.trials_figure import learning_rate_svg

_MARKERS = {"better": "^", "worse": "v", "equivalent": "s", "undecided": "o", "control": "D"}


def draw(
    results: Results, tune_records: Sequence[Record], confirm_records: Sequence[Record]
) -> dict[str, str]:
    """Return the figures as SVG text by file name."""
    return {
        "differences.svg": differences_svg(results),
        "learning_rate.svg": learning_rate_svg(results, tune_records, confirm_records),
        "best_of.svg": best_of_svg(results),
        "learning_curves.svg": learning_curves_svg(results, winner_curves(results, confirm_records)),
    }


def differences_svg(results: Results) -> str:
    """Draw every loss's paired difference against the baseline with its interval.

    The band is the ROPE: what lies in it makes no practical difference. The dotted lines are the noise floor: what
    two identical losses differ by. A difference far outside the others is cut at the frame and drawn as an arrow.
    """
    shown = sorted((loss for loss in results.losses if loss.difference), key=lambda loss: _mean(loss))
    low, high = _difference_limits(results, shown)
    with drawing_style("differences"):
        figure = Figure(figsize=(WIDTH_INCHES, 0.87 + 0.27 * max(len(shown), 1)))
        axes = figure.add_axes((0.175, 0.0, 0.47, 1.0))
        _place(axes, figure, top=0.32, bottom=0.55)
        axes.axvspan(-100 * results.rope, 100 * results.rope, color=COLOURS["band"], zorder=0)
        axes.axvline(0.0, color=COLOURS["shadow"], linewidth=1.0, zorder=1)
        floor = results.control.noise_floor
        for side in () if floor is None else (-floor, floor):
            if low < side < high:
                style = (0, (1, 2))
                axes.axvline(100 * side, color=COLOURS["control"], linewidth=0.9, linestyle=style, zorder=1)
        for row, loss in enumerate(shown):
            _draw_difference(axes, row, loss, (100 * low, 100 * high))
        axes.set_xlim(100 * low, 100 * high)
        axes.set_ylim(-0.7, len(shown) - 0.3)
        axes.set_yticks(range(len(shown)), [loss.loss for loss in shown])
        axes.tick_params(axis="y", length=0, pad=7, labelcolor=COLOURS["ink"], labelsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda value, _: _minus(f"{value:+g}") if value else "0")
        )
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(
            f"{wording.METRIC_NAMES[results.metric]} minus {results.baseline}'s, percentage points"
        )
        confidence = f"{100 * (1 - results.alpha):g}% interval"
        axes.annotate(
            f"mean difference [{confidence}]",
            (1.03, len(shown) - 0.3),
            xycoords=("axes fraction", "data"),
            va="bottom",
            fontsize=8,
            color=COLOURS["muted"],
        )
        axes.annotate(
            f"shaded: no practical difference (±{100 * results.rope:.2f})"
            + ("" if floor is None else f" · dotted: noise floor (±{100 * floor:.2f})"),
            (0.0, 1.0),
            xycoords="axes fraction",
            xytext=(0, 4),
            textcoords="offset points",
            fontsize=8,
            color=COLOURS["muted"],
        )
        return svg_of(figure)


def best_of_svg(results: Results) -> str:
    """Draw the expected best validation score of k trials against k, a panel per loss, the baseline's in grey."""
    metric = wording.METRIC_NAMES[results.metric]
    curves = {loss.loss: loss.best_of for loss in results.losses if loss.best_of}
    labels = f"trials searched (grey: {results.baseline})", f"expected best validation {metric}, %"
    return _curves_svg("best_of", results, curves, labels, quantile=0.2, baseline_width=1.2)


def learning_curves_svg(results: Results, curves: Mapping[str, Sequence[float]]) -> str:
    """Draw the winners' validation scores by epoch, a panel per loss, the baseline's curve in grey behind.

    Args:
        results: The numbers.
        curves: Mean over blocks by loss, see :func:`losstune.report.tables.winner_curves`.
    """
    metric = wording.METRIC_NAMES[results.metric]
    labels = f"epoch (grey: {results.baseline})", f"validation {metric}, %"
    return _curves_svg("learning_curves", results, curves, labels, quantile=0.3, baseline_width=2.6)


def _curves_svg(
    name: str,
    results: Results,
    curves: Mapping[str, Sequence[float]],
    labels: tuple[str, str],
    *,
    quantile: float,
    baseline_width: float,
) -> str:
    """Draw a curve per loss in a panel of its own, over 1, 2, 3 and so on, the baseline's in grey behind each."""
    values = [value for curve in curves.values() for value in curve]
    low, high = score_limits(values, quantile=quantile)
    longest = max((len(curve) for curve in curves.values()), default=1)
    baseline = curves.get(results.baseline, ())
    with drawing_style(name):
        figure, found = panels(len(results.losses))
        for loss, axes in zip(results.losses, found, strict=False):
            curve = curves.get(loss.loss, ())
            _draw_curve(axes, baseline, "shadow", linewidth=baseline_width)
            if loss.part != "baseline":
                colour = colour_of(loss)
                _draw_curve(axes, curve, "ink" if colour == "undecided" else colour, linewidth=1.4)
            if not curve:
                say_in(axes, "no winner")
            axes.set_xlim(0.5 if longest == 1 else 1, longest + 0.5)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            finish_panel(axes, loss.loss, low, high)
        label_panels(figure, *labels)
        return svg_of(figure)


def _draw_difference(axes: Axes, row: int, loss: LossResult, frame: tuple[float, float]) -> None:
    difference = loss.difference
    assert difference is not None
    kind = colour_of(loss)
    colour = COLOURS[kind]
    bounds = np.clip([100 * difference.low, 100 * difference.high], *frame)
    style: Any = "solid" if math.isfinite(difference.low) else (0, (1, 3))
    axes.plot(bounds, [row, row], color=colour, linewidth=2.0, linestyle=style, zorder=2)
    mean = 100 * difference.mean
    inside = frame[0] <= mean <= frame[1]
    edge = 0.012 * (frame[1] - frame[0])
    axes.plot(
        [np.clip(mean, frame[0] + edge, frame[1] - edge)],
        [row],
        marker=_MARKERS[kind] if inside else ("<" if mean < 0 else ">"),
        markersize=6.5,
        color=colour,
        markerfacecolor=COLOURS["card"] if kind in ("undecided", "control") else colour,
        markeredgewidth=1.4,
        linestyle="none",
        zorder=3,
    )
    estimate = f"{wording.points(difference.mean)} {wording.interval(difference.low, difference.high)}"
    outcome = loss.outcome or ("" if loss.part == "candidate" else loss.part)
    for text, offset, tone in ((_minus(estimate), 1.03, "ink"), (outcome, 1.43, kind)):
        axes.annotate(
            text,
            (offset, row),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8.5,
            color=COLOURS[tone],
            annotation_clip=False,
        )


def _draw_curve(axes: Axes, curve: Sequence[float], colour: str, *, linewidth: float) -> None:
    epochs, percent = range(1, len(curve) + 1), [100 * value for value in curve]
    marker = "o" if len(curve) == 1 else ""
    axes.plot(epochs, percent, color=COLOURS[colour], linewidth=linewidth, marker=marker, markersize=3)


def _difference_limits(results: Results, shown: Sequence[LossResult]) -> tuple[float, float]:
    """Return the axis: all intervals and the ROPE, but to either side at most four times the median reach."""
    differences = [loss.difference for loss in shown if loss.difference is not None]
    lows = [d.low if math.isfinite(d.low) else d.mean for d in differences]
    highs = [d.high if math.isfinite(d.high) else d.mean for d in differences]
    reach = 4.0 * float(np.median(np.abs([*lows, *highs]))) if differences else 0.0
    least = max(1.4 * results.rope, 0.001)
    return (
        -1.08 * max(least, min(reach, -min(lows, default=0.0))),
        1.08 * max(least, min(reach, max(highs, default=0.0))),
    )


def _mean(loss: LossResult) -> float:
    return loss.difference.mean if loss.difference else -math.inf


def _minus(text: str) -> str:
    return text.replace("-", "−")


def _place(axes: Axes, figure: Figure, *, top: float, bottom: float) -> None:
    height, box = figure.get_figheight(), axes.get_position()
    axes.set_position((box.x0, bottom / height, box.width, 1 - (top + bottom) / height))


def themed(svg: str, label: str) -> str:
    """Return a figure for inlining in HTML: without XML preamble and fixed size, colours as ``var(--fig-ink)``.

    Identifiers that nothing refers to go, because several figures on a page would repeat them.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    referred = set(re.findall(r"#([\w-]+)", svg))
    svg = re.sub(r' id="([\w.-]+)"', lambda match: match[0] if match[1] in referred else "", svg)
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--fig-{name})")
    return svg
