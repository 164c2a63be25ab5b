"""The alpha-entmax loss, the Fenchel-Young loss of the Tsallis entropy: sparse probabilities, and a margin.

Link: alpha-entmax, exact (strictly proper).
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from losstune.losses._numerics import at_least_float32, at_target, finite_logits, less_target, with_gradient
from losstune.losses._power_softmax import PowerSoftmax, power_softmax, probabilities
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Alias, Citation, Hyperparameter, Limit, LossSpec, Properties


def entmax(logits_NC: Tensor, target: Tensor, alpha: float) -> Tensor:
    """Return <q - t, z> + [sum_k t_k^alpha - sum_k q_k^alpha] / (alpha (alpha-1)), shape (N,).

    q = entmax_alpha(z) = [(alpha-1) z - tau]_+^(1/(alpha-1)) with tau such that q sums to 1. It tends to
    cross-entropy as alpha goes to 1, and is the sparsemax loss at alpha = 2. It is 0 if the true logit exceeds the
    others by 1/(alpha-1). The gradient is q - t.

    Source: Peters et al. 2019, section 3.

    Raises:
        ValueError: If alpha is not above 1.
    """
    z_NC = at_least_float32(logits_NC)
    fixed_NC = finite_logits(z_NC.detach())
    found = _entmax_map(fixed_NC, alpha)
    q_NC = found.p_NC / found.sum_N1
    # Subtract the largest logit, because a common offset would cost digits.
    from_top_NC = fixed_NC - fixed_NC.amax(1, keepdim=True)
    # q^(alpha-1) is the base, up to normalisation.
    sum_of_powers_N = (q_NC * found.base_NC).sum(1) * found.sum_N1.squeeze(1).pow(1 - alpha)
    fit_N = (q_NC * from_top_NC).sum(1) - at_target(from_top_NC, target)
    of_target_N = 1 if target.ndim == 1 else target.to(z_NC.dtype).pow(alpha).sum(1)
    losses_N = fit_N + (of_target_N - sum_of_powers_N) / (alpha * (alpha - 1))
    return with_gradient(losses_N, less_target(q_NC, target), partial(_gradient, alpha), z_NC, target)


def link(logits_NC: Tensor, alpha: float) -> Tensor:
    """Return entmax_alpha(z), shape (N, C); probabilities may be exactly 0."""
    z_NC = finite_logits(logits_NC)
    return probabilities(_entmax_map(z_NC.detach(), alpha), z_NC, alpha - 1)


def _gradient(alpha: float, z_NC: Tensor, target: Tensor) -> Tensor:
    return less_target(link(z_NC, alpha), target)


def _entmax_map(z_NC: Tensor, alpha: float) -> PowerSoftmax:
    """Return :func:`power_softmax` of z; [(alpha-1) z - tau]_+ and [1 + (alpha-1) (z - tau)]_+ differ only in tau."""
    if alpha <= 1:
        raise ValueError(f"entmax needs alpha > 1, found {alpha}; cross_entropy is its limit at 1")
    c = alpha - 1
    return power_softmax(z_NC, c) if alpha <= 2 else _bisect(c * (z_NC.amax(1, keepdim=True) - z_NC), c)


def _bisect(gaps_NC: Tensor, c: float) -> PowerSoftmax:
    """Return the same as :func:`power_softmax`, for alpha > 2, where slopes are infinite and Newton's method fails."""
    # Bisect the largest probability; the gaps then give the others.
    width = 1 - 1 / gaps_NC.shape[1]
    low_N1 = torch.full_like(gaps_NC[:, :1], 1 / gaps_NC.shape[1])
    for _ in range(50 if gaps_NC.dtype == torch.float64 else 22):
        width /= 2
        middle_N1 = low_N1 + width
        sum_N1 = (middle_N1.pow(c) - gaps_NC).clamp_min(0).pow(1 / c).sum(1, keepdim=True)
        low_N1 = torch.where(sum_N1 < 1, middle_N1, low_N1)
    base_NC = (low_N1.pow(c) - gaps_NC).clamp_min(0)
    q_NC = base_NC.pow(1 / c)
    return PowerSoftmax(q_NC, q_NC.sum(1, keepdim=True), base_NC, None)


SPEC = LossSpec(
    name="entmax",
    function=entmax,
    link=link,
    family="Fenchel-Young",
    summary="A loss with sparse probabilities whose gradient is 0 once the true class leads by a margin.",
    formula="<q - t, z> + [sum_k t_k^alpha - sum_k q_k^alpha] / (alpha (alpha-1)), q = entmax_alpha(z)",
    use="For sparse probabilities with exact zeros, and if confident samples should have no gradient.",
    citation=Citation(
        authors="Peters et al.",
        year=2019,
        title="Sparse Sequence-to-Sequence Models",
        reference="arXiv:1905.05702",
        equation="section 3",
    ),
    properties=Properties(convex=True, proper="strictly"),
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
