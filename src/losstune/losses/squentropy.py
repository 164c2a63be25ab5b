"""Cross-entropy plus the mean square of the wrong classes' logits.

Link: (p_k + a_k) / (1 + a_k) with a = 2 z / (C-1), a recovery: there the gradient of the risk vanishes. Outputs
that correspond to no posterior are clipped.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losstune.losses._numerics import at_least_float32, class_cross_entropy, normalized, without_true_class
from losstune.losses.spec import Citation, LossSpec, Properties


def squentropy(logits_NC: Tensor, target_N: Tensor) -> Tensor:
    """Return -log p_y + sum_{j != y} z_j^2 / (C-1) with p = softmax(z), shape (N,).

    Source: Hui et al. 2023, the definition of squentropy.

    Raises:
        ValueError: If the target is not a class per sample.
    """
    cross_entropy_N = class_cross_entropy(logits_NC, target_N)
    others_NC = without_true_class(at_least_float32(logits_NC), target_N)
    return cross_entropy_N + others_NC.square().sum(1) / (logits_NC.shape[1] - 1)


def link(logits_NC: Tensor) -> Tensor:
    """Return (p_k + a_k) / (1 + a_k) with a = 2 z / (C-1), clipped at 0 and normalised; shape (N, C)."""
    z_NC = at_least_float32(logits_NC)
    a_NC = 2 * z_NC / (z_NC.shape[1] - 1)
    # A positive numerator has a divisor above 1 - p, so the bound only keeps negative values from overflowing.
    return normalized((z_NC.softmax(1) + a_NC) / (1 + a_NC).clamp_min(torch.finfo(z_NC.dtype).tiny))


SPEC = LossSpec(
    name="squentropy",
    function=squentropy,
    link=link,
    family="regression",
    summary="Cross-entropy plus a squared penalty that keeps the wrong classes' logits near 0.",
    formula="-log p_y + sum_{j != y} z_j^2 / (C-1)",
    use="Like cross-entropy, sometimes with better calibration. It has nothing to tune.",
    citation=Citation(
        authors="Hui et al.",
        year=2023,
        title="Cut your Losses with Squentropy",
        reference="arXiv:2302.03952",
        equation="definition of squentropy",
    ),
    properties=Properties(convex=True, proper="recoverable", shift_invariant=False, masked="infinite"),
)
