"""Cross-entropy on cosines with a margin that is larger for rarer classes.

Link: softmax(s z), a convention: the bias from the margins depends on the posterior itself.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from losstune.losses._numerics import at_least_float32, less_at_target, require_classes
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Citation, Hyperparameter, Limit, LossSpec, Properties


def ldam(logits_NC: Tensor, target_N: Tensor, max_m: float, s: float, counts_C: Tensor) -> Tensor:
    """Return CE(s (z - D_y onehot_y)), D_k = max_m (min_j n_j / n_k)^(1/4), shape (N,), in nats.

    The logits z must be cosines: the network's head is normalised.

    Source: Cao et al. 2019, eq. (12) and (13).

    Raises:
        ValueError: If the target is not a class per sample.
    """
    require_classes(target_N)
    logits_NC = at_least_float32(logits_NC)
    counts_C = counts_C.to(logits_NC.dtype)
    margin_C = max_m * (counts_C.min() / counts_C).pow(0.25)
    scaled_NC = less_at_target(s * logits_NC, target_N, s * margin_C.gather(0, target_N))
    return F.cross_entropy(scaled_NC, target_N, reduction="none")


def link(logits_NC: Tensor, max_m: float, s: float, counts_C: Tensor) -> Tensor:
    """Return softmax(s z), shape (N, C)."""
    return (s * at_least_float32(logits_NC)).softmax(1)


SPEC = LossSpec(
    name="ldam",
    function=ldam,
    link=link,
    family="class prior",
    summary="Cross-entropy on cosines with a larger margin for rarer classes.",
    formula="CE(s (z - D_y onehot_y)), D_k = max_m (min_j n_j / n_k)^(1/4), z cosines",
    use="For imbalanced classes with a normalised head.",
    citation=Citation(
        authors="Cao et al.",
        year=2019,
        title="Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss",
        reference="arXiv:1906.07413",
        equation="eq. (12) and (13)",
    ),
    properties=Properties(convex=True, proper="no"),
    hyperparameters=(
        Hyperparameter(
            name="max_m",
            default=0.5,
            range=FloatRange(0.1, 1.0),
            source="Cao 2019, the authors' code (0.5); range: proposal",
            domain=Domain(0.0),
        ),
        Hyperparameter(
            name="s",
            default=30.0,
            range=FloatRange(1.0, 64.0, scale="log"),
            source="Cao 2019, the authors' code (30); range: proposal",
            domain=Domain(0.0, excludes_low=True),
        ),
    ),
    needs_counts=True,
    head="normalised",
    limits=(Limit(hyperparameters={"max_m": 0.0, "s": 1.0}),),
)
