"""The weighted Jensen-Shannon divergence between target and prediction, scaled to be between CE and MAE.

Link: eta_k proportional to 1 / log(1 + pi / ((1-pi) p_k)), a recovery: with one class per sample the loss is a
convex function of p_y with that slope.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from losstune.losses._numerics import at_least_float32, class_cross_entropy, finite_logits
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, Limit, LossSpec, Properties


def js(logits_NC: Tensor, target: Tensor, pi: float) -> Tensor:
    """Return [H(m) - pi H(t) - (1-pi) H(p)] / Z with m = pi t + (1-pi) p and Z = -(1-pi) log(1-pi), shape (N,).

    H is the entropy in nats and p = softmax(z). Bounded by [-pi log pi - (1-pi) log(1-pi)] / Z.

    Source: Englesson & Azizpour 2021, section 3.
    """
    scale = -(1 - pi) * math.log1p(-pi)
    if target.ndim == 2:
        z_NC = finite_logits(logits_NC)
        t_NC = target.to(z_NC.dtype)
        log_p_NC = z_NC.log_softmax(1)
        p_NC = log_p_NC.exp()
        # The entropy has an infinite slope at 0, and infinity times a p of 0 is NaN.
        mixture_NC = (pi * t_NC + (1 - pi) * p_NC).clamp_min(torch.finfo(z_NC.dtype).tiny)
        target_entropy_NC: Tensor = torch.special.entr(t_NC)
        divergence_NC = _entropy(mixture_NC) - pi * target_entropy_NC + (1 - pi) * p_NC * log_p_NC
        return divergence_NC.sum(1) / scale
    # The same, with the sums over the other classes simplified so that only p_y remains.
    cross_entropy_N = class_cross_entropy(logits_NC, target)
    p_N = torch.exp(-cross_entropy_N)
    return (_entropy(pi + (1 - pi) * p_N) - (1 - pi) * p_N * cross_entropy_N) / scale + (1 - p_N)


def link(logits_NC: Tensor, pi: float) -> Tensor:
    """Return 1 / log(1 + pi / ((1-pi) p_k)), normalised, with p = softmax(z), shape (N, C)."""
    log_p_NC = at_least_float32(logits_NC).log_softmax(1)
    slope_NC = F.softplus(math.log(pi) - math.log1p(-pi) - log_p_NC)
    shares_NC = slope_NC.reciprocal()
    return shares_NC / shares_NC.sum(1, keepdim=True)


def _entropy(p: Tensor) -> Tensor:
    return -p * p.log()


SPEC = LossSpec(
    name="js",
    function=js,
    link=link,
    family="true-class",
    summary="A bounded divergence between cross-entropy (pi to 0) and absolute error (pi to 1), against label noise.",
    formula="[H(pi t + (1-pi) p) - pi H(t) - (1-pi) H(p)] / (-(1-pi) log(1-pi))",
    use="For noisy labels. Like gce, it interpolates between cross-entropy and the mean absolute error.",
    citation=Citation(
        authors="Englesson & Azizpour",
        year=2021,
        title="Generalized Jensen-Shannon Divergence Loss for Learning with Noisy Labels",
        reference="arXiv:2105.04522",
        equation="section 3",
    ),
    properties=Properties(convex=False, proper="recoverable", bound=2.0),
    hyperparameters=(
        Hyperparameter(
            name="pi",
            default=0.5,
            range=FloatRange(0.05, 0.95),
            source="default: Englesson & Azizpour 2021 (their choice for CIFAR); range: proposal",
            domain=Domain(0.0, 1.0, excludes_low=True, excludes_high=True),
        ),
    ),
    soft_targets=True,
    limits=(Limit(hyperparameters={"pi": 1e-6}, within=1e-3),),
)
