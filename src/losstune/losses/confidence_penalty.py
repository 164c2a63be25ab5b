"""Cross-entropy minus b times the entropy of the prediction, which penalises confidence.

Link: eta_k = p_k [1 + b (log p_k + H)], a recovery: from the risk's stationary point. Negative values, which no
minimiser has, are clipped to 0.
"""

from __future__ import annotations

import math

from torch import Tensor

from losstune.losses._numerics import at_target, finite_logits, normalized, require_classes
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, Limit, LossSpec, Properties


def confidence_penalty(logits_NC: Tensor, target_N: Tensor, b: float) -> Tensor:
    """Return CE - b H(p) with p = softmax(z) and H its entropy, shape (N,), in nats. It can be negative.

    Source: Pereyra et al. 2017, section 3.

    Raises:
        ValueError: If the target is not a class per sample.
    """
    require_classes(target_N)
    log_p_NC = finite_logits(logits_NC).log_softmax(1)
    entropy_N = -(log_p_NC.exp() * log_p_NC).sum(1)
    return -at_target(log_p_NC, target_N) - b * entropy_N


def link(logits_NC: Tensor, b: float) -> Tensor:
    """Return p_k [1 + b (log p_k + H)], shape (N, C)."""
    log_p_NC = finite_logits(logits_NC).log_softmax(1)
    p_NC = log_p_NC.exp()
    entropy_N1 = -(p_NC * log_p_NC).sum(1, keepdim=True)
    return normalized(p_NC * (1 + b * (log_p_NC + entropy_N1)))


def _minimum(num_classes: int, b: float) -> float:
    """Return the value at logits (x, 0, ..., 0) where b x = 1/p_y = 1 + (C-1) exp(-x), found by bisection."""
    if b == 0:
        return 0.0
    low, high = 0.0, num_classes / b
    for _ in range(200):
        x = (low + high) / 2
        low, high = (low, x) if b * x > 1 + (num_classes - 1) * math.exp(-x) else (x, high)
    minus_log_p = math.log1p((num_classes - 1) * math.exp(-low))
    return (1 - b) * minus_log_p - b * low * -math.expm1(-minus_log_p)


SPEC = LossSpec(
    name="confidence_penalty",
    function=confidence_penalty,
    link=link,
    family="log-loss",
    summary="Cross-entropy minus b times the entropy of the prediction.",
    formula="CE - b H(p)",
    use="Against overconfidence, as an alternative to label smoothing.",
    citation=Citation(
        authors="Pereyra et al.",
        year=2017,
        title="Regularizing Neural Networks by Penalizing Confident Output Distributions",
        reference="arXiv:1701.06548",
        equation="section 3",
    ),
    properties=Properties(convex=False, proper="recoverable", minimum=_minimum),
    hyperparameters=(
        Hyperparameter(
            name="b",
            default=0.1,
            range=FloatRange(0.001, 1.0, scale="log"),
            source="Pereyra 2017, section 4 (0.1 and others); range: proposal",
            domain=Domain(0.0, 1.0),
        ),
    ),
    limits=(Limit(hyperparameters={"b": 0.0}),),
)
