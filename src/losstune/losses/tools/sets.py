"""Sets of losses to start a study with, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from losstune.core.errors import LosstuneError, did_you_mean
from losstune.losses.registry import registry
from losstune.losses.spec import LossSpec

CONTROL = ("cross_entropy", "kl_divergence")
"""The usual baseline, and the loss that equals it on hard labels: the A/A control of every study."""

SCREEN = "screen"
"""The set to start with, if nothing better is known."""

SMALL_BOUND = 5.0
"""A bound above this does not protect from wrong labels: it is far beyond what a sample usually costs."""

_SCREEN = (
    *("label_smoothing", "logit_norm", "sigmoid_bce", "focal", "poly1", "gce"),
    *("bi_tempered", "entmax", "square", "crammer_singer"),
)


def _is_robust(spec: LossSpec) -> bool:
    bound = spec.properties.bound_at(10)
    return bound is not None and bound <= SMALL_BOUND and spec.family != "regression"


SETS: Mapping[str, tuple[str, Callable[[LossSpec], bool]]] = {
    SCREEN: ("a dozen unlike losses, for any network", lambda spec: spec.name in _SCREEN),
    "robust": ("bounded losses, for wrong labels", lambda spec: spec.name == "label_smoothing" or _is_robust(spec)),
    "imbalanced": (
        "losses that know the class frequencies, and focal, for rare classes",
        lambda spec: spec.name == "focal" or spec.needs_counts,
    ),
    "all": ("the whole catalogue", lambda spec: True),
}
"""What each set is for, and whether a loss belongs to it besides :data:`CONTROL`."""


def losses_of(name: str) -> tuple[str, ...]:
    """Return the losses of a set: the control pair, then the others in the order of the catalogue.

    Raises:
        LosstuneError: If there is no such set; the message names the nearest one.
    """
    if name not in SETS:
        raise LosstuneError(f"--losses: found {name!r}, expected one of {', '.join(SETS)}{did_you_mean(name, [*SETS])}")
    _, belongs = SETS[name]
    others = [spec.name for spec in registry().values() if belongs(spec) and spec.name not in CONTROL]
    return (*CONTROL, *others)
