"""The multi-class focal loss: cross-entropy with less weight on easy samples.

It is not the one-vs-rest focal loss of detection libraries, which sums a binary loss per class.

Link: eta_k proportional to 1/|phi'(p_k)| with phi(p) = -(1-p)^gamma log p, a recovery: softmax itself is
underconfident for gamma > 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losstune.losses._numerics import class_cross_entropy, finite_logits
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, Limit, LossSpec, Properties


def focal(logits_NC: Tensor, target_N: Tensor, gamma: float) -> Tensor:
    """Return -(1 - p_y)^gamma log p_y with p = softmax(z), shape (N,), in nats.

    Source: Lin et al. 2017, eq. (4).

    Raises:
        ValueError: If the target is not a class per sample.
    """
    cross_entropy_N = class_cross_entropy(logits_NC, target_N)
    # At p_y = 1 a power below 1 has an infinite slope, and infinity times 0 is NaN.
    error_N = (-torch.expm1(-cross_entropy_N)).clamp_min(torch.finfo(cross_entropy_N.dtype).tiny)
    return error_N.pow(gamma) * cross_entropy_N


def link(logits_NC: Tensor, gamma: float) -> Tensor:
    """Return the posterior under which these outputs minimise the risk, shape (N, C).

    eta_k is proportional to p_k / [(1-p_k)^(gamma-1) (1 - p_k - gamma p_k log p_k)].

    Source: Charoenphakdee et al. 2021 (arXiv:2011.09172).
    """
    log_p_NC = finite_logits(logits_NC).log_softmax(1)
    error_NC = (-torch.expm1(log_p_NC)).clamp_min(torch.finfo(log_p_NC.dtype).tiny)
    slope_NC = error_NC - gamma * log_p_NC.exp() * log_p_NC
    return (log_p_NC - (gamma - 1) * error_NC.log() - slope_NC.log()).softmax(1)


SPEC = LossSpec(
    name="focal",
    function=focal,
    link=link,
    family="true-class",
    summary="Cross-entropy weighted by (1 - p_y)^gamma, which reduces the weight of easy samples.",
    formula="-(1 - p_y)^gamma log p_y",
    use="Against overconfidence, and for many easy samples. It gives noisy labels more weight.",
    citation=Citation(
        authors="Lin et al.",
        year=2017,
        title="Focal Loss for Dense Object Detection",
        reference="arXiv:1708.02002",
        equation="eq. (4)",
    ),
    properties=Properties(convex=False, proper="recoverable"),
    hyperparameters=(
        Hyperparameter(
            name="gamma",
            default=2.0,
            range=FloatRange(0.0, 5.0),
            source="Lin 2017, section 3.2 (gamma in [0, 5], 2 works best)",
            domain=Domain(0.0),
        ),
    ),
    limits=(Limit(hyperparameters={"gamma": 0.0}),),
)
