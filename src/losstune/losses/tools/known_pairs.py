"""A table of the catalogue's identical losses.

:mod:`losstune.losses.tools.identity` needs seconds to compute it. A test verifies the table.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

MOST_CLASSES = 20
"""The largest number of classes at which losses are compared; more classes would only take longer."""

COMPARED = frozenset(
    [
        "absolute",
        "agce",
        "apl",
        "arcface",
        "bi_tempered",
        "brier",
        "confidence_penalty",
        "cosface",
        "cosine_softmax",
        "crammer_singer",
        "cross_entropy",
        "dropout",
        "entmax",
        "exponential",
        "final_layer_l2",
        "focal",
        "gce",
        "js",
        "keras_kl_divergence",
        "kl_divergence",
        "label_smoothing",
        "log_cosh",
        "logit_norm",
        "logit_penalty",
        "mae",
        "maxsup",
        "nce",
        "ovr_hinge",
        "phuber_ce",
        "poly1",
        "sce",
        "sigmoid_bce",
        "spherical",
        "square",
        "squared_log",
        "squentropy",
        "tanimoto",
        "taylor_ce",
        "tsallis_score",
        "weston_watkins",
        "z_loss",
    ]
)
"""The losses that were compared, each with those for the same last layer, at their published hyperparameters and for 2
to ``MOST_CLASSES`` classes. Losses that depend on the class frequencies are not among them."""

ALWAYS_IDENTICAL = frozenset({frozenset({"cross_entropy", "kl_divergence"})})
IDENTICAL_WITH_TWO_CLASSES = frozenset({frozenset({"crammer_singer", "weston_watkins"})})
"""The pairs of identical losses that were found."""


def identical_at(num_classes: int) -> frozenset[frozenset[str]]:
    """Return the compared pairs that are identical for this number of classes, at most ``MOST_CLASSES``."""
    return ALWAYS_IDENTICAL | (IDENTICAL_WITH_TWO_CLASSES if num_classes == 2 else frozenset())


def known_to_differ(names: Iterable[str], num_classes: int) -> list[tuple[str, str]]:
    """Return the pairs of these losses that are known to differ and need no comparison.

    Args:
        names: Names of losses with their published hyperparameters, for the same last layer.
        num_classes: At most ``MOST_CLASSES``.
    """
    identical = identical_at(num_classes)
    compared = [name for name in names if name in COMPARED]
    return [pair for pair in combinations(compared, 2) if frozenset(pair) not in identical]
