"""Gradient size |dL/dz_y| against the probability of the true class, as numbers and as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from losstune.core.drawing import COLOURS, drawing_style, svg_of
from losstune.core.records import Record
from losstune.losses.registry import registry
from losstune.losses.tools import gallery
from losstune.report.panels import WIDTH_INCHES
from losstune.verdict import wording
from losstune.verdict.blocks import confirmed_configurations
from losstune.verdict.results import Results

SURE = 0.9
"""Probability at which a sample is almost learnt. The relative gradient there differs between losses."""

_LINES = ("-", "--", "-.", ":")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Gradient sizes of a loss with its confirmed hyperparameters.

    Attributes:
        loss: Its name.
        label: The name with its hyperparameters.
        probabilities: Softmax probabilities of the true class, ascending. The other classes have equal probabilities.
        sizes: |dL/dz_y| at these probabilities, in the loss's own units. For cross-entropy it is 1 - p.
    """

    loss: str
    label: str
    probabilities: tuple[float, ...]
    sizes: tuple[float, ...]

    def scaled(self) -> tuple[float, ...]:
        """Return the gradient sizes divided by the largest."""
        largest = max(self.sizes) or 1.0
        return tuple(size / largest for size in self.sizes)

    def scaled_at(self, probability: float) -> float:
        """Return the gradient size at a probability, divided by the largest, by linear interpolation."""
        points = list(zip(self.probabilities, self.scaled(), strict=True))
        for (left, before), (right, after) in pairwise(points):
            if left <= probability <= right:
                return before + (after - before) * (probability - left) / ((right - left) or 1.0)
        return points[0][1] if probability < points[0][0] else points[-1][1]


def weights_of(results: Results, blocks: Mapping[str, Sequence[Record]]) -> list[Weights]:
    """Return the curves of all confirmed losses of the catalogue, one for each configuration.

    Args:
        results: Results with the losses and the number of classes.
        blocks: Blocks by loss, see :func:`losstune.verdict.blocks.blocks_by_loss`.
    """
    found: list[Weights] = []
    if not results.data.class_names:
        return found
    for loss in (result.loss for result in results.losses if result.loss in registry()):
        settings = [configuration for _, configuration in confirmed_configurations(blocks.get(loss, ()))]
        for values in {tuple(c.hyperparameters.items()): c.hyperparameters for c in settings}.values():
            drawn = gallery.curve(registry()[loss].bind(values), len(results.data.class_names))
            named = ", ".join(f"{name} {wording.number(value)}" for name, value in values.items())
            found.append(
                Weights(
                    loss=loss,
                    label=f"{loss} ({named})" if named else loss,
                    probabilities=drawn.probabilities,
                    sizes=tuple(abs(gradient) for gradient in drawn.gradients),
                )
            )
    return found


def weights_svg(results: Results, weights: Sequence[Weights]) -> str:
    """Draw the gradient sizes of the baseline, in grey, and of the verdict's loss: in their own units, and scaled."""
    subject = results.subject()
    with drawing_style("weights"):
        figure = Figure(figsize=(WIDTH_INCHES, 2.75))
        left, right = figure.subplots(1, 2)
        for loss, colour, width in ((results.baseline, "shadow", 2.6), (subject, "better", 1.6)):
            if loss == subject == results.baseline and colour == "better":
                continue
            shown = [curve for curve in weights if curve.loss == loss]
            for curve, line in zip(shown, _LINES, strict=False):
                style = {"color": COLOURS[colour], "linewidth": width, "linestyle": line}
                left.plot(curve.probabilities, curve.sizes, label=curve.label, **style)
                right.plot(curve.probabilities, curve.scaled(), **style)
        for axes, title in ((left, "|dL/dz_y|, in the loss's own units"), (right, "as a share of its largest")):
            axes.set_xlim(0, 1)
            axes.set_ylim(0, None)
            axes.set_xlabel("probability of the true class, p_y")
            axes.set_title(title, loc="left", fontsize=8.5, color=COLOURS["ink"], pad=6)
            axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
            axes.grid(axis="y", color=COLOURS["line"], linewidth=0.7)
        if left.lines:
            figure.legend(loc="lower center", ncols=2, fontsize=8.5, frameon=False)
        figure.subplots_adjust(left=0.06, right=0.985, top=0.89, bottom=0.31, wspace=0.14)
        return svg_of(figure)
