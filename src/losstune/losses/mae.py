"""The mean absolute error of probabilities: linear in p_y, tolerant of symmetric label noise, slow to train.

Link: softmax, a convention: the risk's minimiser is certain of the most likely class.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losstune.losses._numerics import class_cross_entropy
from losstune.losses.cross_entropy import softmax_link
from losstune.losses.spec import Alias, Citation, LossSpec, Properties


def mae(logits_NC: Tensor, target_N: Tensor) -> Tensor:
    """Return 1 - p_y with p = softmax(z), which is |p - onehot_y|_1 / 2; shape (N,).

    Source: Ghosh et al. 2017, section 3.

    Raises:
        ValueError: If the target is not a class per sample.
    """
    return -torch.expm1(-class_cross_entropy(logits_NC, target_N))


def link(logits_NC: Tensor) -> Tensor:
    """Return softmax(z), shape (N, C)."""
    return softmax_link(logits_NC)


SPEC = LossSpec(
    name="mae",
    function=mae,
    link=link,
    family="true-class",
    summary="One minus the probability of the true class: bounded and symmetric.",
    formula="1 - p_y",
    use="For very noisy labels. With clean labels or many classes it hardly learns.",
    citation=Citation(
        authors="Ghosh et al.",
        year=2017,
        title="Robust Loss Functions under Label Noise for Deep Neural Networks",
        reference="arXiv:1712.09482",
        equation="section 3",
    ),
    properties=Properties(convex=False, proper="no", bound=1.0, symmetric=True),
    aliases=(
        Alias(name="total_variation", relation="the same"),
        Alias(name="l1_softmax", relation="2 mae"),
        Alias(name="linf_softmax", relation="the same"),
    ),
)
