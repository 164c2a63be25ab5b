"""The absolute error of raw outputs against one-hot targets.

Link: max(0, z) normalised, a convention: each output learns the median, 0 or 1, and not the posterior.
"""

from __future__ import annotations

from torch import Tensor

from losstune.losses._numerics import at_least_float32, normalized, require_classes, target_distribution
from losstune.losses.spec import Citation, LossSpec, Properties


def absolute(logits_NC: Tensor, target_N: Tensor) -> Tensor:
    """Return sum_k |z_k - t_k| with t = onehot_y, shape (N,).

    Source: Janocha & Czarnecki 2017, table 1 (L1).

    Raises:
        ValueError: If the target is not a class per sample.
    """
    require_classes(target_N)
    logits_NC = at_least_float32(logits_NC)
    return (logits_NC - target_distribution(target_N, logits_NC)).abs().sum(1)


def link(logits_NC: Tensor) -> Tensor:
    """Return max(0, z), normalised; shape (N, C)."""
    return normalized(at_least_float32(logits_NC))


SPEC = LossSpec(
    name="absolute",
    function=absolute,
    link=link,
    family="regression",
    summary="The absolute error of raw outputs against one-hot targets.",
    formula="sum_k |z_k - t_k|",
    use="A baseline of Janocha & Czarnecki. It learns slowly and learns the median; it rarely wins.",
    citation=Citation(
        authors="Janocha and Czarnecki",
        year=2017,
        title="On Loss Functions for Deep Neural Networks in Classification",
        reference="arXiv:1702.05659",
        equation="table 1",
    ),
    properties=Properties(convex=True, proper="no", shift_invariant=False, smooth=False, masked="infinite"),
)
