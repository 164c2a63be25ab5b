"""Cross-entropy weighted by the inverse effective number of samples of each class.

The effective number of n samples is (1 - beta^n) / (1 - beta): each additional sample of a class adds less.
The weights sum to the number of classes. To use them with another loss, see :func:`class_balanced_weights`.

Link: softmax(z - log w), exact (strictly proper): class weights w multiply the learnt posterior by w.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from losstune.losses._numerics import at_least_float32, class_cross_entropy
from losstune.losses.inputs import as_class_counts
from losstune.losses.ranges import Choice, Domain
from losstune.losses.spec import Citation, Hyperparameter, Limit, LossSpec, Properties


def class_balanced_weights(counts_C: Sequence[float] | Tensor, beta: float) -> Tensor:
    """Return a weight per class, proportional to (1 - beta) / (1 - beta^n), with sum C; shape (C,).

    Use it around any loss: ``get("focal").as_module(weight=class_balanced_weights(counts_C, 0.999))``.

    Args:
        counts_C: Training samples of each class; 0 is replaced by 1.
        beta: In [0, 1); 0 gives equal weights, and the limit 1 gives the inverse counts.

    Source: Cui et al. 2019, eq. (2) and section 3.3.

    Raises:
        ValueError: If the counts are not one finite number of at least 0 per class, or are shares.
    """
    return _weights(as_class_counts(counts_C, shares=False), beta)


def _weights(counts_C: Tensor, beta: float) -> Tensor:
    if beta == 0:
        return torch.ones_like(counts_C)
    # Compute 1 - beta^n by expm1: at beta = 0.9999 and few samples, the difference would lose digits.
    weight_C = -1 / torch.expm1(counts_C * math.log(beta))
    return weight_C * (counts_C.shape[0] / weight_C.sum())


def class_balanced(logits_NC: Tensor, target_N: Tensor, beta: float, counts_C: Tensor) -> Tensor:
    """Return w_y CE, shape (N,), with w from :func:`class_balanced_weights`.

    Source: Cui et al. 2019, eq. (10).

    Raises:
        ValueError: If the target is not a class per sample.
    """
    cross_entropy_N = class_cross_entropy(logits_NC, target_N)
    weight_C = _weights(counts_C.to(cross_entropy_N.dtype), beta)
    return weight_C.gather(0, target_N) * cross_entropy_N


def link(logits_NC: Tensor, beta: float, counts_C: Tensor) -> Tensor:
    """Return softmax(z - log w), shape (N, C)."""
    logits_NC = at_least_float32(logits_NC)
    return (logits_NC - _weights(counts_C.to(logits_NC.dtype), beta).log()).softmax(1)


SPEC = LossSpec(
    name="class_balanced",
    function=class_balanced,
    link=link,
    family="class prior",
    summary="Cross-entropy weighted by the inverse effective number of each class's samples.",
    formula="w_y CE, w_k proportional to (1 - beta) / (1 - beta^n_k), sum_k w_k = C",
    use="For imbalanced classes that are equally important. Without imbalance it is cross-entropy.",
    citation=Citation(
        authors="Cui et al.",
        year=2019,
        title="Class-Balanced Loss Based on Effective Number of Samples",
        reference="arXiv:1901.05555",
        equation="eq. (10)",
    ),
    properties=Properties(convex=True, proper="strictly"),
    hyperparameters=(
        Hyperparameter(
            name="beta",
            default=0.999,
            range=Choice((0.9, 0.99, 0.999, 0.9999)),
            source="Cui 2019, section 5.2",
            domain=Domain(0.0, 1.0, excludes_high=True),
        ),
    ),
    needs_counts=True,
    absolute_counts=True,
    balanced_outputs=True,
    limits=(Limit(hyperparameters={"beta": 0.0}),),
)
