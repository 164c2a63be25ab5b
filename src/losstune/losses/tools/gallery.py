"""Figures of losses: value and gradient against the margin and against the true class's probability.

All other classes have the same logit: z_y - z_j is the margin m for every j, and the mean logit is 0. Then the softmax
probability of the true class is p_y = 1 / (1 + (C-1) exp(-m)); for a normalised head it is that of the link. Where
L = phi(p_y), the size of the gradient is |dL/dz_y| = |phi'(p_y)| p_y (1 - p_y).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from losstune.core.drawing import COLOURS, drawing_style, svg_of
from losstune.losses.registry import get
from losstune.losses.spec import BoundLoss

NUM_POINTS = 82
"""Even, so that no point has equal logits, where logit_norm has no gradient."""

NUM_POINTS_AT_NORM = 401
"""More, because a low temperature makes the probability rise within a few of them."""

FARTHEST = 8.0
FARTHEST_COSINE = 1.0
REFERENCE = "cross_entropy"
Line = str | tuple[int, tuple[int, ...]]

_LINES: tuple[Line, ...] = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
_COLOURS = ("better", "worse", "equivalent", "control", "ink", "undecided")
_WIDTH_INCHES, _HEIGHT_INCHES = 8.0, 1.9


@dataclass(frozen=True, slots=True)
class Curve:
    """A loss along the line on which all classes but the true one have equal logits.

    Attributes:
        margins: z_y - z_j.
        probabilities: Probability of the true class, by softmax; for a normalised head and for normalised logits, by
            the loss's link.
        values: The loss.
        gradients: dL/dz_y.
    """

    margins: tuple[float, ...]
    probabilities: tuple[float, ...]
    values: tuple[float, ...]
    gradients: tuple[float, ...]


def curve(loss: BoundLoss, num_classes: int) -> Curve:
    """Return the loss at margins from -8 to 8; for a normalised head, whose logits are cosines, from -1 to 1."""
    farthest = FARTHEST_COSINE if loss.spec.head == "normalised" else FARTHEST
    margin_N = torch.linspace(-farthest, farthest, NUM_POINTS, dtype=torch.float64)
    z_NC = -margin_N.unsqueeze(1).expand(-1, num_classes) / num_classes
    z_NC = torch.cat([margin_N.unsqueeze(1) * (num_classes - 1) / num_classes, z_NC[:, 1:]], 1).requires_grad_()
    losses_N = loss(z_NC, torch.zeros(len(z_NC), dtype=torch.int64))
    (gradient_NC,) = torch.autograd.grad(losses_N.sum(), z_NC)
    z_NC = z_NC.detach()
    # The softmax of cosines is nearly uniform and not the loss's probability.
    shares_NC = loss.probabilities(z_NC) if loss.spec.head == "normalised" else z_NC.softmax(1)
    return Curve(
        margins=tuple(margin_N.tolist()),
        probabilities=tuple(shares_NC[:, 0].tolist()),
        values=tuple(losses_N.tolist()),
        gradients=tuple(gradient_NC[:, 0].tolist()),
    )


def is_scale_free(loss: BoundLoss, num_classes: int) -> bool:
    """Return whether loss and link depend only on the direction of the logits, as those of ``logit_norm``."""
    generator = torch.Generator().manual_seed(0)
    z_NC = torch.randn(NUM_POINTS, num_classes, generator=generator, dtype=torch.float64)
    target_N = torch.arange(NUM_POINTS) % num_classes
    pairs = ((loss(z_NC, target_N), loss(2 * z_NC, target_N)), (loss.probabilities(z_NC), loss.probabilities(2 * z_NC)))
    return all(torch.allclose(once, twice, rtol=1e-4) for once, twice in pairs)


def curve_at_norm(loss: BoundLoss, num_classes: int, norm: float) -> Curve:
    """Return a loss on normalised logits at logits of this norm, from the smallest margin to the largest.

    On the line of :func:`curve`, such a loss has two values, one for each sign of the margin, and a gradient that only
    reflects the distance from 0. Here, too, all classes but the true one have equal logits, and the mean logit takes up
    the rest of the norm. The values are the mean over its two signs, because a trained network's mean logit is near 0.
    The probabilities are those of the loss's link.

    Args:
        loss: The loss, see :func:`is_scale_free`.
        num_classes: C.
        norm: Norm r of the logits. The margins are from -r sqrt(C / (C-1)) to r sqrt(C / (C-1)).
    """
    share = (num_classes - 1) / num_classes
    margin_N = torch.linspace(-1, 1, NUM_POINTS_AT_NORM, dtype=torch.float64) * norm / math.sqrt(share)
    rest_N = ((norm**2 - margin_N.square() * share).clamp_min(0) / num_classes).sqrt()
    mean_M = torch.cat([rest_N, -rest_N])
    z_MC = (mean_M - margin_N.repeat(2) / num_classes).unsqueeze(1).repeat(1, num_classes)
    z_MC[:, 0] += margin_N.repeat(2)
    z_MC.requires_grad_()
    losses_M = loss(z_MC, torch.zeros(len(z_MC), dtype=torch.int64))
    (gradient_MC,) = torch.autograd.grad(losses_M.sum(), z_MC)

    def averaged(values_M: Tensor) -> tuple[float, ...]:
        return tuple(values_M.detach().view(2, -1).mean(0).tolist())

    return Curve(
        margins=tuple(margin_N.tolist()),
        probabilities=averaged(loss.probabilities(z_MC)[:, 0]),
        values=averaged(losses_M),
        gradients=averaged(gradient_MC[:, 0]),
    )


def figure_svg(losses: Mapping[str, BoundLoss], num_classes: int = 10) -> str:
    """Return a figure of several losses as SVG text, with cross-entropy in grey behind them.

    Args:
        losses: Maps labels to losses.
        num_classes: C.
    """
    curves = {label: curve(loss, num_classes) for label, loss in losses.items()}
    with drawing_style("gallery " + " ".join(losses)):
        figure = Figure(figsize=(_WIDTH_INCHES, _HEIGHT_INCHES + 0.16 * (len(losses) > 1) * math.ceil(len(losses) / 4)))
        panels = figure.subplots(1, 4)
        reference = curve(get(REFERENCE).bind(), num_classes)
        if not any(loss.spec.head == "normalised" for loss in losses.values()):
            _draw(panels, reference, label=None, colour="shadow", line="-")
        for index, (label, drawn) in enumerate(curves.items()):
            _draw(panels, drawn, label, _COLOURS[index % len(_COLOURS)], _LINES[index // len(_COLOURS) % len(_LINES)])
        names = (("margin", "loss"), ("margin", "dL/dz_y"), ("p_y", "loss"), ("p_y", "|dL/dz_y|"))
        for axes, (across, title) in zip(panels, names, strict=True):
            axes.set_xlabel(across, fontsize=8)
            axes.set_title(title, fontsize=8.5, loc="left", color=COLOURS["ink"])
            axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
            axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
            axes.grid(axis="y", color=COLOURS["line"], linewidth=0.6)
        values = [value for drawn in curves.values() for value in drawn.values]
        gradients = [value for drawn in curves.values() for value in drawn.gradients]
        pulls = [abs(value) for value in gradients]
        for axes, shown in zip(panels, (values, gradients, values, pulls), strict=True):
            _frame(axes, shown)
        if len(losses) > 1:
            figure.legend(loc="lower center", ncols=4, fontsize=8, frameon=False)
        figure.tight_layout(rect=(0, 0.1 * (len(losses) > 1) * math.ceil(len(losses) / 4), 1, 1), w_pad=1.2)
        return re.sub(r"(\d\.\d\d)\d+", r"\1", svg_of(figure))  # a hundredth of a point is precise enough


def _draw(panels: Sequence[Axes], drawn: Curve, label: str | None, colour: str, line: Line) -> None:
    pulls = tuple(abs(value) for value in drawn.gradients)
    for axes, across, values in (
        (panels[0], drawn.margins, drawn.values),
        (panels[1], drawn.margins, drawn.gradients),
        (panels[2], drawn.probabilities, drawn.values),
        (panels[3], drawn.probabilities, pulls),
    ):
        first = axes is panels[0]
        width = 1.0 if label is None else 1.5
        axes.plot(
            across, values, color=COLOURS[colour], linestyle=line, linewidth=width, label=label if first else None
        )


def _frame(axes: Axes, values: Sequence[float]) -> None:
    """Set the limits to the coloured curves; the grey cross-entropy may exceed them."""
    low, high = min(values), max(values)
    room = 0.06 * ((high - low) or 1.0)
    axes.set_ylim(low - room, high + room)
