"""Cross-entropy on scaled cosines, the normalised softmax.

The logits must be cosines of the angles between features and class weights: the network's head is normalised.

Link: softmax(s z), exact (strictly proper) for posteriors that scaled cosines can express.
"""

from __future__ import annotations

from torch import Tensor

from losstune.losses._numerics import at_least_float32
from losstune.losses.cross_entropy import cross_entropy
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, Limit, LossSpec, Properties


def cosine_softmax(logits_NC: Tensor, target: Tensor, s: float) -> Tensor:
    """Return CE(s z) with z = cos(theta), shape (N,), in nats.

    Source: Kornblith et al. 2021, section 3.1.
    """
    return cross_entropy(s * at_least_float32(logits_NC), target)


def link(logits_NC: Tensor, s: float) -> Tensor:
    """Return softmax(s z), shape (N, C)."""
    return (s * at_least_float32(logits_NC)).softmax(1)


SPEC = LossSpec(
    name="cosine_softmax",
    function=cosine_softmax,
    link=link,
    family="angular",
    summary="Cross-entropy on cosines scaled by s: only the directions of features and weights matter.",
    formula="CE(s z), z cosines",
    use="For features of fixed norm, such as for retrieval. The scale s and the learning rate interact.",
    citation=Citation(
        authors="Kornblith et al.",
        year=2021,
        title="Why Do Better Loss Functions Lead to Less Transferable Features?",
        reference="arXiv:2010.16402",
        equation="section 3.1",
    ),
    properties=Properties(convex=True, proper="strictly"),
    hyperparameters=(
        Hyperparameter(
            name="s",
            default=20.0,
            range=FloatRange(5.0, 100.0, scale="log"),
            source="Kornblith 2021, section 3.1 (1/tau = 20 or so); range: proposal",
            domain=Domain(0.0, excludes_low=True),
        ),
    ),
    head="normalised",
    soft_targets=True,
    linear_in_target=True,
    limits=(Limit(hyperparameters={"s": 1.0}),),
)
