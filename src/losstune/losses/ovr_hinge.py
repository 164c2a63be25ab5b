"""The one-vs-rest hinge loss of every class, plain, squared or cubed.

Link: (1 + z)/2 at power 2 and u^2 / (u^2 + (1-u)^2) with u = (1 + z)/2 at power 3, exact. At power 1 the outputs only
show whether a posterior is above 1/2, and (1 + z)/2 is a convention.
"""

from __future__ import annotations

from torch import Tensor

from losstune.losses._numerics import at_least_float32, normalized, require_classes, target_distribution
from losstune.losses.ranges import Choice, Domain
from losstune.losses.spec import Alias, Citation, Hyperparameter, LossSpec, Properties


def ovr_hinge(logits_NC: Tensor, target_N: Tensor, power: int) -> Tensor:
    """Return sum_k max(0, 1 - s_k z_k)^power with s_k = 1 for the true class and -1 for the others; shape (N,).

    Source: Janocha & Czarnecki 2017, table 1.

    Raises:
        ValueError: If the target is not a class per sample.
    """
    require_classes(target_N)
    logits_NC = at_least_float32(logits_NC)
    sign_NC = 2 * target_distribution(target_N, logits_NC) - 1
    violation_NC = (1 - sign_NC * logits_NC).relu()
    if power == 2:
        violation_NC = violation_NC.square()
    elif power == 3:
        violation_NC = violation_NC.square() * violation_NC
    return violation_NC.sum(1)


def link(logits_NC: Tensor, power: int) -> Tensor:
    """Return the one-vs-rest posteriors, normalised, shape (N, C)."""
    share_NC = ((1 + at_least_float32(logits_NC)) / 2).clamp(0, 1)
    if power == 3:
        share_NC = share_NC.square() / (share_NC.square() + (1 - share_NC).square())
    return normalized(share_NC)


SPEC = LossSpec(
    name="ovr_hinge",
    function=ovr_hinge,
    link=link,
    family="margin",
    summary="One-vs-rest hinge loss of every class.",
    formula="sum_k max(0, 1 - s_k z_k)^power, s_y = 1, others -1",
    use="For accuracy alone; with power 2 or 3 it also gives probabilities.",
    citation=Citation(
        authors="Janocha and Czarnecki",
        year=2017,
        title="On Loss Functions for Deep Neural Networks in Classification",
        reference="arXiv:1702.05659",
        equation="table 1",
    ),
    properties=Properties(convex=True, proper="strictly", shift_invariant=False, smooth=False),
    hyperparameters=(
        Hyperparameter(
            name="power",
            default=2,
            range=Choice((1, 2, 3)),
            source="Janocha 2017, table 1 (all three)",
            domain=Domain(1, 3, whole=True),
        ),
    ),
    aliases=(
        Alias(name="ovr_squared_hinge", relation="the same", hyperparameters={"power": 2}),
        Alias(name="ovr_cubed_hinge", relation="the same", hyperparameters={"power": 3}),
        Alias(name="keras_hinge", relation="ovr_hinge / C", condition="targets -1 and 1", hyperparameters={"power": 1}),
        Alias(
            name="keras_squared_hinge",
            relation="ovr_hinge / C",
            condition="targets -1 and 1",
            hyperparameters={"power": 2},
        ),
    ),
)
