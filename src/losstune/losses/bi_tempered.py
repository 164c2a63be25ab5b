"""The bi-tempered logistic loss: a bounded logarithm (t1 < 1) on a heavy-tailed softmax (t2 > 1).

Link: the tempered softmax, exact (strictly proper).
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from losstune.losses._numerics import at_least_float32, at_target, finite_logits, with_gradient
from losstune.losses._power_softmax import SMALL, power_softmax, probabilities
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, Limit, LossSpec, Properties


def bi_tempered(logits_NC: Tensor, target: Tensor, t1: float, t2: float) -> Tensor:
    """Return sum_k t_k (log_t1 t_k - log_t1 q_k) - (t_k^(2-t1) - q_k^(2-t1)) / (2-t1), shape (N,).

    q = exp_t2(z - lambda) with lambda such that q sums to 1; log_t(x) = (x^(1-t) - 1) / (1-t) and exp_t is its
    inverse. At t1 = t2 = 1 it is cross-entropy minus the target's entropy. Bounded by 1/(1-t1). The gradient is
    analytic; the implicit function theorem gives the derivative of lambda.

    Source: Amid et al. 2019, section 4.

    Raises:
        ValueError: If t1 is not below 2, or t2 is below 1.
    """
    if t1 >= 2:
        raise ValueError(f"bi_tempered needs t1 < 2, found {t1}")
    z_NC = at_least_float32(logits_NC)
    q_NC, log_t_NC, weight_NC, escort_NC = _tempered(finite_logits(z_NC.detach()), t1, t2)
    sum_of_powers_N = (q_NC * (1 + (1 - t1) * log_t_NC)).sum(1)
    losses_N = sum_of_powers_N / (2 - t1) - at_target(log_t_NC, target) + _minimum(target, z_NC.dtype, t1)
    gradient_NC = _gradient_by(q_NC, weight_NC, escort_NC, target)
    return with_gradient(losses_N, gradient_NC, partial(_gradient, t1, t2), z_NC, target)


def link(logits_NC: Tensor, t1: float, t2: float) -> Tensor:
    """Return the tempered softmax exp_t2(z - lambda), shape (N, C)."""
    z_NC, c = finite_logits(logits_NC), _minus_d(t2)
    return z_NC.softmax(1) if c == 0 else probabilities(power_softmax(z_NC.detach(), c), z_NC, c)


def _gradient(t1: float, t2: float, z_NC: Tensor, target: Tensor) -> Tensor:
    q_NC = link(z_NC, t1, t2)
    # Where q is 0, its powers are 0, but a power's slope may be infinite, and infinity times 0 is NaN.
    some_NC, safe_NC = q_NC > 0, torch.where(q_NC > 0, q_NC, 1.0)
    weight_NC = torch.where(some_NC, safe_NC.pow(t2 - t1), 0.0)
    return _gradient_by(q_NC, weight_NC, torch.where(some_NC, safe_NC.pow(t2), 0.0), target)


def _gradient_by(q_NC: Tensor, weight_NC: Tensor, escort_NC: Tensor, target: Tensor) -> Tensor:
    residual_NC = q_NC * weight_NC
    if target.ndim == 2:
        residual_NC = residual_NC - target.to(q_NC.dtype) * weight_NC
    else:
        index_N1 = target.unsqueeze(1)
        residual_NC = residual_NC.scatter_add(1, index_N1, -weight_NC.gather(1, index_N1))
    shift_N1 = residual_NC.sum(1, keepdim=True) / escort_NC.sum(1, keepdim=True)
    return torch.addcmul(residual_NC, escort_NC, shift_N1, value=-1.0)


def _tempered(z_NC: Tensor, t1: float, t2: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return q, log_t1 q, the gradient's weight q^(t2-t1), and the escort q^t2 up to a factor per sample."""
    c = _minus_d(t2)
    if c == 0:
        log_q_NC = z_NC.log_softmax(1)
        q_NC = log_q_NC.exp()
        return q_NC, _log_t_of_exp(log_q_NC, t1), torch.exp((t2 - t1) * log_q_NC), q_NC
    found = power_softmax(z_NC, c)
    q_NC = found.p_NC / found.sum_N1
    escort_NC = q_NC / found.base_NC  # q^(t2-1) is the inverse of the base, up to normalisation
    weight_NC = found.power((t2 - t1) / c) * found.sum_N1.pow(t1 - t2)
    if 1 - t1 < SMALL or found.above_NC is not None:
        log_t_NC = _log_t_of_exp(found.log() / c - found.sum_N1.log(), t1)
    else:
        # q^(1-t1) = q^(t2-t1) q^(1-t2)
        log_t_NC = (weight_NC * found.base_NC * found.sum_N1.pow(-c) - 1) / (1 - t1)
    return q_NC, log_t_NC, weight_NC, escort_NC


def _minus_d(t2: float) -> float:
    if t2 < 1:
        raise ValueError(f"bi_tempered needs t2 >= 1, found {t2}")
    return 1 - t2


def _minimum(target: Tensor, dtype: torch.dtype, t1: float) -> Tensor | float:
    if target.ndim == 1:
        return -1 / (2 - t1)
    t_NC = target.to(dtype)
    # Where t is 0, its logarithm is multiplied by 0, so any finite value will do.
    log_t_NC = torch.where(t_NC > 0, t_NC, 1.0).log()
    return (t_NC * _log_t_of_exp(log_t_NC, t1) - t_NC.pow(2 - t1) / (2 - t1)).sum(1)


def _log_t_of_exp(log_x: Tensor, t: float) -> Tensor:
    return log_x if t == 1 else torch.expm1((1 - t) * log_x) / (1 - t)


SPEC = LossSpec(
    name="bi_tempered",
    function=bi_tempered,
    link=link,
    family="proper score",
    summary="A bounded loss on a heavy-tailed softmax: outliers far from and near the boundary have less weight.",
    formula="sum_k t_k (log_t1 t_k - log_t1 q_k) - (t_k^(2-t1) - q_k^(2-t1)) / (2-t1), q = exp_t2(z - lambda)",
    use="For labels with outliers. It has two temperatures to tune and so needs more trials than a loss without any.",
    citation=Citation(
        authors="Amid et al.",
        year=2019,
        title="Robust Bi-Tempered Logistic Loss Based on Bregman Divergences",
        reference="arXiv:1906.03361",
        equation="section 4",
    ),
    properties=Properties(convex=False, proper="strictly", bound=5.0),
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
