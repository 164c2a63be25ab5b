"""Cross-entropy with a penalty on the largest logit: label smoothing that does not amplify wrong predictions.

If the true class has the largest logit, value and gradient equal those of label smoothing.

Link: softmax, a convention: which logit is largest depends on the posterior, so the penalty cannot be inverted.
"""

from __future__ import annotations

import math

from torch import Tensor

from losstune.losses._numerics import at_least_float32, class_cross_entropy
from losstune.losses.cross_entropy import softmax_link
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, Limit, LossSpec, Properties


def maxsup(logits_NC: Tensor, target_N: Tensor, a: float) -> Tensor:
    """Return CE + a (max_k z_k - mean_k z_k), shape (N,), in nats.

    Source: Zhou et al. 2025, section 3.

    Raises:
        ValueError: If the target is not a class per sample.
    """
    cross_entropy_N = class_cross_entropy(logits_NC, target_N)
    if a == 0:
        return cross_entropy_N
    logits_NC = at_least_float32(logits_NC)
    return cross_entropy_N + a * (logits_NC.amax(1) - logits_NC.mean(1))


def link(logits_NC: Tensor, a: float) -> Tensor:
    """Return softmax(z), shape (N, C)."""
    return softmax_link(logits_NC)


def _minimum(num_classes: int, a: float) -> float:
    """Return the entropy of (1 - a + a/C, a/C, ...), label smoothing's minimum, where the true logit is largest."""
    other = a / num_classes
    true = 1 - (num_classes - 1) * other
    return -true * math.log(true) - ((num_classes - 1) * other * math.log(other) if other else 0.0)


SPEC = LossSpec(
    name="maxsup",
    function=maxsup,
    link=link,
    family="log-loss",
    summary="Cross-entropy that keeps the largest logit near the mean logit, whether it is right or wrong.",
    formula="CE + a (max_k z_k - mean_k z_k)",
    use="As label smoothing, for problems with many training errors.",
    citation=Citation(
        authors="Zhou et al.",
        year=2025,
        title="MaxSup: Overcoming Representation Collapse in Label Smoothing",
        reference="arXiv:2502.15798",
        equation="section 3",
    ),
    properties=Properties(convex=True, proper="no", smooth=False, minimum=_minimum, masked="infinite"),
    hyperparameters=(
        Hyperparameter(
            name="a",
            default=0.1,
            range=FloatRange(0.0, 0.3),
            source="as label smoothing; range: proposal",
            domain=Domain(0.0, 1.0),
        ),
    ),
    limits=(Limit(hyperparameters={"a": 0.0}),),
)
