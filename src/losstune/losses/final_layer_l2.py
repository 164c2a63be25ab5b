"""Cross-entropy with a penalty on the squared weights of the last layer, in addition to weight decay.

The trainer changes the last layer. As a function of the logits it is cross-entropy; it takes the hyperparameter only to
pass it on.

Link: softmax, exact (strictly proper).
"""

from __future__ import annotations

from torch import Tensor

from losstune.losses.cross_entropy import cross_entropy, softmax_link
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, LossSpec, Properties


def final_layer_l2(logits_NC: Tensor, target: Tensor, lam: float) -> Tensor:
    """Return -sum_k t_k log p_k with p = softmax(z), shape (N,), in nats; only the last layer uses `lam`.

    Source: Kornblith et al. 2021; the penalty's factor 1/2 is that of the authors' code (google-research,
    loss_functions_transfer).
    """
    return cross_entropy(logits_NC, target)


def link(logits_NC: Tensor, lam: float) -> Tensor:
    """Return softmax(z), shape (N, C)."""
    return softmax_link(logits_NC)


SPEC = LossSpec(
    name="final_layer_l2",
    function=final_layer_l2,
    link=link,
    family="log-loss",
    summary="Cross-entropy with a penalty on the squared weights of the last layer, in addition to weight decay.",
    formula="-log p_y + lam/2 |W|^2, W the last layer's weights",
    use="Against unbounded logits. It is a regulariser; as a function of the logits, it is cross-entropy.",
    citation=Citation(
        authors="Kornblith et al.",
        year=2021,
        title="Why Do Better Loss Functions Lead to Less Transferable Features?",
        reference="arXiv:2010.16402",
        equation="extra final layer L2",
    ),
    properties=Properties(convex=True, proper="strictly"),
    hyperparameters=(
        Hyperparameter(
            name="lam",
            default=8e-4,
            range=FloatRange(1e-5, 1e-2, "log"),
            source="Kornblith 2021 (8e-4 for ImageNet, from memory); range: proposal",
            domain=Domain(0.0),
        ),
    ),
    soft_targets=True,
    linear_in_target=True,
    head="decayed",
)
