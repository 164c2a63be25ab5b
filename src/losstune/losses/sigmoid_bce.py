"""Binary cross-entropy of every class against the rest.

Link: the sigmoids, normalised; exact (strictly proper): at the minimum of the risk they are the posterior and sum to 1.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from losstune.losses._numerics import at_least_float32, finite_logits, target_distribution
from losstune.losses.spec import Citation, LossSpec, Properties


def sigmoid_bce(logits_NC: Tensor, target: Tensor) -> Tensor:
    """Return -sum_k [t_k log s_k + (1 - t_k) log(1 - s_k)] with s = sigmoid(z), shape (N,), in nats.

    Source: Kornblith et al. 2021, the sigmoid cross-entropy.
    """
    z_NC = finite_logits(logits_NC)
    t_NC = target_distribution(target, z_NC)
    return F.binary_cross_entropy_with_logits(z_NC, t_NC, reduction="none").sum(1)


def link(logits_NC: Tensor) -> Tensor:
    """Return s_k / sum_j s_j with s = sigmoid(z), shape (N, C)."""
    # Computed in logarithms, because all sigmoids of a row may underflow.
    return F.logsigmoid(at_least_float32(logits_NC)).softmax(1)


def _initial_bias(num_classes: int) -> float:
    """Return -log(C-1), so that every sigmoid starts at 1/C; from 1/2, the C-1 negatives would dominate at first."""
    return -math.log(num_classes - 1)


SPEC = LossSpec(
    name="sigmoid_bce",
    function=sigmoid_bce,
    link=link,
    family="log-loss",
    summary="One binary log-loss per class; the classes' probabilities are independent.",
    formula="-sum_k [t_k log s_k + (1 - t_k) log(1 - s_k)], s = sigmoid(z)",
    use="For classes that are not exclusive, and as an alternative to cross-entropy for exclusive ones.",
    citation=Citation(
        authors="Kornblith et al.",
        year=2021,
        title="Why Do Better Loss Functions Lead to Less Transferable Features?",
        reference="arXiv:2010.16402",
        equation="sigmoid cross-entropy",
    ),
    properties=Properties(convex=True, proper="strictly", shift_invariant=False),
    soft_targets=True,
    linear_in_target=True,
    initial_bias=_initial_bias,
)
