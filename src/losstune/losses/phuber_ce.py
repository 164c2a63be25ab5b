"""Partially Huberised cross-entropy: its slope in p_y is constant where p_y is small.

Link: softmax, a convention. It is exact where the posterior of every class is above 1/tau; below, the risk is
minimal at probability 0, and no posterior can be recovered.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from losstune.losses._numerics import class_cross_entropy
from losstune.losses.cross_entropy import softmax_link
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, Limit, LossSpec, Properties


def phuber_ce(logits_NC: Tensor, target_N: Tensor, tau: float) -> Tensor:
    """Return -log p_y where p_y > 1/tau, and else 1 + log tau - tau p_y, with p = softmax(z), shape (N,).

    Bounded by 1 + log tau. It tends to cross-entropy as tau grows, and is the absolute error 1 - p_y at tau = 1.

    Source: Menon et al. 2020, the partially Huberised softmax cross-entropy.

    Raises:
        ValueError: If the target is not a class per sample.
    """
    cross_entropy_N = class_cross_entropy(logits_NC, target_N)
    log_tau = math.log(tau)
    linear_N = 1 + log_tau - tau * torch.exp(-cross_entropy_N)
    return torch.where(cross_entropy_N < log_tau, cross_entropy_N, linear_N)


def link(logits_NC: Tensor, tau: float) -> Tensor:
    """Return softmax(z), shape (N, C)."""
    return softmax_link(logits_NC)


SPEC = LossSpec(
    name="phuber_ce",
    function=phuber_ce,
    link=link,
    family="true-class",
    summary="Cross-entropy, linear in p_y below 1/tau: the gradient of badly misclassified samples vanishes.",
    formula="-log p_y if p_y > 1/tau, else 1 + log tau - tau p_y",
    use="For noisy labels: cross-entropy with a clipped gradient.",
    citation=Citation(
        authors="Menon et al.",
        year=2020,
        title="Can Gradient Clipping Mitigate Label Noise?",
        reference="openreview:rklB76EKPr",
        equation="partially Huberised loss",
    ),
    properties=Properties(convex=False, proper="no", bound=1 + math.log(10), smooth=False),
    hyperparameters=(
        Hyperparameter(
            name="tau",
            default=10.0,
            range=FloatRange(2.0, 100.0, "log"),
            source="default: Menon 2020, experiments (2 or 10); range: proposal",
            domain=Domain(1.0),
        ),
    ),
    limits=(Limit(hyperparameters={"tau": 1e9}), Limit(hyperparameters={"tau": 1.0}, of="mae")),
)
