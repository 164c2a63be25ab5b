"""Cross-entropy on logits of fixed norm.

Only the direction of the logits matters. At z = 0 the gradient is about 1e7 / tau, so the head must not be initialised
with zeros.

Link: softmax of the normalised logits, exact (strictly proper) for posteriors whose centred log-odds have a norm of
at most 1/tau; the outputs cannot express more certain ones.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from losstune.losses._numerics import at_least_float32
from losstune.losses.cross_entropy import cross_entropy
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, LossSpec, Properties

PUBLISHED_TAU = 0.04

LOWEST = -1e15
"""Lower bound of the logits: a logit of minus infinity dominates the norm, so that the others become 0."""


def logit_norm(logits_NC: Tensor, target: Tensor, tau: float) -> Tensor:
    """Return cross-entropy at z / (tau (|z|_2 + 1e-7)), shape (N,), in nats.

    Its minimum is log(1 + (C-1) exp(-sqrt(C/(C-1)) / tau)).

    Source: Wei et al. 2022, section 3.
    """
    return cross_entropy(_normalize(logits_NC, tau), target)


def link(logits_NC: Tensor, tau: float) -> Tensor:
    """Return the softmax of z / (tau (|z|_2 + 1e-7)), shape (N, C)."""
    return _normalize(logits_NC, tau).softmax(1)


def _normalize(logits_NC: Tensor, tau: float) -> Tensor:
    z_NC = at_least_float32(logits_NC).clamp_min(LOWEST)
    norm_N1: Tensor = torch.linalg.vector_norm(z_NC, dim=1, keepdim=True)
    return z_NC / (tau * (norm_N1 + 1e-7))


def _minimum(num_classes: int, tau: float) -> float:
    """Return the loss for logits in the direction of the true class: log(1 + (C-1) exp(-sqrt(C/(C-1)) / tau))."""
    return math.log1p((num_classes - 1) * math.exp(-math.sqrt(num_classes / (num_classes - 1)) / tau))


def _bound(num_classes: int) -> float:
    """Return log(1 + exp(sqrt(2) / tau) + (C-2) exp(1 / (sqrt(2) tau))) at the published temperature.

    Two logits of a vector of length 1/tau differ by at most sqrt(2) / tau, and then the others are 0. At such a low
    temperature this is the supremum, to within a millionth.
    """
    apart = math.sqrt(2) / PUBLISHED_TAU
    return apart + math.log1p(math.exp(-apart) + (num_classes - 2) * math.exp(-apart / 2))


SPEC = LossSpec(
    name="logit_norm",
    function=logit_norm,
    link=link,
    family="log-loss",
    summary="Cross-entropy on logits scaled to the norm 1/tau, so that confidence cannot grow with their norm.",
    formula="-log softmax(z / (tau |z|_2))_y",
    use="Against overconfidence, and to detect out-of-distribution samples. It is sensitive to its temperature.",
    citation=Citation(
        authors="Wei et al.",
        year=2022,
        title="Mitigating Neural Network Overconfidence with Logit Normalization",
        reference="arXiv:2205.09310",
        equation="section 3",
    ),
    properties=Properties(
        convex=False, proper="strictly", bound=_bound, shift_invariant=False, minimum=_minimum, masked="flat"
    ),
    hyperparameters=(
        Hyperparameter(
            name="tau",
            default=PUBLISHED_TAU,
            range=FloatRange(0.01, 1.0, "log"),
            source="default: Wei 2022, the value for CIFAR-10; range: proposal",
            domain=Domain(0.0, excludes_low=True),
        ),
    ),
    soft_targets=True,
    linear_in_target=True,
)
