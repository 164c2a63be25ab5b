"""The square of the log-loss: large mistakes count more than in cross-entropy, small ones less.

Link: eta_k proportional to p_k / |log p_k|, a recovery: 1/|phi'(p_k)| with phi(p) = (log p)^2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losstune.losses._numerics import at_least_float32, class_cross_entropy
from losstune.losses.spec import Citation, LossSpec, Properties


def squared_log(logits_NC: Tensor, target_N: Tensor) -> Tensor:
    """Return (log p_y)^2 with p = softmax(z), shape (N,).

    Source: Janocha & Czarnecki 2017, table 1 (with the sign corrected).

    Raises:
        ValueError: If the target is not a class per sample.
    """
    return class_cross_entropy(logits_NC, target_N).square()


def link(logits_NC: Tensor) -> Tensor:
    """Return p_k / |log p_k|, normalised, shape (N, C)."""
    log_p_NC = at_least_float32(logits_NC).log_softmax(1)
    return (log_p_NC - (-log_p_NC).clamp_min(torch.finfo(log_p_NC.dtype).tiny).log()).softmax(1)


SPEC = LossSpec(
    name="squared_log",
    function=squared_log,
    link=link,
    family="true-class",
    summary="The square of the log-loss.",
    formula="(log p_y)^2",
    use="For nearly clean labels: misclassified samples have larger gradients than with cross-entropy.",
    citation=Citation(
        authors="Janocha and Czarnecki",
        year=2017,
        title="On Loss Functions for Deep Neural Networks in Classification",
        reference="arXiv:1702.05659",
        equation="table 1",
    ),
    properties=Properties(convex=True, proper="recoverable"),
)
