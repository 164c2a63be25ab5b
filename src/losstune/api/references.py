"""References to the functions, classes and losses that a study gets as objects."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from torch import nn

from losstune.core import live_code, own_code
from losstune.core.errors import LosstuneError
from losstune.losses.module import LossModule
from losstune.losses.registry import registry
from losstune.losses.spec import BoundLoss, LossSpec


class References:
    """Names every object by a reference, as ``params.yaml`` would.

    Attributes:
        live: The objects that no file defines, by their references.
    """

    def __init__(self) -> None:
        self.live: dict[str, Any] = {}

    def of(self, value: Any, key: str) -> Any:
        """Return a reference to a callable or a loss, and any other value as it is.

        Raises:
            LosstuneError: If no reference can stand for the object.
        """
        if isinstance(value, Mapping):
            return {name: self.of(item, f"{key}.{name}" if key else str(name)) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(item, key) for item in value]
        if isinstance(value, nn.Module | BoundLoss):
            raise LosstuneError(f"{key}: found {_described(value)}, expected {_instead_of(value)}")
        if isinstance(value, LossSpec) and registry().get(value.name) is value:
            return value.name
        if not callable(value) and not isinstance(value, LossSpec):
            return value
        return (own_code.reference_of(value) if callable(value) else None) or self._live(value, key)

    def _live(self, value: Any, key: str) -> str:
        name = _name_of(value)
        if not name.isidentifier():
            raise LosstuneError(
                f"{key}: found {'a lambda' if name == '<lambda>' else repr(name)}, expected a function made with def, "
                "whose name can stand in tables"
            )
        live_code.examine(value, f"{key}: {name}")
        reference = f"{live_code.MAIN}:{name}"
        if self.live.setdefault(reference, value) is not value:
            raise LosstuneError(f"{key}: found {name!r}, the name of another object of this study; rename one")
        return reference


def _name_of(value: Any) -> str:
    while isinstance(value, functools.partial):
        value = value.func
    return str(value.name if isinstance(value, LossSpec) else getattr(value, "__name__", type(value).__name__))


def _described(value: Any) -> str:
    return f"a {type(value).__name__}, an object that is made already"


def _instead_of(value: Any) -> str:
    if isinstance(value, LossModule):
        return f"the loss's name, {value.name.partition('(')[0]!r}"
    if isinstance(value, BoundLoss):
        return f"the loss's name, {value.spec.name!r}"
    return "a function or class that makes it, so that each training starts with new weights"
