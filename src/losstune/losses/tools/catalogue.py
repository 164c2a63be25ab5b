"""The catalogue as text: the table of losses, and the description of one."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterable, Sequence

from losstune.core.errors import LosstuneError
from losstune.core.own_code import is_own, load
from losstune.losses.registry import aliases, bind, find, registry
from losstune.losses.scale import gradient_scale
from losstune.losses.snippet import snippet
from losstune.losses.spec import Alias, BoundLoss, Hyperparameter, Limit, LossSpec
from losstune.losses.tools.own import same_as

NUM_CLASSES = 10
PROPER = {"strictly": "strictly proper", "recoverable": "posterior recoverable", "no": "not proper"}

HEADS = {
    "normalised": "a normalised last layer",
    "dropout": "a last layer with dropout",
    "decayed": "a last layer whose weights are penalised",
}

TRAITS: dict[str, Callable[[LossSpec], bool]] = {
    "convex": lambda spec: spec.properties.convex,
    "proper": lambda spec: spec.properties.proper == "strictly",
    "recoverable": lambda spec: spec.properties.proper != "no",
    "bounded": lambda spec: spec.properties.bound is not None,
    "symmetric": lambda spec: spec.properties.symmetric,
    "shift-invariant": lambda spec: spec.properties.shift_invariant,
    "smooth": lambda spec: spec.properties.smooth,
    "soft-targets": lambda spec: spec.soft_targets,
    "hyperparameters": lambda spec: bool(spec.hyperparameters),
    "class-frequencies": lambda spec: spec.needs_counts,
    "maskable": lambda spec: spec.properties.masked == "limit",
    "normalised-head": lambda spec: spec.head == "normalised",
}
"""Traits to filter losses by."""

MASKED = {
    "limit": "a logit of minus infinity excludes a class; the others still have gradients",
    "flat": "with a logit of minus infinity, all gradients are 0",
    "infinite": "a logit of minus infinity makes the loss infinite",
}
"""Descriptions of :attr:`losstune.losses.spec.Properties.masked`."""

ORDERS: dict[str, Callable[[LossSpec], object]] = {
    "name": lambda spec: spec.name,
    "family": lambda spec: (spec.family, spec.name),
    "year": lambda spec: (spec.citation.year, spec.name),
    "scale": lambda spec: gradient_scale(spec.bind(), NUM_CLASSES),
    "bound": lambda spec: _bound(spec) if _bound(spec) is not None else float("inf"),
}
"""Sort keys of the table."""


def choose(
    *, family: str | None = None, having: Iterable[str] = (), lacking: Iterable[str] = (), order: str = "name"
) -> list[LossSpec]:
    """Return the losses of a family, filtered by traits and sorted.

    Args:
        family: One of :data:`losstune.losses.spec.Family`; None for all.
        having: Required traits, names in :data:`TRAITS`.
        lacking: Excluded traits, names in :data:`TRAITS`.
        order: Sort key, a name in :data:`ORDERS`.
    """
    having, lacking = list(having), list(lacking)
    found = [
        spec
        for spec in registry().values()
        if family in (None, spec.family)
        and all(TRAITS[trait](spec) for trait in having)
        and not any(TRAITS[trait](spec) for trait in lacking)
    ]
    return sorted(found, key=ORDERS[order])  # type: ignore[arg-type]


def traits(spec: LossSpec) -> list[str]:
    """Return the declared properties of a loss, each in a few words."""
    properties, bound = spec.properties, _bound(spec)
    return [
        *(["convex"] if properties.convex else []),
        PROPER[properties.proper],
        *([f"at most {bound:.3g}"] if bound is not None else []),
        *(["symmetric"] if properties.symmetric else []),
        *([] if properties.shift_invariant else ["not shift-invariant"]),
        *(["soft targets"] if spec.soft_targets else []),
        *(["class frequencies"] if spec.needs_counts else []),
        *([f"{spec.head} head"] if spec.head != "linear" else []),
        *([] if properties.masked == "limit" else ["not maskable"]),
    ]


def table_rows(specs: Sequence[LossSpec]) -> list[tuple[str, str, str, str, str]]:
    """Return name, family, published hyperparameters, traits and source of each loss."""
    return [
        (
            spec.name,
            spec.family,
            ", ".join(f"{item.name}={item.default:g}" for item in spec.hyperparameters),
            ", ".join(traits(spec)),
            f"{spec.citation.authors} {spec.citation.year}",
        )
        for spec in specs
    ]


def description(name: str) -> tuple[str | None, list[tuple[str, str]], str]:
    """Return the full description of a loss.

    Args:
        name: Name or alias of a loss.

    Returns:
        The meaning of the name if it is an alias, rows of a title and a text, and a plain PyTorch snippet to copy.

    Raises:
        LosstuneError: If there is no such loss; the message gives the nearest name.
    """
    spec, alias = find(name)
    stands_for = None if alias is None else f"{name} is another name for {spec.name}: {_relation(alias)}."
    if spec.origin is not None:
        return stands_for, _own_rows(spec), _source_of(spec)
    cited = spec.citation
    pulls = ", ".join(f"{gradient_scale(spec.bind(), num):.3g} with {num} classes" for num in (10, 100))
    wants = [
        *(["the class frequencies"] if spec.needs_counts else []),
        *([HEADS[spec.head]] if spec.head in HEADS else []),
        *(["a last layer with a special initial bias"] if spec.initial_bias else []),
    ]
    rows = [
        (spec.name, spec.summary),
        ("formula", spec.formula),
        ("use", spec.use),
        ("family", spec.family),
        ("source", f"{cited.authors} {cited.year}, {cited.title}"),
        ("", f"{cited.reference}, {cited.equation}"),
        *[row for item in spec.hyperparameters for row in _hyperparameter_rows(item)],
        ("targets", "class indices or distributions" if spec.soft_targets else "class indices"),
        ("properties", ", ".join(_claims(spec)) + " (at the published values)"),
        ("masked", MASKED[spec.properties.masked]),
        ("scale", f"its gradient at equal logits is cross_entropy's times {pulls}"),
        ("needs", ", ".join(wants) + " (provided by the trainer)" if wants else ""),
        *[("limit", _limit(limit)) for limit in spec.limits],
        *[("alias", f"{other.name}: {_relation(other)}") for other in spec.aliases],
        ("equals", f"{spec.equals} on hard labels: a control, not another candidate" if spec.equals else ""),
    ]
    return stands_for, [(title, text) for title, text in rows if text], snippet(spec)


def _own_rows(spec: LossSpec) -> list[tuple[str, str]]:
    pulls = ", ".join(f"{gradient_scale(spec.bind(), num):.3g} with {num} classes" for num in (10, 100))
    same = [f"{name}, L = {how}" for name, how in same_as(spec, registry().values())]
    link = "softmax of the outputs, as none is declared" if spec.assumes_softmax else "declared"
    return [
        (spec.name, spec.summary),
        ("source", f"your own, {spec.origin}"),
        *[row for item in spec.hyperparameters for row in _hyperparameter_rows(item)],
        ("link", link),
        ("scale", f"its gradient at equal logits is cross_entropy's times {pulls}"),
        ("identical", ", ".join(same) or "to no loss of the catalogue (at the defaults)"),
    ]


def _source_of(spec: LossSpec) -> str:
    return textwrap.dedent(inspect.getsource(load(str(spec.origin), "NAME")))


def bound_loss(text: str) -> BoundLoss:
    """Parse a loss given as text: ``focal``, or ``bi_tempered:t1=0.5,t2=2``.

    Raises:
        LosstuneError: If there is no such loss or hyperparameter, or its value is outside the domain.
    """
    name, _, rest = text.partition(":")
    if is_own(text) and name not in {*registry(), *aliases()}:  # a loss of the user's own: file.py:name:hyperparameter=...
        own, _, rest = rest.partition(":")
        name = f"{name}:{own}"
    values: dict[str, float] = {}
    for item in filter(None, rest.split(",")):
        key, _, value = item.partition("=")
        try:
            number = float(value)
        except ValueError:
            raise LosstuneError(f"{text}: found {item!r}, expected hyperparameter=number") from None
        values[key] = int(number) if number.is_integer() else number
    try:
        return bind(name, values)
    except ValueError as error:
        raise LosstuneError(f"{text}: {error}") from None


def _claims(spec: LossSpec) -> list[str]:
    properties, bound = spec.properties, _bound(spec)
    return [
        "convex" if properties.convex else "not convex",
        PROPER[properties.proper],
        f"at most {bound:.4g} with {NUM_CLASSES} classes" if bound is not None else "unbounded",
        *(["symmetric"] if properties.symmetric else []),
        *([] if properties.shift_invariant else ["not shift-invariant"]),
        *([] if properties.smooth else ["not twice differentiable"]),
    ]


def _hyperparameter_rows(item: Hyperparameter) -> list[tuple[str, str]]:
    values = f"{item.default:g} by default, searched over {item.range}; allowed: {item.domain}"
    return [(item.name, values), ("", item.source)]


def _limit(limit: Limit) -> str:
    at = ", ".join(f"{name} = {value:g}" for name, value in limit.hyperparameters.items())
    return f"at {at} it is {limit.of}" if limit.within < 1e-6 else f"near {at} it becomes {limit.of}"


def _relation(alias: Alias) -> str:
    at = "".join(f", {name} = {value:g}" for name, value in alias.hyperparameters.items())
    return f"{alias.relation} ({alias.condition}{at})"


def _bound(spec: LossSpec) -> float | None:
    return spec.properties.bound_at(NUM_CLASSES)
