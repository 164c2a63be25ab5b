"""The Tsallis score, also known as the power score or density power divergence.

Link: softmax, exact (strictly proper).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from losstune.losses._numerics import at_least_float32, at_target
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, Limit, LossSpec, Properties


def tsallis_score(logits_NC: Tensor, target: Tensor, beta: float) -> Tensor:
    """Return sum_k p_k^(1+beta) - (1 + 1/beta) sum_k t_k p_k^beta + 1/beta with p = softmax(z), shape (N,).

    It is the log-loss at beta = 0 and the Brier score at beta = 1. Bounded by 1 + 1/beta. For a soft target it is the
    expected score; the divergence from the target differs from it by a constant.

    Source: Basu et al. 1998, eq. (2.1), for discrete distributions.
    """
    z_NC = at_least_float32(logits_NC)
    if target.ndim == 1:
        return of_true_class(z_NC, target, beta)
    log_p_NC = z_NC.log_softmax(1)
    powers_NC = log_p_NC if beta == 0 else torch.expm1(beta * log_p_NC) * ((1 + beta) / beta)
    return torch.exp((1 + beta) * log_p_NC).sum(1) - 1 - at_target(powers_NC, target)


def of_true_class(z_NC: Tensor, target_N: Tensor, beta: float) -> Tensor:
    """Return the score for one class per sample, computed from the log-losses of z and of (1+beta) z."""
    nats_N = F.cross_entropy(z_NC, target_N, reduction="none")
    nats_of_power_N = F.cross_entropy((1 + beta) * z_NC, target_N, reduction="none")
    # sum_k p_k^(1+beta) = p_y^(1+beta) / softmax((1+beta) z)_y
    sum_of_powers_less_1_N = torch.expm1(nats_of_power_N - (1 + beta) * nats_N)
    power_N = -nats_N if beta == 0 else torch.expm1(-beta * nats_N) * ((1 + beta) / beta)
    return sum_of_powers_less_1_N - power_N


def link(logits_NC: Tensor, beta: float) -> Tensor:
    """Return softmax(z), shape (N, C)."""
    return at_least_float32(logits_NC).softmax(1)


SPEC = LossSpec(
    name="tsallis_score",
    function=tsallis_score,
    link=link,
    family="proper score",
    summary="A bounded proper score: the log-loss as beta goes to 0, the Brier score at beta = 1.",
    formula="sum_k p_k^(1+beta) - (1 + 1/beta) p_y^beta + 1/beta",
    use="For probabilities with some noisy labels: beta goes from the log-loss to the Brier score and beyond.",
    citation=Citation(
        authors="Basu et al.",
        year=1998,
        title="Robust and Efficient Estimation by Minimising a Density Power Divergence",
        reference="doi:10.1093/biomet/85.3.549",
        equation="eq. (2.1)",
    ),
    properties=Properties(convex=False, proper="strictly", bound=3.0),
    hyperparameters=(
        Hyperparameter(
            name="beta", default=0.5, range=FloatRange(0.05, 2.0, "log"), source="proposal", domain=Domain(0.0)
        ),
    ),
    soft_targets=True,
    linear_in_target=True,
    limits=(Limit(hyperparameters={"beta": 0.0}), Limit(hyperparameters={"beta": 1.0}, of="brier")),
)
