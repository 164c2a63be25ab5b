"""Figure of a pooled study: the retrained configurations of a loss, each as wide as its weight."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from losstune.core.drawing import COLOURS, drawing_style, svg_of
from losstune.report.panels import WIDTH_INCHES, colour_of
from losstune.verdict import wording
from losstune.verdict.results import LossResult, Results, SearchResult

LEAST_LABELLED, LEAST_WORDS, LEAST_REST = 0.06, 0.095, 0.13
"""Weights from which a part of a bar has room for a label, for a label in words, and for that of the rest."""
_ROW_INCHES, _BOTTOM_INCHES, _TOP_INCHES, _LEFT, _RIGHT = 0.5, 0.48, 0.05, 0.2, 0.985


def pool_svg(results: Results) -> str:
    """Draw a bar for the baseline and one for the loss of the verdict, divided among the retrained configurations.

    A part is as wide as the configuration's weight. In it stand its mean test score and the number of its seeds.
    """
    losses = [results.of(loss) for loss in results.losses_in_focus()]
    height = _TOP_INCHES + _BOTTOM_INCHES + _ROW_INCHES * max(len(losses), 1)
    with drawing_style("pool"):
        figure = Figure(figsize=(WIDTH_INCHES, height))
        axes = figure.add_axes(
            (_LEFT, _BOTTOM_INCHES / height, _RIGHT - _LEFT, 1 - (_TOP_INCHES + _BOTTOM_INCHES) / height)
        )
        axes.set_xlim(0, 100)
        axes.set_ylim(len(losses) - 0.45, -0.55)
        for place, loss in enumerate(losses):
            _draw_bar(axes, place, loss, results)
        axes.set_yticks(
            range(len(losses)), [f"{loss.loss}\n{results.units.score(_mean(loss, results))}" for loss in losses]
        )
        axes.tick_params(axis="y", length=0, labelcolor=COLOURS["ink"], labelsize=8.5)
        axes.xaxis.set_major_locator(FixedLocator([0, 25, 50, 75, 100]))
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"searches of {results.num_trials} trials that end at the configuration, %")
        return svg_of(figure)


def parts(loss: LossResult) -> Iterator[tuple[SearchResult | None, float, float]]:
    """Return each part of a bar with its start and its width, from 0 to 1; None for what was not retrained."""
    start = 0.0
    for search in loss.searches:
        weight = search.weight or 0.0
        yield search, start, weight
        start += weight
    if start < 1.0:
        yield None, start, 1.0 - start


def _mean(loss: LossResult, results: Results) -> float:
    return loss.scores[results.metric].mean


def _draw_bar(axes: Axes, place: int, loss: LossResult, results: Results) -> None:
    colour = COLOURS["shadow" if loss.part == "baseline" else colour_of(loss)]
    for search, start, width in parts(loss):
        axes.barh(
            place,
            100 * width,
            left=100 * start,
            height=0.72,
            color=COLOURS["card"] if search is None else colour,
            alpha=None if search is None else 0.45,
            edgecolor=COLOURS["line"],
            linewidth=0.0,
        )
        axes.plot([100 * start] * 2, [place - 0.36, place + 0.36], color=COLOURS["card"], linewidth=1.6)
        if width < (LEAST_REST if search is None else LEAST_LABELLED):
            continue
        text, is_narrow = "not retrained", width < LEAST_WORDS
        if search is not None:
            score, num_seeds = results.units.score(search.test), search.num_blocks or 0
            seeds = f"×{num_seeds}" if is_narrow else wording.count(num_seeds, "seed")
            text = f"{score.removesuffix('%') if is_narrow else score}\n{seeds}"
        tone = COLOURS["muted" if search is None else "ink"]
        axes.text(
            100 * (start + width / 2),
            place,
            text,
            ha="center",
            va="center",
            fontsize=7.5 if is_narrow else 8,
            color=tone,
        )
