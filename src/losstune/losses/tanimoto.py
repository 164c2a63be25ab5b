"""One minus the Tanimoto similarity of prediction and target.

Link: softmax, a convention: the risk's minimiser exaggerates the most likely classes.
"""

from __future__ import annotations

from torch import Tensor

from losstune.losses._numerics import at_least_float32, at_target, require_classes
from losstune.losses.cross_entropy import softmax_link
from losstune.losses.spec import Citation, LossSpec, Properties


def tanimoto(logits_NC: Tensor, target_N: Tensor) -> Tensor:
    """Return 1 - p_y / (|p|^2 + 1 - p_y) with p = softmax(z), shape (N,). The leading 1 makes the minimum 0.

    Source: Janocha & Czarnecki 2017, table 1.

    Raises:
        ValueError: If the target is not a class per sample.
    """
    require_classes(target_N)
    p_NC = at_least_float32(logits_NC).softmax(1)
    p_N, square_N = at_target(p_NC, target_N), p_NC.square().sum(1)
    return 1 - p_N / (square_N + 1 - p_N)


def link(logits_NC: Tensor) -> Tensor:
    """Return softmax(z), shape (N, C)."""
    return softmax_link(logits_NC)


SPEC = LossSpec(
    name="tanimoto",
    function=tanimoto,
    link=link,
    family="true-class",
    summary="One minus the Tanimoto similarity of prediction and target.",
    formula="1 - p_y / (|p|^2 + 1 - p_y)",
    use="A bounded overlap loss; a baseline of Janocha & Czarnecki.",
    citation=Citation(
        authors="Janocha and Czarnecki",
        year=2017,
        title="On Loss Functions for Deep Neural Networks in Classification",
        reference="arXiv:1702.05659",
        equation="table 1",
    ),
    properties=Properties(convex=False, proper="no", bound=1.0),
)
