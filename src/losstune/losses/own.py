"""Losses of the user's own: a function or an ``nn.Module`` class in a file of theirs, with declared ranges.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from losstune.core.errors import LosstuneError, did_you_mean
from losstune.core.own_code import load, name_of
from losstune.losses._numerics import at_least_float32
from losstune.losses.ranges import Choice, Range
from losstune.losses.spec import Citation, Hyperparameter, LossSpec, Properties

_DECLARED = "__losstune__"
_Own = TypeVar("_Own", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class _Declaration:
    ranges: Mapping[str, Range] = field(default_factory=dict)
    link: Callable[..., Tensor] | None = None


def loss(*, link: Callable[..., Tensor] | None = None, **ranges: Range) -> Callable[[_Own], _Own]:
    """Declare what a search needs to know about a loss of your own.

    The loss is a function ``(logits_NC, target_N, **hyperparameters) -> losses_N``, or an ``nn.Module`` class with the
    hyperparameters as arguments and ``forward(logits_NC, target_N) -> losses_N``. Its own default of a hyperparameter
    is what the first trial uses. An argument with a default but without a range is not searched.

    Args:
        link: ``link(logits_NC, **hyperparameters) -> probabilities_NC``. Without it, softmax is assumed, and the report
            says so.
        **ranges: The range of each hyperparameter that is to be searched.

    Raises:
        TypeError: If a range is none, or the link is not callable.

    Examples:
        >>> from losstune.losses.ranges import FloatRange
        >>> @loss(tilt=FloatRange(0.1, 5.0, "log"))
        ... def tilted(logits_NC, target_N, tilt=1.0):
        ...     return torch.expm1(tilt * nn.functional.cross_entropy(logits_NC, target_N, reduction="none")) / tilt
    """
    for name, span in ranges.items():
        if not isinstance(span, Range):
            raise TypeError(f"{name}: found {span!r}, expected a FloatRange, IntRange or Choice")
    if link is not None and not callable(link):
        raise TypeError(f"link: found {link!r}, expected a function of logits (N, C)")

    def declared(own: _Own) -> _Own:
        setattr(own, _DECLARED, _Declaration(ranges, link))
        return own

    return declared


def spec_of(reference: str, key: str = "losses") -> LossSpec:
    """Return the spec of a loss of the user's own.

    Args:
        reference: A function, an ``nn.Module`` class or a :class:`LossSpec`, such as ``"my_losses.py:tilted"``.
        key: The key that names it, for messages.

    Raises:
        LosstuneError: If there is none, or its signature or its ranges do not fit the contract.
    """
    own = load(reference, key, also=LossSpec)
    name, found = name_of(reference), f"{key}: {reference}"
    if isinstance(own, LossSpec):
        return replace(own, name=name, origin=reference)
    declaration: _Declaration = getattr(own, _DECLARED, _Declaration())
    is_module = isinstance(own, type) and issubclass(own, nn.Module)
    arguments = _arguments(own, found, is_module=is_module)
    for item in declaration.ranges:
        if item not in arguments:
            known = f"{did_you_mean(item, list(arguments))} (it has {', '.join(arguments) or 'none'})"
            raise LosstuneError(f"{found}: declares a range for {item!r}, which is no hyperparameter of it{known}")
    for item, default in arguments.items():
        if default is inspect.Parameter.empty and item not in declaration.ranges:
            raise LosstuneError(
                f"{found}: its argument {item!r} has neither a default nor a range; expected one of them, such as "
                f"@losstune.loss({item}=FloatRange(0, 1))"
            )
    link = declaration.link
    text = inspect.getdoc(own) if own.__doc__ else None
    return LossSpec(
        name=name,
        function=_adapted(own) if is_module else own,
        link=link or softmax,
        summary=(text or f"Your own loss in {reference}.").splitlines()[0],
        formula="",
        citation=Citation(authors="your own", year=0, title="", reference=reference, equation=""),
        properties=Properties(convex=False, proper="no"),
        hyperparameters=tuple(
            _hyperparameter(item, span, arguments[item], found) for item, span in declaration.ranges.items()
        ),
        origin=reference,
        assumes_softmax=link is None,
        has_properties=False,
    )


def softmax(logits_NC: Tensor, **hyperparameters: Any) -> Tensor:
    """Return softmax probabilities (N, C), the link that is assumed where none is declared."""
    return at_least_float32(logits_NC).softmax(1)


def _arguments(own: Callable[..., Any], found: str, *, is_module: bool) -> dict[str, Any]:
    """Return the default of every argument besides logits and target, ``empty`` for one that has none."""
    try:
        given = list(inspect.signature(own).parameters.values())
    except (TypeError, ValueError):
        raise LosstuneError(f"{found}: has no signature, expected (logits, target, ...)") from None
    if is_module:
        forward = [name for name in inspect.signature(own.forward).parameters if name != "self"]  # type: ignore[attr-defined]
        if len(forward) < 2:
            raise LosstuneError(f"{found}: forward takes ({', '.join(forward)}), expected (logits, target)")
        own_arguments = given
    else:
        positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        if len(given) < 2 or any(item.kind not in positional for item in given[:2]):
            names = ", ".join(str(item) for item in given)
            raise LosstuneError(f"{found}: takes ({names}), expected (logits, target, ...)")
        own_arguments = given[2:]
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {item.name: item.default for item in own_arguments if item.kind not in variable}


def _hyperparameter(name: str, span: Range, default: Any, found: str) -> Hyperparameter:
    if default is inspect.Parameter.empty:
        default = span.from_unit(0.5)
    if isinstance(default, bool) or not isinstance(default, int | float):
        raise LosstuneError(f"{found}: the default of {name} is {default!r}, expected a number in its range")
    if not span.contains(default):
        raise LosstuneError(f"{found}: the default of {name} is {default:g}, expected one in its range, {span}")
    # A search converts values to the type of the default.
    values = span.values if isinstance(span, Choice) else (span.low, span.high)
    is_real = any(isinstance(value, float) for value in values)
    return Hyperparameter(name=name, default=float(default) if is_real else default, range=span, source="your own")


def _adapted(module: type[nn.Module]) -> Callable[..., Tensor]:
    """Return a module class as a function. A module is made once for each setting and device."""
    fixed = {"reduction": "none"} if "reduction" in inspect.signature(module).parameters else {}

    @lru_cache(maxsize=64)
    def made(items: tuple[tuple[str, Any], ...], device: torch.device) -> nn.Module:
        return module(**dict(items), **fixed).to(device)

    def function(logits_NC: Tensor, target_N: Tensor, **hyperparameters: Any) -> Tensor:
        return made(tuple(sorted(hyperparameters.items())), logits_NC.device)(logits_NC, target_N)  # type: ignore[no-any-return]

    return function
