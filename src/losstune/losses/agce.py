"""Asymmetric generalised cross-entropy: bounded, and robust if the correct label is the most frequent one.

It tends to ``gce`` as a goes to 0.

Link: softmax, a convention: the slope at p_y = 0 is finite, so the risk's minimiser ignores rare classes.
"""

from __future__ import annotations

from torch import Tensor

from losstune.losses._numerics import class_cross_entropy
from losstune.losses.cross_entropy import softmax_link
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, LossSpec, Properties


def agce(logits_NC: Tensor, target_N: Tensor, a: float, q: float) -> Tensor:
    """Return ((a + 1)^q - (a + p_y)^q) / q with p = softmax(z), shape (N,).

    Source: Zhou et al. 2021, section 4.

    Raises:
        ValueError: If the target is not a class per sample.
    """
    p_N = (-class_cross_entropy(logits_NC, target_N)).exp()
    losses_N: Tensor = ((a + 1) ** q - (a + p_N).pow(q)) / q
    return losses_N


def link(logits_NC: Tensor, a: float, q: float) -> Tensor:
    """Return softmax(z), shape (N, C)."""
    return softmax_link(logits_NC)


SPEC = LossSpec(
    name="agce",
    function=agce,
    link=link,
    family="true-class",
    summary="Generalised cross-entropy shifted by a: bounded, with a finite slope.",
    formula="((a + 1)^q - (a + p_y)^q) / q",
    use="For very noisy labels, symmetric or not. Misclassified samples have small gradients, so training is slow.",
    citation=Citation(
        authors="Zhou et al.",
        year=2021,
        title="Asymmetric Loss Functions for Learning with Noisy Labels",
        reference="arXiv:2106.03110",
        equation="section 4",
    ),
    properties=Properties(convex=False, proper="no", bound=(1.6**0.6 - 0.6**0.6) / 0.6),
    hyperparameters=(
        Hyperparameter(
            name="a",
            default=0.6,
            range=FloatRange(0.1, 10.0, scale="log"),
            source="Zhou 2021, section 5; range: proposal",
            domain=Domain(0.0, excludes_low=True),
        ),
        Hyperparameter(
            name="q",
            default=0.6,
            range=FloatRange(0.1, 3.0),
            source="Zhou 2021, section 5; range: proposal",
            domain=Domain(0.0, excludes_low=True),
        ),
    ),
)
