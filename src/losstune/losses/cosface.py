"""Cross-entropy on scaled cosines, with a margin subtracted from that of the true class.

The network's head is normalised. At m = 0 it is the normalised softmax, ``cosine_softmax``.

Link: softmax(s z), a convention: the margin makes the outputs more certain than the posterior.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from losstune.losses._numerics import at_least_float32, less_at_target, require_classes
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, Limit, LossSpec, Properties


def cosface(logits_NC: Tensor, target_N: Tensor, s: float, m: float) -> Tensor:
    """Return CE(s (z - m onehot_y)) with z = cos(theta), shape (N,), in nats.

    Source: Wang et al. 2018, eq. (4).

    Raises:
        ValueError: If the target is not a class per sample.
    """
    require_classes(target_N)
    logits_NC = at_least_float32(logits_NC)
    scaled_NC = less_at_target(s * logits_NC, target_N, s * m)
    return F.cross_entropy(scaled_NC, target_N, reduction="none")


def link(logits_NC: Tensor, s: float, m: float) -> Tensor:
    """Return softmax(s z), shape (N, C)."""
    return (s * at_least_float32(logits_NC)).softmax(1)


SPEC = LossSpec(
    name="cosface",
    function=cosface,
    link=link,
    family="angular",
    summary="Cross-entropy on cosines, with a margin m subtracted from that of the true class.",
    formula="CE(s (z - m onehot_y)), z cosines",
    use="Like arcface, with a milder margin; convex in the cosines.",
    citation=Citation(
        authors="Wang et al.",
        year=2018,
        title="CosFace: Large Margin Cosine Loss for Deep Face Recognition",
        reference="arXiv:1801.09414",
        equation="eq. (4)",
    ),
    properties=Properties(convex=True, proper="no"),
    hyperparameters=(
        Hyperparameter(
            name="s",
            default=20.0,
            range=FloatRange(5.0, 100.0, scale="log"),
            source="proposal; the paper uses 64 for thousands of classes",
            domain=Domain(0.0, excludes_low=True),
        ),
        Hyperparameter(
            name="m",
            default=0.35,
            range=FloatRange(0.0, 0.6),
            source="Wang 2018, section 4.2 (0.35); range: proposal",
            domain=Domain(0.0),
        ),
    ),
    head="normalised",
    limits=(Limit(hyperparameters={"s": 1.0, "m": 0.0}),),
)
