"""Generalised cross-entropy: from the log-loss (q = 0) to the absolute error (q = 1).

Link: softmax((1 - q) z), exact (strictly proper) for q < 1. At q = 1 the risk's minimiser gives only the most probable
class; softmax(z) is then a convention.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losstune.losses._numerics import at_least_float32, class_cross_entropy
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Alias, Citation, Hyperparameter, Limit, LossSpec, Properties

SMALLEST_Q = 1e-12
"""Below this value, the loss is replaced by its limit at 0; the difference is below the precision of float64."""


def gce(logits_NC: Tensor, target_N: Tensor, q: float) -> Tensor:
    """Return (1 - p_y^q) / q with p = softmax(z), shape (N,); -log p_y at q = 0. Bounded by 1/q.

    Source: Zhang & Sabuncu 2018, eq. (6).

    Raises:
        ValueError: If the target is not a class per sample.
    """
    cross_entropy_N = class_cross_entropy(logits_NC, target_N)
    if q < SMALLEST_Q:
        return cross_entropy_N
    return torch.expm1(-q * cross_entropy_N) / -q


def link(logits_NC: Tensor, q: float) -> Tensor:
    """Return softmax((1 - q) z), and softmax(z) at q = 1; shape (N, C)."""
    return ((1 - q if q < 1 else 1.0) * at_least_float32(logits_NC)).softmax(1)


SPEC = LossSpec(
    name="gce",
    function=gce,
    link=link,
    family="true-class",
    summary="A bounded loss between cross-entropy and absolute error, against label noise.",
    formula="(1 - p_y^q) / q",
    use="For noisy labels: q trades the training speed of cross-entropy for the robustness of the absolute error.",
    citation=Citation(
        authors="Zhang & Sabuncu",
        year=2018,
        title="Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels",
        reference="arXiv:1805.07836",
        equation="eq. (6)",
    ),
    properties=Properties(convex=False, proper="strictly", bound=1 / 0.7),
    hyperparameters=(
        Hyperparameter(
            name="q",
            default=0.7,
            range=FloatRange(0.0, 1.0),
            source="Zhang & Sabuncu 2018, section 4 (q = 0.7); range: its limits, cross-entropy and absolute error",
            domain=Domain(0.0, 1.0),
        ),
    ),
    aliases=(Alias(name="hellinger", relation="gce / 2, the squared distance", hyperparameters={"q": 0.5}),),
    limits=(Limit(hyperparameters={"q": 0.0}), Limit(hyperparameters={"q": 1.0}, of="mae")),
)
