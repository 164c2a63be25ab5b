"""The bi-tempered logistic loss: a bounded logarithm (t1 < 1) on a heavy-tailed softmax (t2 > 1).

Link: the tempered softmax, exact (strictly proper).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from losstune.losses._numerics import at_least_float32, target_distribution, with_gradient
from losstune.losses.spec import Citation, Hyperparameter, Limit, LossSpec, Properties
from losstune.ranges import Domain, FloatRange


def bi_tempered(logits_NC: Tensor, target: Tensor, t1: float, t2: float) -> Tensor:
    """Return sum_k t_k (log_t1 t_k - log_t1 q_k) - (t_k^(2-t1) - q_k^(2-t1)) / (2-t1), shape (N,).

    q = exp_t2(z - lambda) with lambda such that q sums to 1; log_t(x) = (x^(1-t) - 1) / (1-t) and exp_t is its
    inverse. Cross-entropy less the target's entropy at t1 = t2 = 1. Bounded by 1/(1-t1). The gradient is the
    analytic one, through lambda by the implicit function theorem.

    Source: Amid et al. 2019, section 4.

    Raises:
        ValueError: If t1 is not below 2, or t2 is below 1.
    """
    if t1 >= 2:
        raise ValueError(f"bi_tempered needs t1 < 2, found {t1}")
    z_NC = at_least_float32(logits_NC)
    t_NC = target_distribution(target, z_NC)
    log_q_NC = _log_tempered_softmax(z_NC.detach(), t2)
    fit_N = (t_NC * _log_t_of_exp(log_q_NC, t1)).sum(1)
    losses_N = torch.exp((2 - t1) * log_q_NC).sum(1) / (2 - t1) - fit_N + _minimum(t_NC, target, t1)
    residual_NC = (log_q_NC.exp() - t_NC) * torch.exp((t2 - t1) * log_q_NC)
    escort_NC = torch.exp(t2 * log_q_NC)
    shift_N1 = residual_NC.sum(1, keepdim=True) / escort_NC.sum(1, keepdim=True)
    return with_gradient(z_NC, losses_N, residual_NC - escort_NC * shift_N1)


def link(logits_NC: Tensor, t1: float, t2: float) -> Tensor:
    """Return the tempered softmax exp_t2(z - lambda), shape (N, C)."""
    return _log_tempered_softmax(at_least_float32(logits_NC), t2).exp()


def _log_tempered_softmax(z_NC: Tensor, t2: float) -> Tensor:
    d = t2 - 1
    if d < 0:
        raise ValueError(f"bi_tempered needs t2 >= 1, found {t2}")
    if d == 0:
        return z_NC.log_softmax(1)
    gaps_NC = d * (z_NC.amax(1, keepdim=True) - z_NC)
    # q = (1 + gaps + shift)^(-1/d), where shift is d times lambda as measured from the largest logit.
    shift_N1 = torch.zeros_like(gaps_NC[:, :1])
    for _ in range(_num_steps(d, z_NC.dtype)):
        log_base_NC = torch.log1p(gaps_NC + shift_N1)
        sum_N1 = torch.exp(log_base_NC * (-1 / d)).sum(1, keepdim=True)
        slope_N1 = torch.exp(log_base_NC * (-t2 / d)).sum(1, keepdim=True)
        shift_N1 = shift_N1 + sum_N1 * torch.expm1(d * sum_N1.log()) / slope_N1
    log_q_NC = torch.log1p(gaps_NC + shift_N1) * (-1 / d)
    return log_q_NC - log_q_NC.exp().sum(1, keepdim=True).log()


def _num_steps(d: float, dtype: torch.dtype) -> int:
    # Newton on (sum q)^(-d), concave in the shift and all but linear for small d: it never passes the root and leaves
    # an error in q below 1e-5 for up to 1,000 classes and logits of any size. Two more steps square that twice.
    return 2 + math.ceil(4 * d) + (2 if dtype == torch.float64 else 0)


def _minimum(t_NC: Tensor, target: Tensor, t1: float) -> Tensor | float:
    if target.ndim == 1:
        return -1 / (2 - t1)
    # Where t is 0 its logarithm only ever meets that 0, and so may be anything finite.
    log_t_NC = torch.where(t_NC > 0, t_NC, 1.0).log()
    return (t_NC * _log_t_of_exp(log_t_NC, t1) - t_NC.pow(2 - t1) / (2 - t1)).sum(1)


def _log_t_of_exp(log_x: Tensor, t: float) -> Tensor:
    return log_x if t == 1 else torch.expm1((1 - t) * log_x) / (1 - t)


SPEC = LossSpec(
    name="bi_tempered",
    function=bi_tempered,
    link=link,
    family="proper score",
    summary="A bounded loss on a heavy-tailed softmax: outliers far from and near the boundary weigh less.",
    formula="sum_k t_k (log_t1 t_k - log_t1 q_k) - (t_k^(2-t1) - q_k^(2-t1)) / (2-t1), q = exp_t2(z - lambda)",
    use="For labels with outliers. Two temperatures to tune: give it more trials than a loss without any.",
    citation=Citation(
        authors="Amid et al.",
        year=2019,
        title="Robust Bi-Tempered Logistic Loss Based on Bregman Divergences",
        reference="arXiv:1906.03361",
        equation="section 4",
    ),
    properties=Properties(convex=False, proper="strictly", bound=5.0, smooth=False),
    hyperparameters=(
        Hyperparameter(
            name="t1",
            default=0.8,
            range=FloatRange(0.2, 1.0),
            source="default: Amid 2019, section 5 (CIFAR-100); range: proposal",
            domain=Domain(0.0, 1.0),
        ),
        Hyperparameter(
            name="t2",
            default=1.2,
            range=FloatRange(1.0, 2.0),
            source="default: Amid 2019, section 5 (CIFAR-100); range: proposal",
            domain=Domain(1.0, 10.0),
        ),
    ),
    soft_targets=True,
    limits=(Limit(hyperparameters={"t1": 1.0, "t2": 1.0}),),
)
