"""Cross-entropy with the logits offset by the log-prior of the classes: rare classes get a margin.

The network's outputs z rank the classes as if all were equally frequent. At tau = 1 it is the balanced softmax
(Ren et al. 2020); at tau = 0, or with equally frequent classes, it is cross-entropy.

Link: softmax(z + tau log pi), exact (strictly proper): the posterior under the training data's prior pi. The argmax of
the outputs without the offset minimises the balanced error; the paper calls it logit adjustment.
"""

from __future__ import annotations

from torch import Tensor

from losstune.losses._numerics import at_least_float32
from losstune.losses.cross_entropy import cross_entropy
from losstune.losses.ranges import Domain, FloatRange
from losstune.losses.spec import Alias, Citation, Hyperparameter, Limit, LossSpec, Properties


def logit_adjusted(logits_NC: Tensor, target: Tensor, tau: float, counts_C: Tensor) -> Tensor:
    """Return CE(z + tau log pi), shape (N,), in nats, with pi the class frequencies of the training data.

    Source: Menon et al. 2021, eq. (10).
    """
    return cross_entropy(_adjusted(logits_NC, tau, counts_C), target)


def link(logits_NC: Tensor, tau: float, counts_C: Tensor) -> Tensor:
    """Return softmax(z + tau log pi), shape (N, C)."""
    return _adjusted(logits_NC, tau, counts_C).softmax(1)


def _adjusted(logits_NC: Tensor, tau: float, counts_C: Tensor) -> Tensor:
    logits_NC = at_least_float32(logits_NC)
    counts_C = counts_C.to(logits_NC.dtype)
    return logits_NC + tau * (counts_C / counts_C.sum()).log()


SPEC = LossSpec(
    name="logit_adjusted",
    function=logit_adjusted,
    link=link,
    family="class prior",
    summary="Cross-entropy on logits offset by the log-prior: rare classes get a margin.",
    formula="CE(z + tau log pi), pi the class frequencies of the training data",
    use="For imbalanced classes. The outputs without the offset optimise the balanced error, with it accuracy.",
    citation=Citation(
        authors="Menon et al.",
        year=2021,
        title="Long-Tail Learning via Logit Adjustment",
        reference="arXiv:2007.07314",
        equation="eq. (10)",
    ),
    properties=Properties(convex=True, proper="strictly"),
    hyperparameters=(
        Hyperparameter(
            name="tau",
            default=1.0,
            range=FloatRange(0.0, 2.0),
            source="Menon 2021, section 5 (tau = 1); range: proposal",
            domain=Domain(0.0),
        ),
    ),
    soft_targets=True,
    linear_in_target=True,
    aliases=(Alias(name="balanced_softmax", relation="the same", condition="tau = 1", hyperparameters={"tau": 1.0}),),
    needs_counts=True,
    balanced_outputs=True,
    limits=(Limit(hyperparameters={"tau": 0.0}),),
)
