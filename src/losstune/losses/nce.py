"""Normalised cross-entropy: cross-entropy as a share of its sum over all labels.

The values of all labels sum to 1, so symmetric label noise only scales the risk.

Link: softmax, a convention. The risk is minimal at a corner of the simplex, so no posterior can be recovered.
"""

from __future__ import annotations

from torch import Tensor

from losstune.losses._numerics import at_least_float32, at_target, require_classes
from losstune.losses.cross_entropy import softmax_link
from losstune.losses.spec import Citation, LossSpec, Properties


def nce(logits_NC: Tensor, target_N: Tensor) -> Tensor:
    """Return log p_y / sum_k log p_k with p = softmax(z), shape (N,). Bounded by 1.

    Source: Ma et al. 2020, section 3.

    Raises:
        ValueError: If the target is not a class per sample.
    """
    require_classes(target_N)
    log_p_NC = at_least_float32(logits_NC).log_softmax(1)
    return at_target(log_p_NC, target_N) / log_p_NC.sum(1)


SPEC = LossSpec(
    name="nce",
    function=nce,
    link=softmax_link,
    family="true-class",
    summary="Cross-entropy divided by its sum over all labels: bounded, and robust to symmetric label noise.",
    formula="log p_y / sum_k log p_k",
    use="A part of apl. On its own it learns slowly, especially with many classes.",
    citation=Citation(
        authors="Ma et al.",
        year=2020,
        title="Normalized Loss Functions for Deep Learning with Noisy Labels",
        reference="arXiv:2006.13554",
        equation="section 3",
    ),
    properties=Properties(convex=False, proper="no", bound=1.0, symmetric=True, masked="flat"),
)
