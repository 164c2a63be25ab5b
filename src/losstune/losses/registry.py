"""All losses by name. A module of this package with a ``SPEC`` is a loss; nothing else has to be edited to add one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import get_args

from losstune import losses
from losstune.core.errors import LosstuneError, did_you_mean
from losstune.core.own_code import is_own
from losstune.losses.own import spec_of
from losstune.losses.ranges import Value
from losstune.losses.spec import Alias, BoundLoss, Family, LossSpec


@cache
def registry() -> MappingProxyType[str, LossSpec]:
    """Return all losses, sorted by name.

    Raises:
        LosstuneError: If two modules claim the same name.
    """
    found: dict[str, LossSpec] = {}
    for module_info in pkgutil.iter_modules(losses.__path__):
        if module_info.ispkg:
            continue
        spec = getattr(importlib.import_module(f"{losses.__name__}.{module_info.name}"), "SPEC", None)
        if spec is None:
            continue
        if spec.name in found:
            raise LosstuneError(
                f"losstune.losses.{module_info.name}: the name {spec.name!r} is taken by another loss, expected another"
            )
        found[spec.name] = spec
    return MappingProxyType(dict(sorted(found.items())))


def names(family: Family | None = None, *, soft_targets: bool | None = None) -> list[str]:
    """Return the names of the catalogue's losses, as :func:`losstune.losses.list_losses`.

    Raises:
        LosstuneError: If there is no such family.
    """
    if family is not None and family not in get_args(Family):
        raise LosstuneError(f"family: found {family!r}, expected one of {', '.join(get_args(Family))}")
    return [
        name
        for name, spec in registry().items()
        if family in {None, spec.family} and soft_targets in {None, spec.soft_targets}
    ]


_own: dict[str, LossSpec] = {}


def use_own(references: Iterable[str], key: str = "losses") -> None:
    """Make losses of the user's own known in this process by their names, in place of those of an earlier study.

    Args:
        references: Such as ``"my_losses.py:tilted"``, which then is the loss ``tilted``.
        key: The key that names them, for messages.

    Raises:
        LosstuneError: If one does not fit the contract, or has the name of a loss of the catalogue.
    """
    found = {}
    for reference in references:
        spec = spec_of(reference, key)
        if spec.name in registry() or spec.name in aliases():
            raise LosstuneError(
                f"{key}: {reference}: the name {spec.name!r} is taken by a loss of the catalogue, expected another "
                "(`losstune losses list`)"
            )
        found[spec.name] = spec
    _own.clear()
    _own.update(found)


def known() -> Mapping[str, LossSpec]:
    """Return all losses by name: the catalogue's, and those of the user's own that are in use."""
    return registry() | _own


@cache
def aliases() -> MappingProxyType[str, tuple[LossSpec, Alias]]:
    """Map every alias to its loss and its meaning.

    Raises:
        LosstuneError: If a name refers to two losses.
    """
    found: dict[str, tuple[LossSpec, Alias]] = {}
    for spec in registry().values():
        for alias in spec.aliases:
            if alias.name in found or alias.name in registry():
                raise LosstuneError(
                    f"losstune.losses: {alias.name!r} names two losses, one of them {spec.name!r}; expected another"
                )
            found[alias.name] = (spec, alias)
    return MappingProxyType(found)


def find(name: str) -> tuple[LossSpec, Alias | None]:
    """Return the loss with that name or alias, and the alias if it is one.

    Raises:
        LosstuneError: If there is none; the message gives the nearest name.
    """
    if name in known():
        return known()[name], None
    if name in aliases():
        return aliases()[name]
    if is_own(name):
        return spec_of(name, "NAME"), None
    raise LosstuneError(
        f"unknown loss {name!r}{did_you_mean(name, [*known(), *aliases()])} "
        f"(`losstune losses list` names all {len(registry())})"
    )


def get(name: str) -> LossSpec:
    """Return the loss with that name or alias.

    Raises:
        LosstuneError: If there is none; the message gives the nearest name.
    """
    return find(name)[0]


def bind(name: str, hyperparameters: Mapping[str, Value]) -> BoundLoss:
    """Return the loss with that name or alias, with its hyperparameters fixed; an alias may fix some itself.

    Raises:
        LosstuneError: If there is no such loss.
        ValueError: If a hyperparameter is unknown, outside its domain, or contradicts the alias.
    """
    spec, alias = find(name)
    fixed = alias.hyperparameters if alias else {}
    for key, value in hyperparameters.items():
        if key in fixed and value != fixed[key]:
            raise ValueError(f"{name} is {spec.name} at {key}={fixed[key]}; found {key}={value}")
    return spec.bind({**fixed, **hyperparameters})


def identical_to(loss: str, among: Iterable[str], equals: Mapping[str, str] | None = None) -> str | None:
    """Return the first loss in `among` that is identical to `loss` with hard labels, or None.

    Two losses are identical if one equals the other, or both equal the same third loss.

    Args:
        loss: Name of a loss; it does not count as identical to itself.
        among: Names of losses.
        equals: Maps a loss to the loss that it equals, as :attr:`LossSpec.equals`; by default those of the catalogue.
    """
    if equals is None:
        equals = {name: spec.equals for name, spec in registry().items() if spec.equals}
    canonical = equals.get(loss, loss)
    return next((name for name in among if name != loss and equals.get(name, name) == canonical), None)


def identical_losses(losses: Sequence[str], baseline: str, equals: Mapping[str, str] | None = None) -> dict[str, str]:
    """Map each loss that is identical to another of `losses` to it: to the baseline if possible, else to the first.

    Args:
        losses: Names of losses.
        baseline: One of `losses`.
        equals: As for :func:`identical_to`.
    """
    return {
        loss: equal_loss
        for position, loss in enumerate(losses)
        if loss != baseline and (equal_loss := identical_to(loss, (baseline, *losses[:position]), equals))
    }
