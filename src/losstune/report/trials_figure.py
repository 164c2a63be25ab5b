"""Figure of the search: the validation score of every trial against its learning rate."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from losstune.core.drawing import COLOURS, drawing_style, svg_of
from losstune.core.records import Record
from losstune.report.panels import finish_panel, label_panels, panels, say_in, score_limits
from losstune.report.pool_rows import MOST_CONFIGURATIONS
from losstune.verdict.failures import has_failed
from losstune.verdict.results import Results
from losstune.verdict.wording import Units

MOST_POINTS = 300
"""A panel with more trials is thinned: only one of several dots that nearly coincide is drawn."""

_CELLS = (90, 50)
"""Grid of a panel for thinning. A cell has half the size of a dot."""

_FOOT = 0.045
"""Height of the marks for trials outside the axes, as a fraction of the panel's height."""
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

Points = NDArray[np.float64]


def learning_rate_svg(results: Results, tune_records: Iterable[Record]) -> str:
    """Draw the validation score of every trial against its learning rate, one panel per loss.

    Rings mark the winners of the searches, or the retrained configurations of a pool with the largest weights.
    """
    trials: defaultdict[str, list[Record]] = defaultdict(list)
    for record in tune_records:
        trials[record.configuration.loss].append(record)
    shown = [record for loss in results.losses for record in trials[loss.loss]]
    usable = [record.validation[results.metric] for record in shown if not has_failed(record)]
    units = results.units
    low, high = score_limits(usable, units, quantile=0.25)
    rates = [record.configuration.learning_rate for record in shown] or [1e-3]
    first, last = min(rates) / 2, max(rates) * 2
    powers = range(math.ceil(math.log10(first)), math.floor(math.log10(last)) + 1)
    with drawing_style("learning_rate"):
        figure, found = panels(len(results.losses), (first, last), (low, high), x_scale="log")
        found[0].xaxis.set_major_locator(FixedLocator([10.0**power for power in powers]))
        found[0].xaxis.set_minor_locator(NullLocator())
        found[0].xaxis.set_major_formatter(FuncFormatter(_power_of_ten))
        for loss, axes in zip(results.losses, found, strict=False):
            chosen = loss.retrained[:MOST_CONFIGURATIONS] if results.is_pooled else loss.retrained
            winners = [r for r in trials[loss.loss] if (r.search, r.configuration) in chosen]
            _draw_trials(axes, trials[loss.loss], winners, units, (first, last), (low, high))
            finish_panel(axes, loss.loss)
        ring = "largest weights" if results.is_pooled else "winner"
        beyond = "▴: above" if units.minimize else "▾: below"
        label_panels(
            figure, f"learning rate (ringed: {ring} · ×: diverged · {beyond} the frame)", f"validation {units.axis}"
        )
        return svg_of(figure)


def _draw_trials(
    axes: Axes,
    trials: Sequence[Record],
    winners: Sequence[Record],
    units: Units,
    rates: tuple[float, float],
    scores: tuple[float, float],
) -> None:
    low, high = scores
    failed = [record for record in trials if has_failed(record)]
    whole = [record for record in trials if not has_failed(record)]
    beyond: list[Record] = []
    inside: list[Record] = []
    for record in whole:
        value = units.factor * record.validation[units.metric]
        (beyond if (value > high if units.minimize else value < low) else inside).append(record)
    # At the end of the axis with the worse scores, whatever they are.
    edge, at_edge = (1.0 - _FOOT if units.minimize else _FOOT), axes.get_xaxis_transform()
    arrow = "^" if units.minimize else "v"
    for marks, marker, size, colour in ((failed, "x", 4.5, "worse"), (beyond, arrow, 4.0, "shadow")):
        x_N = thinned(_points(marks, None), rates, (0.0, 1.0))[:, 0]
        if len(x_N):
            axes.plot(x_N, np.full(len(x_N), edge), marker, color=COLOURS[colour], markersize=size, transform=at_edge)
    for is_stopped in (True, False):
        marks = [record for record in inside if (record.status == "stopped") == is_stopped]
        points_N2 = thinned(_points(marks, units), rates, scores)
        if len(points_N2):
            axes.plot(
                *points_N2.T,
                "o",
                color=COLOURS["undecided"],
                markerfacecolor=COLOURS["card" if is_stopped else "undecided"],
                markersize=3.6,
            )
    points_N2 = _points(winners, units)
    points_N2[:, 1] = np.clip(points_N2[:, 1], low, high)
    if len(points_N2):
        axes.plot(*points_N2.T, "o", color=COLOURS["better"], markersize=5, zorder=4)
        axes.plot(*points_N2.T, "o", color=COLOURS["better"], markersize=9.5, markerfacecolor="none", zorder=4)
    else:
        say_in(axes, "no winner")


def thinned(points_N2: Points, rates: tuple[float, float], scores: tuple[float, float]) -> Points:
    """Return the points without those that others hide, if there are more than :data:`MOST_POINTS`.

    The panel is divided into cells of half a dot, and the first point of each cell is kept.

    Args:
        points_N2: Learning rate and score.
        rates: Ends of the horizontal axis, which is logarithmic.
        scores: Ends of the vertical axis.
    """
    if len(points_N2) <= MOST_POINTS:
        return points_N2
    across_N = np.log(points_N2[:, 0] / rates[0]) / np.log(rates[1] / rates[0])
    up_N = (points_N2[:, 1] - scores[0]) / (scores[1] - scores[0])
    cells_N2 = np.floor(np.stack([across_N, up_N], 1) * _CELLS).astype(np.int64)
    _, kept = np.unique(cells_N2, axis=0, return_index=True)
    return points_N2[np.sort(kept)]


def _points(records: Sequence[Record], units: Units | None) -> Points:
    """Return learning rates and scores as shown; the score is 0 if `units` is None."""
    return np.array(
        [
            (record.configuration.learning_rate, units.factor * record.validation[units.metric] if units else 0.0)
            for record in records
        ],
        dtype=np.float64,
    ).reshape(-1, 2)


def _power_of_ten(value: float, _: int | None = None) -> str:
    return "10" + str(round(math.log10(value))).translate(_SUPERSCRIPTS)
