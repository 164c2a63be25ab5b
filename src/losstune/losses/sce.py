"""Symmetric cross-entropy: cross-entropy plus its reverse, with log 0 replaced by -4.

With one class per sample the reverse part is 4 (1 - p_y), so the loss is alpha times poly1 with eps = 4 beta / alpha.

Link: eta_k proportional to p_k / (alpha + 4 beta p_k), a recovery: 1/|phi'(p_k)|.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losstune.losses._numerics import at_least_float32, class_cross_entropy
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, Limit, LossSpec, Properties


def sce(logits_NC: Tensor, target_N: Tensor, alpha: float, beta: float) -> Tensor:
    """Return alpha CE + 4 beta (1 - p_y), shape (N,).

    Source: Wang et al. 2019, eq. (7), with A = -4; the authors' code clips at 1e-4, which is A = -9.21.

    Raises:
        ValueError: If the target is not a class per sample.
    """
    cross_entropy_N = class_cross_entropy(logits_NC, target_N)
    return alpha * cross_entropy_N - 4 * beta * torch.expm1(-cross_entropy_N)


def link(logits_NC: Tensor, alpha: float, beta: float) -> Tensor:
    """Return p_k / (alpha + 4 beta p_k), normalised, shape (N, C)."""
    log_p_NC = at_least_float32(logits_NC).log_softmax(1)
    return (log_p_NC - (alpha + 4 * beta * log_p_NC.exp()).log()).softmax(1)


SPEC = LossSpec(
    name="sce",
    function=sce,
    link=link,
    family="true-class",
    summary="Cross-entropy plus its reverse, with log 0 replaced by -4.",
    formula="alpha CE + 4 beta (1 - p_y)",
    use="For noisy labels. It equals poly1 with eps = 4 beta / alpha, times alpha.",
    citation=Citation(
        authors="Wang et al.",
        year=2019,
        title="Symmetric Cross Entropy for Robust Learning with Noisy Labels",
        reference="arXiv:1908.06112",
        equation="eq. (7)",
    ),
    properties=Properties(convex=False, proper="recoverable"),
    hyperparameters=(
        Hyperparameter(
            name="alpha",
            default=0.1,
            range=FloatRange(0.01, 10.0, scale="log"),
            source="Wang 2019, section 4 (0.1 for CIFAR-10); range: proposal",
            domain=Domain(0.0, excludes_low=True),
        ),
        Hyperparameter(
            name="beta",
            default=1.0,
            range=FloatRange(0.01, 10.0, scale="log"),
            source="Wang 2019, section 4 (1); range: proposal",
            domain=Domain(0.0),
        ),
    ),
    limits=(Limit(hyperparameters={"alpha": 1.0, "beta": 0.0}),),
)
