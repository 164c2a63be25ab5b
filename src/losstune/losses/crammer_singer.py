"""The multi-class hinge: the largest wrong logit must be a margin below the true one.

Link: softmax, a convention: the outputs are raw scores, to be calibrated afterwards. If no class has a posterior
above 1/2, the risk's minimiser contains no information.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losstune.losses._numerics import at_least_float32, at_target, require_classes
from losstune.losses.cross_entropy import softmax_link
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, LossSpec, Properties


def crammer_singer(logits_NC: Tensor, target_N: Tensor, margin: float) -> Tensor:
    """Return max(0, margin + max over j != y of z_j - z_y), shape (N,).

    Source: Crammer & Singer 2001, section 3.

    Raises:
        ValueError: If the target is not a class per sample.
    """
    require_classes(target_N)
    logits_NC = at_least_float32(logits_NC)
    strongest_N = logits_NC.scatter(1, target_N.unsqueeze(1), -torch.inf).amax(1)
    return (margin + strongest_N - at_target(logits_NC, target_N)).relu()


def link(logits_NC: Tensor, margin: float) -> Tensor:
    """Return softmax(z), shape (N, C)."""
    return softmax_link(logits_NC)


SPEC = LossSpec(
    name="crammer_singer",
    function=crammer_singer,
    link=link,
    family="margin",
    summary="Hinge loss on the wrong class with the largest logit.",
    formula="max(0, margin + max_{j != y} z_j - z_y)",
    use="For accuracy alone, with little noise. It learns nothing where no class has a posterior above 1/2.",
    citation=Citation(
        authors="Crammer and Singer",
        year=2001,
        title="On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines",
        reference="doi:10.5555/944790.944813",
        equation="section 3",
    ),
    properties=Properties(convex=True, proper="no", smooth=False),
    hyperparameters=(
        Hyperparameter(
            name="margin",
            default=1.0,
            range=FloatRange(0.1, 10.0, scale="log"),
            source="Crammer 2001 (1); range: proposal",
            domain=Domain(0.0, excludes_low=True),
        ),
    ),
)
