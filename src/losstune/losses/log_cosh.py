"""The logarithm of the hyperbolic cosine of the error in probability: quadratic for small errors, linear for large.

Errors of probabilities are at most 1, so it is always close to half the Brier score.

Link: softmax, a convention: the minimiser of the risk is near the posterior, but not equal to it.
"""

from __future__ import annotations

import math

from torch import Tensor

from losstune.losses._numerics import at_least_float32, target_distribution
from losstune.losses.cross_entropy import softmax_link
from losstune.losses.spec import Alias, Citation, LossSpec, Properties


def log_cosh(logits_NC: Tensor, target: Tensor) -> Tensor:
    """Return sum_k log cosh(p_k - t_k) with p = softmax(z), shape (N,). Bounded by 2 log cosh 1.

    Source: Keras's ``LogCosh``, which takes the mean over the classes.
    """
    p_NC = at_least_float32(logits_NC).softmax(1)
    error_NC = p_NC - target_distribution(target, p_NC)
    # cosh^2 = 1 + sinh^2: also accurate for small errors.
    return error_NC.sinh().square().log1p().sum(1) / 2


SPEC = LossSpec(
    name="log_cosh",
    function=log_cosh,
    link=softmax_link,
    family="regression",
    summary="The log of the hyperbolic cosine of the predicted probabilities' errors.",
    formula="sum_k log cosh(p_k - t_k)",
    use="A baseline from Keras's regression losses; its values are close to half the Brier score.",
    citation=Citation(
        authors="Saleh and Saleh",
        year=2022,
        title="Statistical Properties of the log-cosh Loss Function Used in Machine Learning",
        reference="arXiv:2208.04564",
        equation="log-cosh loss; on probabilities: keras.losses.LogCosh, Keras 3",
    ),
    properties=Properties(convex=False, proper="no", bound=2 * math.log(math.cosh(1.0))),
    soft_targets=True,
    aliases=(Alias(name="keras_log_cosh", relation="log_cosh / C", condition="softmax outputs"),),
)
