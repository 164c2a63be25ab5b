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
from losstune.verdict.results import Results

SURE = 0.9
"""Probability at which a sample is almost learnt. The relative gradient there differs between losses."""

MOST_OF_A_POOL = 3
"""Most curves of a loss of a pooled study: those of the configurations with the largest weights."""

_LINES = ("-", "--", "-.", ":")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Gradient sizes of a loss with its confirmed hyperparameters.

    Attributes:
        loss: Its name.
        hyperparameters: Its hyperparameters for display; empty if it has none.
        probabilities: Probabilities of the true class, ascending, see :func:`losstune.losses.tools.gallery.curve`. The
            other classes have equal probabilities.
        sizes: |dL/dz_y| at these probabilities, in the loss's own units. For cross-entropy it is 1 - p.
        by_own_map: Whether `probabilities` are those of the loss's own map and not softmax of the outputs.
        is_scale_free: Whether the loss depends only on the direction of the outputs. Then `sizes` are inversely
            proportional to the norm of the outputs.
        norm: Of such a loss, the norm of the trained network's outputs, for which `sizes` are; None if it is not known,
            so that only their ratios are.
    """

    loss: str
    hyperparameters: str = ""
    probabilities: tuple[float, ...]
    sizes: tuple[float, ...]
    by_own_map: bool = False
    is_scale_free: bool = False
    norm: float | None = None

    @property
    def has_units(self) -> bool:
        """Whether the sizes are known, and not only their ratios."""
        return self.norm is not None or not self.is_scale_free

    @property
    def label(self) -> str:
        """The name with the hyperparameters and the norm."""
        norm = f"norm {wording.number(self.norm)}" if self.norm is not None else ""
        details = ", ".join(filter(None, (self.hyperparameters, norm)))
        return f"{self.loss} ({details})" if details else self.loss

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

    The gradient of a loss on normalised outputs is inversely proportional to their norm, so its curve is that of the
    norm of the trained network's outputs, for the configurations of which it is known.

    Args:
        results: Results with the losses, the norms and the number of classes.
        blocks: Blocks by loss, see :func:`losstune.verdict.blocks.blocks_by_loss`.
    """
    num_classes = len(results.data.class_names)
    found: list[Weights] = []
    for result in results.losses if num_classes else ():
        if result.loss not in registry():
            continue
        norms, records = result.output_norms, blocks.get(result.loss, ())
        if results.is_pooled and not norms:
            shown = [search.winner for search in result.searches[:MOST_OF_A_POOL]]
            records = [record for record in records if record.configuration in shown]
        curves = {
            (tuple(record.configuration.hyperparameters.items()), norms.get(record.number)): record.configuration
            for record in records
            if record.number in norms or not norms
        }
        for (_, norm), configuration in curves.items():
            loss = registry()[result.loss].bind(configuration.hyperparameters)
            is_scale_free = gallery.is_scale_free(loss, num_classes)
            # Without a known norm, that of 1 still shows how the sizes compare with each other.
            drawn = (
                gallery.curve_at_norm(loss, num_classes, norm or 1.0)
                if is_scale_free
                else gallery.curve(loss, num_classes)
            )
            found.append(
                Weights(
                    loss=result.loss,
                    hyperparameters=", ".join(
                        f"{name} {wording.number(value)}" for name, value in configuration.hyperparameters.items()
                    ),
                    probabilities=drawn.probabilities,
                    sizes=tuple(abs(gradient) for gradient in drawn.gradients),
                    by_own_map=is_scale_free or loss.spec.head == "normalised",
                    is_scale_free=is_scale_free,
                    norm=norm,
                )
            )
    return found


def norm_note(weights: Sequence[Weights]) -> str:
    """Return the norms of the outputs at which curves are drawn, as a sentence; empty if no curve depends on it."""
    curves = [curve for curve in weights if curve.is_scale_free]
    if not curves:
        return ""
    losses = wording.enumeration(list(dict.fromkeys(curve.loss for curve in curves)))
    norms = [wording.number(curve.norm) for curve in curves if curve.norm is not None]
    shown = "The left panel leaves it out, because the norm is not known."
    if norms:
        source = "the median norm of a trained network" if len(norms) == 1 else "the median norms of trained networks"
        shown = f"The left panel shows it at {wording.enumeration(norms)}, {source} on the validation split."
    return f"The gradient of {losses} is inversely proportional to the norm of the outputs. {shown}"


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
                if curve.has_units:
                    left.plot(curve.probabilities, curve.sizes, **style)
                right.plot(curve.probabilities, curve.scaled(), label=curve.label, **style)
        for axes, title in ((left, "|dL/dz_y|, in the loss's own units"), (right, "as a share of its largest")):
            axes.set_xlim(0, 1)
            axes.set_ylim(0, None)
            axes.set_xlabel("probability of the true class, p_y")
            axes.set_title(title, loc="left", fontsize=8.5, color=COLOURS["ink"], pad=6)
            axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
            axes.grid(axis="y", color=COLOURS["line"], linewidth=0.7)
        if right.lines:
            figure.legend(loc="lower center", ncols=2, fontsize=8.5, frameon=False)
        figure.subplots_adjust(left=0.06, right=0.985, top=0.89, bottom=0.31, wspace=0.14)
        return svg_of(figure)
