"""The report's figures as SVG text: the same bytes for the same numbers, and legible without colour.

Decisions differ in colour and shape. The colours are Okabe and Ito's, which are distinct with any colour vision. Every
colour comes from :data:`COLOURS`, so that a page can replace it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from losstune.core.drawing import COLOURS, drawing_style, svg_of
from losstune.report.diagnostics import Diagnostics
from losstune.report.differences import differences_svg
from losstune.report.panels import colour_of, finish_panel, label_panels, panels, say_in, score_limits
from losstune.report.pool_figure import pool_svg
from losstune.report.reliability import reliability_svg
from losstune.report.trials_figure import learning_rate_svg
from losstune.report.weights import weights_svg
from losstune.verdict.results import Results


def draw(results: Results, diagnostics: Diagnostics) -> dict[str, str]:
    """Return the figures as SVG text by file name."""
    found = {
        "differences.svg": differences_svg(results),
        "learning_rate.svg": learning_rate_svg(results, diagnostics.trials),
        "best_of.svg": best_of_svg(results),
        "learning_curves.svg": learning_curves_svg(results, diagnostics.curves),
    }
    if results.is_pooled and results.losses_in_focus():
        found["pool.svg"] = pool_svg(results)
    if results.has_predictions:
        found["reliability.svg"] = reliability_svg(results)
    if diagnostics.weights:
        found["weights.svg"] = weights_svg(results, diagnostics.weights)
    return found


def best_of_svg(results: Results) -> str:
    """Draw the expected best validation score of k trials against k, one panel per loss, with the baseline in grey."""
    curves = {loss.loss: loss.best_of for loss in results.losses if loss.best_of}
    labels = f"trials searched (grey: {results.baseline})", f"expected best validation {results.units.axis}"
    return _curves_svg("best_of", results, curves, labels, quantile=0.2, baseline_width=1.2)


def learning_curves_svg(results: Results, curves: Mapping[str, Sequence[float]]) -> str:
    """Draw the winners' validation scores by epoch, one panel per loss, with the baseline in grey.

    Args:
        results: Results of the study.
        curves: Mean over blocks by loss, see :func:`losstune.report.tables.winner_curves`.
    """
    labels = f"epoch (grey: {results.baseline})", f"validation {results.units.axis}"
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
    """Draw one panel per loss, with its curve over 1, 2, 3 and so on, and the baseline's curve in grey."""
    values = [value for curve in curves.values() for value in curve]
    factor = results.units.factor
    low, high = score_limits(values, results.units, quantile=quantile)
    longest = max((len(curve) for curve in curves.values()), default=1)
    baseline = curves.get(results.baseline, ())
    with drawing_style(name):
        x_limits = (0.5 if longest == 1 else 1.0, longest + 0.5)
        figure, found = panels(len(results.losses), x_limits, (low, high))
        found[0].xaxis.set_major_locator(MaxNLocator(4, integer=True))
        for loss, axes in zip(results.losses, found, strict=False):
            curve = curves.get(loss.loss, ())
            _draw_curve(axes, baseline, factor, "shadow", linewidth=baseline_width)
            if loss.part != "baseline":
                colour = colour_of(loss)
                _draw_curve(axes, curve, factor, "ink" if colour == "undecided" else colour, linewidth=1.4)
            if not curve:
                say_in(axes, "no winner")
            finish_panel(axes, loss.loss)
        label_panels(figure, *labels)
        return svg_of(figure)


def _draw_curve(axes: Axes, curve: Sequence[float], factor: int, colour: str, *, linewidth: float) -> None:
    epochs, shown = range(1, len(curve) + 1), [factor * value for value in curve]
    marker = "o" if len(curve) == 1 else ""
    axes.plot(epochs, shown, color=COLOURS[colour], linewidth=linewidth, marker=marker, markersize=3)
