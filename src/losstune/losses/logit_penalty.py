"""Cross-entropy with a penalty on the squared norm of the logits.

Link: eta = p + b z, a recovery: where the risk's gradient, p - eta + b z, is 0.
"""

from __future__ import annotations

import math

from torch import Tensor

from losstune.losses._numerics import at_least_float32, normalized
from losstune.losses.cross_entropy import cross_entropy
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, Limit, LossSpec, Properties


def logit_penalty(logits_NC: Tensor, target: Tensor, b: float) -> Tensor:
    """Return CE + b/2 sum_k z_k^2, shape (N,), in nats.

    Source: Kornblith et al. 2021; the factor 1/2 is that of the authors' code (google-research,
    loss_functions_transfer).
    """
    logits_NC = at_least_float32(logits_NC)
    return cross_entropy(logits_NC, target) + b / 2 * logits_NC.square().sum(1)


def link(logits_NC: Tensor, b: float) -> Tensor:
    """Return p + b z, shape (N, C)."""
    logits_NC = at_least_float32(logits_NC)
    return normalized(logits_NC.softmax(1) + b * logits_NC)


def _minimum(num_classes: int, b: float) -> float:
    """Return the value at z_y = (C-1) u, others -u, where b u (exp(C u) + C - 1) = 1, found by bisection."""
    if b == 0:
        return 0.0
    low, high = 0.0, 1 / (b * num_classes)
    for _ in range(200):
        u = (low + high) / 2
        exceeds = math.log(b * u) + num_classes * u + math.log1p((num_classes - 1) * math.exp(-num_classes * u)) > 0
        low, high = (low, u) if exceeds else (u, high)
    penalty = b / 2 * num_classes * (num_classes - 1) * low**2
    return math.log1p((num_classes - 1) * math.exp(-num_classes * low)) + penalty


SPEC = LossSpec(
    name="logit_penalty",
    function=logit_penalty,
    link=link,
    family="log-loss",
    summary="Cross-entropy with a penalty on the squared norm of the logits.",
    formula="CE + b/2 sum_k z_k^2",
    use="Against unbounded logits. It is more a regulariser than a different loss.",
    citation=Citation(
        authors="Kornblith et al.",
        year=2021,
        title="Why Do Better Loss Functions Lead to Less Transferable Features?",
        reference="arXiv:2010.16402",
        equation="section 3.1",
    ),
    properties=Properties(
        convex=True, proper="recoverable", shift_invariant=False, minimum=_minimum, masked="infinite"
    ),
    hyperparameters=(
        Hyperparameter(
            name="b",
            default=6e-4,
            range=FloatRange(1e-5, 0.01, scale="log"),
            source="Kornblith 2021, for ImageNet, from memory; range: proposal",
            domain=Domain(0.0),
        ),
    ),
    soft_targets=True,
    linear_in_target=True,
    limits=(Limit(hyperparameters={"b": 0.0}),),
)
