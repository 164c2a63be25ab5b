"""The Brier score: the squared distance between prediction and target, on the simplex.

It is the Tsallis score at beta = 1. The catalogue has it under its common name, too.

Link: softmax, exact (strictly proper).
"""

from __future__ import annotations

from torch import Tensor

from losstune.losses._numerics import at_least_float32, target_distribution
from losstune.losses.cross_entropy import softmax_link
from losstune.losses.spec import Alias, Citation, LossSpec, Properties
from losstune.losses.tsallis_score import of_true_class


def brier(logits_NC: Tensor, target: Tensor) -> Tensor:
    """Return sum_k (p_k - t_k)^2 with p = softmax(z), shape (N,). Bounded by 2.

    The sum over all classes, as Brier defined it: with two classes, twice the usual binary score.

    Source: Brier 1950, eq. (2), for one forecast.
    """
    z_NC = at_least_float32(logits_NC)
    if target.ndim == 1:
        return of_true_class(z_NC, target, beta=1.0)
    p_NC = z_NC.softmax(1)
    return (p_NC - target_distribution(target, p_NC)).square().sum(1)


SPEC = LossSpec(
    name="brier",
    function=brier,
    link=softmax_link,
    family="proper score",
    summary="Squared error of the predicted probabilities: a bounded proper score.",
    formula="sum_k (p_k - t_k)^2",
    use="For calibrated probabilities and some noisy labels. With many classes, its gradients are small at the start.",
    citation=Citation(
        authors="Brier",
        year=1950,
        title="Verification of Forecasts Expressed in Terms of Probability",
        reference="doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2",
        equation="eq. (2)",
    ),
    properties=Properties(convex=False, proper="strictly", bound=2.0),
    soft_targets=True,
    aliases=(
        Alias(name="l2_softmax", relation="the same"),
        Alias(name="keras_huber", relation="brier / 2", condition="hard labels, summed, delta of at least 1"),
    ),
)
