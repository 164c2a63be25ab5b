"""The loss catalogue: a module per loss, each on the contract of :mod:`losstune.losses.spec`.

from losstune.losses import get
criterion = get("focal", gamma=2.0).as_module(reduction="mean")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from losstune.losses.ranges import Value
    from losstune.losses.spec import BoundLoss


def get(name: str, **hyperparameters: Value) -> BoundLoss:
    """Return a loss, ready to be called with logits (N, C) and target, or made a module by ``as_module()``.

    Args:
        name: In the catalogue, or an alias; ``losstune losses list`` names all.
        hyperparameters: The loss's own; the published values for those not given.

    Raises:
        LosstuneError: If there is no such loss; the message gives the nearest name.
        ValueError: If a hyperparameter is unknown, or outside its domain.
    """
    # By name: what imports this package for one loss, as a training does, doesn't depend on them all.
    bound: BoundLoss = import_module("losstune.losses.registry").bind(name, hyperparameters)
    return bound
