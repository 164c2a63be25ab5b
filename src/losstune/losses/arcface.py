"""Cross-entropy on scaled cosines, the angle to the true class enlarged by a margin.

The network's head is normalised. Where theta + m would exceed pi, cos(theta) - m sin(m) replaces the cosine, as in
the authors' code, so that it stays monotone. At m = 0 it is the normalised softmax, ``cosine_softmax``.

Link: softmax(s z), a convention: the margin makes the outputs more certain than the posterior.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from losstune.losses._numerics import at_least_float32, less_at_target, require_classes
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, Limit, LossSpec, Properties

SMALLEST_SIN = 1e-3
"""Below this value, the derivative of the sine by the cosine, which is infinite at 0, is set to 0."""


def arcface(logits_NC: Tensor, target_N: Tensor, s: float, m: float) -> Tensor:
    """Return CE(s z) with z_y = cos(theta_y) replaced by cos(theta_y + m), m in radians; shape (N,), in nats.

    Source: Deng et al. 2019, eq. (3).

    Raises:
        ValueError: If the target is not a class per sample.
    """
    require_classes(target_N)
    cos_NC = at_least_float32(logits_NC)
    cos_N = cos_NC.gather(1, target_N.unsqueeze(1)).squeeze(1)
    sin_N = (1 - cos_N.clamp(-1, 1).square()).clamp_min(SMALLEST_SIN**2).sqrt()
    turned_N = cos_N * math.cos(m) - sin_N * math.sin(m)
    beyond_N = cos_N - m * math.sin(m)
    moved_N = torch.where(cos_N > -math.cos(m), turned_N, beyond_N) if m > 0 else cos_N
    scaled_NC = less_at_target(s * cos_NC, target_N, s * (cos_N - moved_N))
    return F.cross_entropy(scaled_NC, target_N, reduction="none")


def link(logits_NC: Tensor, s: float, m: float) -> Tensor:
    """Return softmax(s z), shape (N, C)."""
    return (s * at_least_float32(logits_NC)).softmax(1)


SPEC = LossSpec(
    name="arcface",
    function=arcface,
    link=link,
    family="angular",
    summary="Cross-entropy on cosines with the angle to the true class enlarged by m.",
    formula="CE(s z) with z_y = cos(theta_y) replaced by cos(theta_y + m)",
    use="For features that must separate many classes, as in retrieval. Its outputs are not probabilities.",
    citation=Citation(
        authors="Deng et al.",
        year=2019,
        title="ArcFace: Additive Angular Margin Loss for Deep Face Recognition",
        reference="arXiv:1801.07698",
        equation="eq. (3)",
    ),
    properties=Properties(convex=False, proper="no", shift_invariant=False, smooth=False),
    hyperparameters=(
        Hyperparameter(
            name="s",
            default=20.0,
            range=FloatRange(5.0, 100.0, scale="log"),
            source="proposal; the paper uses 64 for thousands of classes",
            domain=Domain(0.0, excludes_low=True),
        ),
        Hyperparameter(
            name="m",
            default=0.5,
            range=FloatRange(0.0, 0.6),
            source="Deng 2019, section 3.1 (0.5); range: proposal",
            domain=Domain(0.0, 1.5),
        ),
    ),
    head="normalised",
    limits=(Limit(hyperparameters={"s": 1.0, "m": 0.0}),),
)
