"""The squared error of the raw outputs; the true class has the weight k and the target M.

Link: z / (k M - (k-1) z), a recovery: the minimiser of the risk is z = k M eta / (1 + (k-1) eta). Outputs outside
[0, M], which correspond to no posterior, are clipped. With k = M = 1 it is the identity, exact (strictly proper).
"""

from __future__ import annotations

from torch import Tensor

from losstune.losses._numerics import at_least_float32, at_target, normalized, require_classes, without_true_class
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Alias, Citation, Hyperparameter, LossSpec, Properties


def square(logits_NC: Tensor, target_N: Tensor, k: float, M: float) -> Tensor:
    """Return [k (z_y - M)^2 + sum_{j != y} z_j^2] / C, shape (N,).

    Source: Hui & Belkin 2021, the rescaled square loss; meant for many classes (C >= 42); k = M = 1 for fewer.

    Raises:
        ValueError: If the target is not a class per sample.
    """
    require_classes(target_N)
    z_NC = at_least_float32(logits_NC)
    z_N = at_target(z_NC, target_N)
    others_N = without_true_class(z_NC, target_N).square().sum(1)
    return (k * (z_N - M).square() + others_N) / z_NC.shape[1]


def link(logits_NC: Tensor, k: float, M: float) -> Tensor:
    """Return z / (k M - (k-1) z), z clipped to [0, M], normalised; shape (N, C)."""
    z_NC = at_least_float32(logits_NC).clamp(0, M)
    return normalized(z_NC / (k * M - (k - 1) * z_NC))


SPEC = LossSpec(
    name="square",
    function=square,
    link=link,
    family="regression",
    summary="Squared error of the raw outputs without softmax: regression on the (scaled) one-hot target.",
    formula="[k (z_y - M)^2 + sum_{j != y} z_j^2] / C",
    use="An alternative to cross-entropy for few classes. Above 40 classes, k and M must be larger than 1.",
    citation=Citation(
        authors="Hui & Belkin",
        year=2021,
        title="Evaluation of Neural Architectures Trained with Square Loss vs Cross-Entropy in Classification Tasks",
        reference="arXiv:2006.07322",
        equation="rescaled square loss",
    ),
    properties=Properties(convex=True, proper="recoverable", shift_invariant=False, masked="infinite"),
    hyperparameters=(
        Hyperparameter(
            name="k",
            default=1.0,
            range=FloatRange(1.0, 50.0, "log"),
            source="default: Hui & Belkin 2021, C < 42; range: proposal",
            domain=Domain(0.0, excludes_low=True),
        ),
        Hyperparameter(
            name="M",
            default=1.0,
            range=FloatRange(1.0, 100.0, "log"),
            source="default: Hui & Belkin 2021, C < 42; range: proposal",
            domain=Domain(0.0, excludes_low=True),
        ),
    ),
    aliases=(Alias(name="l2", relation="C square", hyperparameters={"k": 1.0, "M": 1.0}),),
)
