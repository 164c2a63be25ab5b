"""The spherical score and its generalisation of order alpha, the pseudospherical score.

At alpha = 2 it is one minus the cosine between prediction and one-hot target.

Link: softmax, exact (strictly proper).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from losstune.losses._numerics import at_least_float32, at_target
from losstune.losses.cross_entropy import softmax_link
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Alias, Citation, Hyperparameter, LossSpec, Properties


def spherical(logits_NC: Tensor, target: Tensor, alpha: float) -> Tensor:
    """Return 1 - sum_k t_k (p_k / |p|_alpha)^(alpha-1) with p = softmax(z), shape (N,). Bounded by 1.

    For a soft target it is the expected score.

    Source: Gneiting & Raftery 2007, section 4.1, with the opposite sign and 1 added, so that the minimum is 0.
    """
    z_NC = at_least_float32(logits_NC)
    if target.ndim == 1:
        # (|p|_alpha / p_y)^alpha = 1 / softmax(alpha z)_y
        return -torch.expm1((1 / alpha - 1) * F.cross_entropy(alpha * z_NC, target, reduction="none"))
    # The logarithm of p_k / |p|_alpha; the softmax normalisation cancels.
    log_share_NC = z_NC - torch.logsumexp(alpha * z_NC, 1, keepdim=True) / alpha
    return at_target(-torch.expm1((alpha - 1) * log_share_NC), target)


def link(logits_NC: Tensor, alpha: float) -> Tensor:
    """Return softmax(z), shape (N, C)."""
    return softmax_link(logits_NC)


SPEC = LossSpec(
    name="spherical",
    function=spherical,
    link=link,
    family="proper score",
    summary="A bounded proper score: one minus the cosine between prediction and target at alpha = 2.",
    formula="1 - (p_y / |p|_alpha)^(alpha-1)",
    use="For probabilities that are robust to outliers; it is between Brier and gce.",
    citation=Citation(
        authors="Gneiting & Raftery",
        year=2007,
        title="Strictly Proper Scoring Rules, Prediction, and Estimation",
        reference="doi:10.1198/016214506000001437",
        equation="section 4.1",
    ),
    properties=Properties(convex=False, proper="strictly", bound=1.0),
    hyperparameters=(
        Hyperparameter(
            name="alpha",
            default=2.0,
            range=FloatRange(1.1, 5.0),
            source="default: the spherical score; range: proposal",
            domain=Domain(1.0, excludes_low=True),
        ),
    ),
    soft_targets=True,
    linear_in_target=True,
    aliases=(Alias(name="keras_cosine_similarity", relation="spherical - 1", hyperparameters={"alpha": 2.0}),),
)
