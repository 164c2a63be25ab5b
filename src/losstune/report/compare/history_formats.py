"""The history of verdicts as a table, as JSON and as a figure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.text import Text

from losstune.core.drawing import COLOURS, drawing_style, svg_of
from losstune.report.compare.history import Bounds, Entry, sparkline
from losstune.report.parts.terminal import Column, print_lines, print_table, text_of
from losstune.report.parts.text import json_text
from losstune.verdict.wording import Units

FORMATS = ("table", "json")
_NONE = "–"
_LABEL_LENGTH = 7
_MESSAGE_LENGTH = 30


def history_text(entries: Sequence[Entry], form: str, *, colour: bool = False) -> str:
    """Return the history in one of :data:`FORMATS`, with a final line break."""
    if form == "json":
        return json_text([entry.model_dump(mode="json") for entry in entries])
    if not entries:
        return "no commit has a results.json; `dvc repro` writes it\n"
    return text_of(partial(_print, entries), colour=colour)


def _print(entries: Sequence[Entry], console: Console) -> None:
    columns = [
        Column("commit"),
        Column("date"),
        Column("message", wraps=True, max_width=_MESSAGE_LENGTH),
        *map(Column, ("verdict", "baseline's score", "")),
        Column("note", wraps=True),
    ]
    bars = sparkline(_values(entries))
    rows = [
        [Text(cell) for cell in _cells(entry, bar)]
        for entry, bar in zip(entries, bars or " " * len(entries), strict=True)
    ]
    print_table(console, columns, rows)
    if bars.strip():
        print_lines(console, [f"baseline, oldest to newest: {bars[::-1]}"])
    if any(entry.num_folded for entry in entries):
        print_lines(console, ["(+n): next commits that did not change results.json"])


def history_svg(entries: Sequence[Entry]) -> str:
    """Draw the baseline's score with its interval, and the winner's, against the commits, oldest first.

    A vertical line marks a change of metric, baseline, model or data, so that scores on its two sides are not
    comparable.
    """
    oldest_first = list(reversed(entries))
    with drawing_style("history"):
        figure = Figure(figsize=(max(4.0, 1.6 + 0.55 * len(entries)), 3.2), layout="constrained")
        axes = figure.add_subplot()
        for place, entry in enumerate(oldest_first):
            _mark(axes, place, entry.baseline_score, entry.units, "ink", "o")
            if entry.winner != entry.baseline:
                _mark(axes, place + 0.15, entry.winner_score, entry.units, "better", "D")
            if place and any(word in entry.note for word in ("metric:", "baseline:", "model:", "other data")):
                axes.axvline(place - 0.5, color=COLOURS["shadow"], linewidth=0.8, linestyle=":")
        axes.set_xticks(
            range(len(oldest_first)),
            [_label(entry) for entry in oldest_first],
            rotation=45,
            ha="right",
            family="DejaVu Sans Mono",
        )
        axes.set_xlim(-0.6, len(oldest_first) - 0.4)
        units = next((entry.units for entry in entries if entry.metric), Units("accuracy"))
        axes.set_ylabel(f"test {units.axis}")
        axes.set_title("Baseline (circle) and winner (diamond) by commit", fontsize=9, loc="left")
        axes.grid(axis="y", color=COLOURS["line"], linewidth=0.6)
        return svg_of(figure)


def _mark(axes: Axes, place: float, score: Bounds | None, units: Units, colour: str, marker: str) -> None:
    if score is None:
        return
    if score.low is not None and score.high is not None:
        bounds = [units.factor * score.low, units.factor * score.high]
        axes.plot([place, place], bounds, color=COLOURS[colour], linewidth=1.4)
    axes.plot([place], [units.factor * score.mean], color=COLOURS[colour], marker=marker, markersize=4.5)


def _cells(entry: Entry, bar: str) -> list[str]:
    score, units = entry.baseline_score, entry.units
    shown = _NONE
    if score is not None:
        shown = units.score(score.mean)
        if score.low is not None and score.high is not None:
            shown += f" [{units.score(score.low)}, {units.score(score.high)}]".replace("%", "")
    verdict = (
        _NONE if entry.action is None else "no verdict" if entry.winner is None else f"{entry.action} {entry.winner}"
    )
    folded = f" (+{entry.num_folded})" if entry.num_folded else ""
    message = textwrap.shorten(entry.message, 2 * _MESSAGE_LENGTH - 10, placeholder=" …")
    return [_label(entry), entry.date[:10], f"{message}{folded}", verdict, shown, bar, entry.note]


def _label(entry: Entry) -> str:
    return "work tree" if entry.commit is None else entry.commit[:_LABEL_LENGTH]


def _values(entries: Sequence[Entry]) -> list[float | None]:
    return [None if entry.baseline_score is None else entry.baseline_score.mean for entry in entries]
