"""Keras's ``KLDivergence`` on softmax outputs: target and prediction clipped to [1e-7, 1], in probabilities.

A sample with p_y below 1e-7 has no gradient for its true class, because the loss is at most 16.1 nats. Elsewhere it
is cross-entropy to within 1e-7 times the other classes' log-probabilities.

Link: softmax, exact (strictly proper, to about 1e-6) for posteriors without a class near 1e-7 or below.
"""

from __future__ import annotations

import math

from torch import Tensor

from losstune.losses._numerics import at_least_float32, at_target, require_classes, without_true_class
from losstune.losses.cross_entropy import softmax_link
from losstune.losses.spec import Citation, LossSpec, Properties

EPSILON = 1e-7
"""Keras's default."""


def keras_kl_divergence(logits_NC: Tensor, target_N: Tensor) -> Tensor:
    """Return sum_k t_k log(t_k / p_k) with t = onehot_y and p = softmax(z), both clipped to [1e-7, 1]; shape (N,).

    Source: Keras 3, ``keras.losses.KLDivergence``.

    Raises:
        ValueError: If the target is not a class per sample.
    """
    require_classes(target_N)
    log_p_NC = at_least_float32(logits_NC).log_softmax(1)
    log_epsilon = math.log(EPSILON)
    clipped_NC = log_p_NC.clamp_min(log_epsilon)
    true_N = at_target(clipped_NC, target_N)
    others_N = without_true_class(clipped_NC - log_epsilon, target_N).sum(1)
    return -true_N - EPSILON * others_N


def link(logits_NC: Tensor) -> Tensor:
    """Return softmax(z), shape (N, C)."""
    return softmax_link(logits_NC)


SPEC = LossSpec(
    name="keras_kl_divergence",
    function=keras_kl_divergence,
    link=link,
    family="log-loss",
    summary="KL divergence as Keras computes it: clipped at a probability of 1e-7.",
    formula="sum_k t_k log(t_k / p_k), t and p clipped to [1e-7, 1]",
    use="To test whether a KL divergence won elsewhere by its clipping, which removes the gradient of outliers.",
    citation=Citation(
        authors="Drager and Dunkelau",
        year=2022,
        title="Evaluating the Impact of Loss Function Variation in Deep Learning for Classification",
        reference="arXiv:2210.16003",
        equation="the KL divergence it tries; formula: keras.losses.KLDivergence, Keras 3",
    ),
    properties=Properties(convex=False, proper="strictly", bound=-math.log(1e-7), smooth=False),
)
