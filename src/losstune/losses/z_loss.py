"""Cross-entropy with a penalty on the log-partition function, which keeps the logits near the log-probabilities.

Link: softmax, exact (strictly proper): a shift of the logits to a log-partition of 0 removes the penalty and does not
change cross-entropy.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losstune.losses._numerics import at_least_float32, at_target
from losstune.losses.cross_entropy import cross_entropy, softmax_link
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, Limit, LossSpec, Properties


def z_loss(logits_NC: Tensor, target: Tensor, lam: float) -> Tensor:
    """Return -sum_k t_k log p_k + lam (log sum_k e^z_k)^2 with p = softmax(z), shape (N,), in nats.

    It is cross-entropy at lam = 0.

    Source: Chowdhery et al. 2022, section 5.
    """
    nats_N, z_NC = cross_entropy(logits_NC, target), at_least_float32(logits_NC)
    # -log p_y = log_partition - z_y
    log_partition_N = nats_N + at_target(z_NC, target) if target.ndim == 1 else torch.logsumexp(z_NC, 1)
    return nats_N + lam * log_partition_N.square()


def link(logits_NC: Tensor, lam: float) -> Tensor:
    """Return softmax(z), shape (N, C)."""
    return softmax_link(logits_NC)


SPEC = LossSpec(
    name="z_loss",
    function=z_loss,
    link=link,
    family="log-loss",
    summary="Cross-entropy plus a small penalty on the squared log-partition, which keeps the logits from drifting.",
    formula="-log p_y + lam (log sum_k e^z_k)^2",
    use="For training in half precision, where logits drift. Expect no other effect.",
    citation=Citation(
        authors="Chowdhery et al.",
        year=2022,
        title="PaLM: Scaling Language Modeling with Pathways",
        reference="arXiv:2204.02311",
        equation="section 5",
    ),
    properties=Properties(convex=False, proper="strictly", shift_invariant=False),
    hyperparameters=(
        Hyperparameter(
            name="lam",
            default=1e-4,
            range=FloatRange(1e-6, 1e-2, "log"),
            source="default: Chowdhery 2022, section 5; range: proposal",
            domain=Domain(0.0),
        ),
    ),
    soft_targets=True,
    linear_in_target=True,
    limits=(Limit(hyperparameters={"lam": 0.0}),),
)
