"""Cross-entropy on softmax outputs, the log-loss.

Link: softmax, exact (strictly proper).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from losstune.losses._numerics import at_least_float32, finite_logits
from losstune.losses.spec import Alias, Citation, LossSpec, Properties


def cross_entropy(logits_NC: Tensor, target: Tensor) -> Tensor:
    """Return -sum_k t_k log p_k with p = softmax(z), shape (N,), in nats.

    Source: Goodfellow et al. 2016, section 6.2.2.3.
    """
    if target.ndim == 2:
        z_NC = finite_logits(logits_NC)
        return F.cross_entropy(z_NC, target.to(z_NC.dtype), reduction="none")
    return F.cross_entropy(at_least_float32(logits_NC), target, reduction="none")


def softmax_link(logits_NC: Tensor) -> Tensor:
    """Return softmax(z), shape (N, C)."""
    return at_least_float32(logits_NC).softmax(1)


SPEC = LossSpec(
    name="cross_entropy",
    function=cross_entropy,
    link=softmax_link,
    family="log-loss",
    summary="The negative log-likelihood of the true class: the standard loss, and the reference of this catalogue.",
    formula="-sum_k t_k log p_k",
    use="The default baseline.",
    citation=Citation(
        authors="Goodfellow et al.",
        year=2016,
        title="Deep Learning",
        reference="ISBN 978-0262035613",
        equation="section 6.2.2.3",
    ),
    properties=Properties(convex=True, proper="strictly"),
    soft_targets=True,
    linear_in_target=True,
    aliases=(
        Alias(name="cauchy_schwarz", relation="CE(2z) / 2"),
        Alias(name="keras_poisson", relation="(CE + 1) / C", condition="hard labels, before its epsilon"),
        Alias(name="renyi", relation="the same, at every order"),
    ),
)
