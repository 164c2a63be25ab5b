"""Cross-entropy against a target that is mixed with the uniform distribution.

Link: (p - eps/C) / (1 - eps), a recovery: the minimiser of the risk is p = (1 - eps) eta + eps/C. Outputs below
eps/C, which correspond to no posterior, are clipped.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from losstune.losses._numerics import at_least_float32, finite_logits, normalized
from losstune.losses.cross_entropy import cross_entropy
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, Limit, LossSpec, Properties


def label_smoothing(logits_NC: Tensor, target: Tensor, eps: float, weight_C: Tensor | None = None) -> Tensor:
    """Return -sum_k w_k [(1 - eps) t_k + eps/C] log p_k with p = softmax(z), shape (N,), in nats.

    Without class weights w it equals cross-entropy + eps (z_y - mean(z)). Its minimum is the entropy of the smoothed
    target, above 0.

    Source: Szegedy et al. 2016, section 7.
    """
    if eps == 0 and weight_C is None:
        return cross_entropy(logits_NC, target)
    z_NC = at_least_float32(logits_NC)
    if target.ndim == 2:
        z_NC = z_NC if eps else finite_logits(z_NC)
        target = target.to(z_NC.dtype)
    weight_C = None if weight_C is None else weight_C.to(z_NC.dtype)
    return F.cross_entropy(z_NC, target, weight_C, reduction="none", label_smoothing=eps)


def link(logits_NC: Tensor, eps: float) -> Tensor:
    """Return (p - eps/C) / (1 - eps), clipped at 0 and normalised, shape (N, C)."""
    p_NC = at_least_float32(logits_NC).softmax(1)
    # The divisor 1 - eps cancels when the rows are normalised.
    return normalized(p_NC - eps / p_NC.shape[1])


def _minimum(num_classes: int, eps: float) -> float:
    """Return the entropy of the smoothed target, 1 - eps + eps/C on the true class and eps/C on each other."""
    other = eps / num_classes
    true = 1 - (num_classes - 1) * other
    return -true * math.log(true) - ((num_classes - 1) * other * math.log(other) if other else 0.0)


SPEC = LossSpec(
    name="label_smoothing",
    function=label_smoothing,
    link=link,
    family="log-loss",
    summary="Cross-entropy that spreads a fraction eps of the target over all classes, against overconfidence.",
    formula="-sum_k [(1 - eps) t_k + eps/C] log p_k",
    use="Against overconfidence, and for tightly clustered features. It loses information on similarities of classes.",
    citation=Citation(
        authors="Szegedy et al.",
        year=2016,
        title="Rethinking the Inception Architecture for Computer Vision",
        reference="arXiv:1512.00567",
        equation="section 7",
    ),
    properties=Properties(convex=True, proper="recoverable", minimum=_minimum, masked="infinite"),
    hyperparameters=(
        Hyperparameter(
            name="eps",
            default=0.1,
            range=FloatRange(0.0, 0.3),
            source="default: Szegedy 2016, section 7; range: proposal",
            domain=Domain(0.0, 1.0, excludes_high=True),
        ),
    ),
    soft_targets=True,
    linear_in_target=True,
    weighs_classes=True,
    limits=(Limit(hyperparameters={"eps": 0.0}),),
)
