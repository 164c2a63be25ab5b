"""The alpha-entmax loss, the Fenchel-Young loss of the Tsallis entropy: sparse probabilities, and a margin.

Link: alpha-entmax, exact (strictly proper).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from losstune.losses._numerics import at_least_float32, target_distribution, with_gradient
from losstune.losses.spec import Alias, Citation, Hyperparameter, Limit, LossSpec, Properties
from losstune.ranges import Domain, FloatRange


def entmax(logits_NC: Tensor, target: Tensor, alpha: float) -> Tensor:
    """Return <q - t, z> + [sum_k t_k^alpha - sum_k q_k^alpha] / (alpha (alpha-1)), shape (N,).

    q = entmax_alpha(z) = [(alpha-1) z - tau]_+^(1/(alpha-1)) with tau such that q sums to 1. Cross-entropy as alpha
    goes to 1, the sparsemax loss at alpha = 2. It is 0 once the true logit leads by 1/(alpha-1). The gradient is
    q - t.

    Source: Peters et al. 2019, section 3.

    Raises:
        ValueError: If alpha is not above 1.
    """
    z_NC = at_least_float32(logits_NC)
    t_NC = target_distribution(target, z_NC)
    fixed_NC = z_NC.detach()
    q_NC = _entmax_map(fixed_NC, alpha)
    residual_NC = q_NC - t_NC
    # Measured from the largest logit, because a common offset would only cost digits.
    fit_N = (residual_NC * (fixed_NC - fixed_NC.amax(1, keepdim=True))).sum(1)
    sum_of_powers = 1.0 if target.ndim == 1 else t_NC.pow(alpha).sum(1)
    losses_N = fit_N + (sum_of_powers - q_NC.pow(alpha).sum(1)) / (alpha * (alpha - 1))
    return with_gradient(z_NC, losses_N, residual_NC)


def link(logits_NC: Tensor, alpha: float) -> Tensor:
    """Return entmax_alpha(z), shape (N, C); classes may have exactly 0."""
    return _entmax_map(at_least_float32(logits_NC), alpha)


def _entmax_map(z_NC: Tensor, alpha: float) -> Tensor:
    if alpha <= 1:
        raise ValueError(f"entmax needs alpha > 1, found {alpha}; cross_entropy is its limit at 1")
    c = alpha - 1
    gaps_NC = c * (z_NC.amax(1, keepdim=True) - z_NC)
    top_N1 = _newton(gaps_NC, c) if alpha <= 2 else _bisect(gaps_NC, c)
    q_NC = (top_N1 - gaps_NC).clamp_min(0).pow(1 / c)
    return q_NC / q_NC.sum(1, keepdim=True)


def _newton(gaps_NC: Tensor, c: float) -> Tensor:
    """Return (largest probability)^c, from which the others follow by their gaps; for alpha <= 2."""
    # Newton on (sum q)^c, a norm and so convex: from 1 it never passes the root, and leaves an error in q below
    # 1e-5 for up to 1,000 classes and logits of any size. Two more steps square that twice.
    num_steps = 2 + math.ceil(6 * c) + (2 if gaps_NC.dtype == torch.float64 else 0)
    top_N1 = torch.ones_like(gaps_NC[:, :1])
    for _ in range(num_steps):
        base_NC = (top_N1 - gaps_NC).clamp_min(0)
        # 0^0 is 1 in floating point, but a class without probability has no slope.
        slope_NC = base_NC.pow(1 / c - 1) if c < 1 else (base_NC > 0).to(base_NC.dtype)
        sum_N1 = (slope_NC * base_NC).sum(1, keepdim=True)
        top_N1 = top_N1 - (sum_N1 - sum_N1.pow(1 - c)) / slope_NC.sum(1, keepdim=True)
    return top_N1


def _bisect(gaps_NC: Tensor, c: float) -> Tensor:
    """Return what :func:`_newton` does, for alpha > 2, where slopes are infinite and Newton fails."""
    width = 1 - 1 / gaps_NC.shape[1]
    low_N1 = torch.full_like(gaps_NC[:, :1], 1 / gaps_NC.shape[1])
    for _ in range(50 if gaps_NC.dtype == torch.float64 else 22):
        width /= 2
        middle_N1 = low_N1 + width
        sum_N1 = (middle_N1.pow(c) - gaps_NC).clamp_min(0).pow(1 / c).sum(1, keepdim=True)
        low_N1 = torch.where(sum_N1 < 1, middle_N1, low_N1)
    return low_N1.pow(c)


SPEC = LossSpec(
    name="entmax",
    function=entmax,
    link=link,
    family="Fenchel-Young",
    summary="A loss with sparse probabilities that stops pulling once the true class leads by a margin.",
    formula="<q - t, z> + [sum_k t_k^alpha - sum_k q_k^alpha] / (alpha (alpha-1)), q = entmax_alpha(z)",
    use="For sparse probabilities, exact zeros included, and where certain samples should stop pulling.",
    citation=Citation(
        authors="Peters et al.",
        year=2019,
        title="Sparse Sequence-to-Sequence Models",
        reference="arXiv:1905.05702",
        equation="section 3",
    ),
    properties=Properties(convex=True, proper="strictly", smooth=False),
    hyperparameters=(
        Hyperparameter(
            name="alpha",
            default=1.5,
            range=FloatRange(1.05, 2.5),
            source="default: Peters 2019; range: proposal",
            domain=Domain(1.0, 3.0, excludes_low=True),
        ),
    ),
    soft_targets=True,
    aliases=(Alias(name="sparsemax", relation="the same", hyperparameters={"alpha": 2.0}),),
    limits=(Limit(hyperparameters={"alpha": 1.0001}, within=1e-2),),
)
