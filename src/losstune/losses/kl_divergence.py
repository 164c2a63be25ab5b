"""The Kullback-Leibler divergence of the prediction from the target.

With one class per sample it is bit-identical to cross-entropy and so a control: any measured difference between the
two is noise. With soft targets it is cross-entropy minus the target's entropy, a constant.

Link: softmax, exact (strictly proper).
"""

from __future__ import annotations

import torch
from torch import Tensor

from losstune.losses.cross_entropy import cross_entropy, softmax_link
from losstune.losses.spec import Citation, LossSpec, Properties


def kl_divergence(logits_NC: Tensor, target: Tensor) -> Tensor:
    """Return sum_k t_k log(t_k / p_k) with p = softmax(z), shape (N,), in nats.

    Source: Kullback & Leibler 1951, section 2.
    """
    cross_entropy_N = cross_entropy(logits_NC, target)
    if target.ndim == 1:
        return cross_entropy_N
    entropy_N: Tensor = torch.special.entr(target.to(cross_entropy_N.dtype)).sum(1)
    return cross_entropy_N - entropy_N


SPEC = LossSpec(
    name="kl_divergence",
    function=kl_divergence,
    link=softmax_link,
    family="log-loss",
    summary="Cross-entropy minus the target's entropy; identical to cross-entropy on hard labels: the A/A control.",
    formula="sum_k t_k log(t_k / p_k)",
    use="As a control: on hard labels it is cross-entropy, so any difference between the two is noise.",
    citation=Citation(
        authors="Kullback & Leibler",
        year=1951,
        title="On Information and Sufficiency",
        reference="doi:10.1214/aoms/1177729694",
        equation="section 2",
    ),
    properties=Properties(convex=True, proper="strictly"),
    soft_targets=True,
    equals="cross_entropy",
)
