"""The exponential loss of multi-class boosting: the exponential of every margin violation.

Above 10 nats of cross-entropy (p_y below 4.5e-5) it continues linearly, because the gradient would soon overflow.

Link: softmax(2z), exact (strictly proper) for posteriors whose outputs stay below that limit.
"""

from __future__ import annotations

import math

from torch import Tensor

from losstune.losses._numerics import at_least_float32, class_cross_entropy
from losstune.losses.spec import Alias, Citation, LossSpec, Properties

LINEAR_FROM_NATS = 10.0


def exponential(logits_NC: Tensor, target_N: Tensor) -> Tensor:
    """Return sum over j != y of exp(z_j - z_y) = 1/p_y - 1, linear in log p_y above 10 nats; shape (N,).

    Source: Mukherjee & Schapire 2013, section 4.

    Raises:
        ValueError: If the target is not a class per sample.
    """
    cross_entropy_N = class_cross_entropy(logits_NC, target_N)
    below_N = cross_entropy_N.clamp_max(LINEAR_FROM_NATS)
    return below_N.expm1() + math.exp(LINEAR_FROM_NATS) * (cross_entropy_N - below_N)


def link(logits_NC: Tensor) -> Tensor:
    """Return softmax(2z), shape (N, C)."""
    return (2 * at_least_float32(logits_NC)).softmax(1)


SPEC = LossSpec(
    name="exponential",
    function=exponential,
    link=link,
    family="true-class",
    summary="The exponential of every margin violation, as in boosting.",
    formula="sum_{j != y} exp(z_j - z_y)",
    use="For nearly clean labels. A single mislabelled sample can dominate a batch.",
    citation=Citation(
        authors="Mukherjee and Schapire",
        year=2013,
        title="A Theory of Multiclass Boosting",
        reference="arXiv:1108.2989",
        equation="section 4",
    ),
    properties=Properties(convex=True, proper="strictly", smooth=False),
    aliases=(Alias(name="pearson_chi2", relation="the same", condition="hard labels, softmax"),),
)
