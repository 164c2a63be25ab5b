"""Reliability diagrams: accuracy against confidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator

from losstune.core.drawing import COLOURS, drawing_style, svg_of
from losstune.report.panels import finish_panel, label_panels, panels, say_in
from losstune.verdict.results import Results

FEWEST = 30
"""Fewest predictions in a bin that is drawn. With fewer, the accuracy is mostly chance."""

WAYS = {"softmax": "softmax", "link": "own map", "scaled": "scaled"}
"""Names of the types of probabilities on the page."""

_STYLES = {
    "softmax": ("undecided", "o", "card", "-"),
    "link": ("better", "s", "better", "-"),
    "scaled": ("worse", "^", "worse", "--"),
}


def reliability_svg(results: Results) -> str:
    """Draw accuracy against mean confidence by bin of the confidence, one panel per loss.

    Uses the predictions of all blocks. A loss is calibrated on the diagonal and overconfident below it.
    """
    with drawing_style("reliability"):
        figure, found = panels(len(results.losses), (0, 103), (0, 103))
        for loss, axes in zip(results.losses, found, strict=False):
            axes.plot((0, 100), (0, 100), color=COLOURS["shadow"], linewidth=0.8, zorder=1)
            for way, fit in loss.calibration.items():
                _draw(axes, way, fit.bins)
            if not loss.calibration:
                say_in(axes, "not known")
            finish_panel(axes, loss.loss)
        found[0].xaxis.set_major_locator(FixedLocator([0, 25, 50, 75]))
        label_panels(
            figure, "mean confidence in the bin, % (○ softmax · ■ own map · ▲ scaled)", "accuracy in the bin, %"
        )
        return svg_of(figure)


def reliability_rows(results: Results) -> Iterator[tuple[str, str, float, float, int, float, float]]:
    """Return loss, type, ends of the bin, predictions, mean confidence and accuracy of all bins that are not empty."""
    for loss in results.losses:
        for way, fit in loss.calibration.items():
            for number, (count, hits, confidence) in enumerate(fit.bins):
                if count:
                    ends = number / len(fit.bins), (number + 1) / len(fit.bins)
                    yield loss.loss, way, *ends, count, confidence / count, hits / count


def _draw(axes: Axes, way: str, bins: Sequence[tuple[int, int, float]]) -> None:
    colour, marker, face, line = _STYLES[way]
    shown = [(100 * confidence / n, 100 * hits / n) for n, hits, confidence in bins if n >= FEWEST]
    if shown:
        axes.plot(
            *zip(*shown, strict=True),
            color=COLOURS[colour],
            marker=marker,
            linestyle=line,
            linewidth=1.0,
            markersize=3.4,
            markerfacecolor=COLOURS[face],
        )
