"""Cross-entropy on a last layer whose features are dropped at random in training.

The trainer changes the last layer. As a function of the logits it is cross-entropy; it takes the hyperparameter only to
pass it on.

Link: softmax, exact (strictly proper).
"""

from __future__ import annotations

from torch import Tensor

from losstune.losses.cross_entropy import cross_entropy, softmax_link
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, LossSpec, Properties


def dropout(logits_NC: Tensor, target: Tensor, rate: float) -> Tensor:
    """Return -sum_k t_k log p_k with p = softmax(z), shape (N,), in nats; only the last layer uses `rate`.

    Source: Kornblith et al. 2021, section 2.
    """
    return cross_entropy(logits_NC, target)


def link(logits_NC: Tensor, rate: float) -> Tensor:
    """Return softmax(z), shape (N, C)."""
    return softmax_link(logits_NC)


SPEC = LossSpec(
    name="dropout",
    function=dropout,
    link=link,
    family="log-loss",
    summary="Cross-entropy on a last layer whose features are dropped at random in training.",
    formula="-log p_y, features times a random mask / (1 - rate) before the last layer",
    use="Against co-adapted features. It is a regulariser; as a function of the logits, it is cross-entropy.",
    citation=Citation(
        authors="Kornblith et al.",
        year=2021,
        title="Why Do Better Loss Functions Lead to Less Transferable Features?",
        reference="arXiv:2010.16402",
        equation="dropout",
    ),
    properties=Properties(convex=True, proper="strictly"),
    hyperparameters=(
        Hyperparameter(
            name="rate",
            default=0.3,
            range=FloatRange(0.0, 0.7),
            source="proposal; Kornblith 2021 tunes it on ImageNet",
            domain=Domain(0.0, 1.0, excludes_high=True),
        ),
    ),
    soft_targets=True,
    linear_in_target=True,
    head="dropout",
)
