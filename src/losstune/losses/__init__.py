"""The loss catalogue: a module per loss, each on the contract of :mod:`losstune.losses.spec`.

from losstune.losses import get, list_losses
criterion = get("focal", gamma=2.0).as_module(reduction="mean")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from losstune.losses.ranges import Value
    from losstune.losses.spec import BoundLoss, Family

__all__ = ["get", "list_losses"]


def get(name: str, **hyperparameters: Value) -> BoundLoss:
    """Return a loss. Call it with logits (N, C) and target, or turn it into a module with ``as_module()``.

    Args:
        name: Name or alias of a loss; :func:`list_losses` returns all names.
        hyperparameters: Values of the loss's hyperparameters; the others have their published values.

    Raises:
        LosstuneError: If there is no such loss; the message gives the nearest name.
        ValueError: If a hyperparameter is unknown, or outside its domain.
    """
    # Import by name, so that the code of a training that uses one loss does not depend on all losses.
    bound: BoundLoss = import_module("losstune.losses.registry").bind(name, hyperparameters)
    return bound


def list_losses(family: Family | None = None, *, soft_targets: bool | None = None) -> list[str]:
    """Return the names of the catalogue's losses, sorted.

    Args:
        family: Only those of a family, such as ``"margin"``.
        soft_targets: Only those that take probabilities as target, or only those that do not.

    Raises:
        LosstuneError: If there is no such family.

    Examples:
        >>> list_losses("margin")
    """
    found: list[str] = import_module("losstune.losses.registry").names(family, soft_targets=soft_targets)
    return found
