"""Active Passive Loss: normalised cross-entropy plus absolute error.

Both parts sum to a constant over the labels, so symmetric label noise only scales the risk.

Link: softmax, a convention. The risk is minimal at a corner of the simplex, so no posterior can be recovered.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losstune.losses._numerics import at_least_float32, at_target, require_classes
from losstune.losses.cross_entropy import softmax_link
from losstune.losses.ranges import Choice, Domain
from losstune.losses.spec import Citation, Hyperparameter, LossSpec, Properties


def apl(logits_NC: Tensor, target_N: Tensor, alpha: float, beta: float) -> Tensor:
    """Return alpha log p_y / sum_k log p_k + beta (1 - p_y) with p = softmax(z), shape (N,).

    The absolute error is 1 - p_y, as in the authors' code; its sum over all classes is twice that.

    Source: Ma et al. 2020, section 3.

    Raises:
        ValueError: If the target is not a class per sample.
    """
    require_classes(target_N)
    log_p_NC = at_least_float32(logits_NC).log_softmax(1)
    log_p_N = at_target(log_p_NC, target_N)
    return alpha * log_p_N / log_p_NC.sum(1) - beta * torch.expm1(log_p_N)


def link(logits_NC: Tensor, alpha: float, beta: float) -> Tensor:
    """Return softmax(z), shape (N, C)."""
    return softmax_link(logits_NC)


SPEC = LossSpec(
    name="apl",
    function=apl,
    link=link,
    family="true-class",
    summary="Normalised cross-entropy plus absolute error: bounded, and robust to symmetric label noise.",
    formula="alpha log p_y / sum_k log p_k + beta (1 - p_y)",
    use="For noisy labels. With clean labels it trains slowly, especially with many classes.",
    citation=Citation(
        authors="Ma et al.",
        year=2020,
        title="Normalized Loss Functions for Deep Learning with Noisy Labels",
        reference="arXiv:2006.13554",
        equation="section 3",
    ),
    properties=Properties(convex=False, proper="no", bound=2.0, symmetric=True),
    hyperparameters=(
        Hyperparameter(
            name="alpha",
            default=1.0,
            range=Choice((0.1, 1.0, 10.0)),
            source="Ma 2020, parameter study in section 4",
            domain=Domain(0.0, excludes_low=True),
        ),
        Hyperparameter(
            name="beta",
            default=1.0,
            range=Choice((0.1, 1.0, 10.0, 100.0)),
            source="Ma 2020, parameter study in section 4",
            domain=Domain(0.0, excludes_low=True),
        ),
    ),
)
