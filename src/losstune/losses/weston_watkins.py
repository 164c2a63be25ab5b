"""The multi-class hinge, summed over all wrong classes within a margin of the true one.

Link: softmax, a convention: the outputs are raw scores, to be calibrated afterwards.
"""

from __future__ import annotations

from torch import Tensor

from losstune.losses._numerics import at_least_float32, require_classes, without_true_class
from losstune.losses.cross_entropy import softmax_link
from losstune.losses.ranges import Choice, Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, LossSpec, Properties


def weston_watkins(logits_NC: Tensor, target_N: Tensor, margin: float, power: int) -> Tensor:
    """Return the sum over j != y of max(0, margin + z_j - z_y)^power, shape (N,).

    ``F.multi_margin_loss`` is this divided by C.

    Source: Weston & Watkins 1999, eq. (3).

    Raises:
        ValueError: If the target is not a class per sample.
    """
    require_classes(target_N)
    logits_NC = at_least_float32(logits_NC)
    true_N1 = logits_NC.gather(1, target_N.unsqueeze(1))
    violation_NC = (margin + logits_NC - true_N1).relu()
    if power == 2:
        violation_NC = violation_NC.square()
    return without_true_class(violation_NC, target_N).sum(1)


def link(logits_NC: Tensor, margin: float, power: int) -> Tensor:
    """Return softmax(z), shape (N, C)."""
    return softmax_link(logits_NC)


SPEC = LossSpec(
    name="weston_watkins",
    function=weston_watkins,
    link=link,
    family="margin",
    summary="Hinge loss summed over the wrong classes.",
    formula="sum_{j != y} max(0, margin + z_j - z_y)^power",
    use="For accuracy alone, with little noise. Its gradient grows with the number of classes.",
    citation=Citation(
        authors="Weston and Watkins",
        year=1999,
        title="Support Vector Machines for Multi-Class Pattern Recognition",
        reference="ISBN 2-9600049-9-X",
        equation="eq. (3)",
    ),
    properties=Properties(convex=True, proper="no", smooth=False),
    hyperparameters=(
        Hyperparameter(
            name="margin",
            default=1.0,
            range=FloatRange(0.1, 10.0, scale="log"),
            source="Weston 1999 (2, in other units); range: proposal",
            domain=Domain(0.0, excludes_low=True),
        ),
        Hyperparameter(
            name="power", default=1, range=Choice((1, 2)), source="proposal", domain=Domain(1, 2, whole=True)
        ),
    ),
)
