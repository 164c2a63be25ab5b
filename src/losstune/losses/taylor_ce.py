"""Taylor cross-entropy: the truncated series of the log-loss in 1 - p_y; bounded, against label noise.

Link: softmax, a convention. The slope at p_y = 0 is finite, so the risk's minimiser gives every sufficiently rare class
a probability of 0, from which its posterior cannot be recovered.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losstune.losses._numerics import class_cross_entropy
from losstune.losses.cross_entropy import softmax_link
from losstune.losses.ranges import Domain, IntRange
from losstune.losses.spec import Citation, Hyperparameter, Limit, LossSpec, Properties


def taylor_ce(logits_NC: Tensor, target_N: Tensor, order: int) -> Tensor:
    """Return sum_{i=1..order} (1 - p_y)^i / i with p = softmax(z), shape (N,).

    It is the absolute error 1 - p_y at order 1 and tends to cross-entropy as the order grows. Bounded by
    1 + 1/2 + ... + 1/order.

    Source: Feng et al. 2020, the Taylor cross-entropy of a given order.

    Raises:
        ValueError: If the target is not a class per sample.
    """
    error_N = -torch.expm1(-class_cross_entropy(logits_NC, target_N))
    losses_N = torch.zeros_like(error_N)
    for i in range(int(order), 0, -1):  # Horner's scheme
        losses_N = error_N * (losses_N + 1 / i)
    return losses_N


def link(logits_NC: Tensor, order: int) -> Tensor:
    """Return softmax(z), shape (N, C)."""
    return softmax_link(logits_NC)


SPEC = LossSpec(
    name="taylor_ce",
    function=taylor_ce,
    link=link,
    family="true-class",
    summary="Cross-entropy's truncated Taylor series: from absolute error (order 1) towards cross-entropy.",
    formula="sum_{i=1..order} (1 - p_y)^i / i",
    use="For noisy labels: the order interpolates between the mean absolute error and cross-entropy.",
    citation=Citation(
        authors="Feng et al.",
        year=2020,
        title="Can Cross Entropy Loss Be Robust to Label Noise?",
        reference="doi:10.24963/ijcai.2020/305",
        equation="Taylor cross-entropy loss",
    ),
    properties=Properties(convex=False, proper="no", bound=1.5),
    hyperparameters=(
        Hyperparameter(
            name="order",
            default=2,
            range=IntRange(1, 10),
            source="proposal; 1 is absolute error",
            domain=Domain(1.0, whole=True),
        ),
    ),
    limits=(Limit(hyperparameters={"order": 1}, of="mae"),),
)
