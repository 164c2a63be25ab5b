"""Cross-entropy with a different weight on the first term of its expansion in 1 - p_y.

Link: eta_k proportional to p_k / (1 + eps p_k), a recovery.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from losstune.losses._numerics import at_least_float32, finite_logits, normalized
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, Limit, LossSpec, Properties


def poly1(logits_NC: Tensor, target: Tensor, eps: float) -> Tensor:
    """Return -sum_k t_k log p_k + eps (1 - sum_k t_k p_k) with p = softmax(z), shape (N,).

    Source: Leng et al. 2022, section 4, and its example code for soft targets.
    """
    z_NC = at_least_float32(logits_NC)
    if target.ndim == 1:
        cross_entropy_N = F.cross_entropy(z_NC, target, reduction="none")
        return cross_entropy_N - eps * torch.expm1(-cross_entropy_N)
    log_p_NC = finite_logits(z_NC).log_softmax(1)
    return -(target.to(z_NC.dtype) * (log_p_NC + eps * torch.expm1(log_p_NC))).sum(1)


def link(logits_NC: Tensor, eps: float) -> Tensor:
    """Return p_k / (1 + eps p_k), normalised, with p = softmax(z), shape (N, C)."""
    p_NC = at_least_float32(logits_NC).softmax(1)
    # The divisor reaches 0 only for eps = -1 and p = 1.
    return normalized(p_NC / (1 + eps * p_NC).clamp_min(torch.finfo(p_NC.dtype).eps))


SPEC = LossSpec(
    name="poly1",
    function=poly1,
    link=link,
    family="true-class",
    summary="Cross-entropy plus eps times the probability of error: it changes the first term of its expansion.",
    formula="-log p_y + eps (1 - p_y)",
    use="For a possible gain in accuracy with a single hyperparameter to tune.",
    citation=Citation(
        authors="Leng et al.",
        year=2022,
        title="PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions",
        reference="arXiv:2204.12511",
        equation="section 4",
    ),
    properties=Properties(convex=False, proper="recoverable"),
    hyperparameters=(
        Hyperparameter(
            name="eps",
            default=2.0,
            range=FloatRange(-1.0, 6.0),
            source="default: Leng 2022, the value for ImageNet; range: eps >= -1 as there, upper bound a proposal",
            domain=Domain(-1.0),
        ),
    ),
    soft_targets=True,
    linear_in_target=True,
    limits=(Limit(hyperparameters={"eps": 0.0}),),
)
