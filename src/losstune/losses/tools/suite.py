"""The whole contract: every check that a loss has to pass. ``check(SPEC)`` tests a loss of your own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from losstune.core.errors import in_one_line
from losstune.losses.spec import LossSpec
from losstune.losses.tools.cases import CLASS_COUNTS, Check, Outcomes, settings_of, with_class_counts
from losstune.losses.tools.claims import CLAIMS, measured
from losstune.losses.tools.contract import EVERYWHERE, ONCE
from losstune.losses.tools.hunt import MAX_EXAMPLES, hunt

ONE_COUNT = 4

NEED_PROPERTIES = ("soft targets", "masked classes")
"""Checks of what a spec declares, which a plain function does not."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        check: Name of the check.
        passed: Whether the loss satisfies the contract or its declared property.
        message: What was found.
    """

    check: str
    passed: bool
    message: str


def check(spec: LossSpec) -> list[Finding]:
    """Check a loss: the contract over its whole search space, and every property that its spec declares.

    Returns:
        One finding per check; for a failed check, the first failing case. An exception of the loss is a failure, too.
    """
    return list(findings(spec))


def findings(spec: LossSpec) -> Iterator[Finding]:
    """Yield the findings of :func:`check` one by one."""
    left_out = () if spec.has_properties else NEED_PROPERTIES
    for name, check_ in EVERYWHERE.items():
        if name not in left_out:
            yield from _first(name, _everywhere(spec, check_))
    for name, check_ in ONCE.items():
        yield from _first(name, _guarded(partial(check_, with_class_counts(spec.bind(), ONE_COUNT), ONE_COUNT)))
    if not spec.has_properties:
        yield from (Finding(name, True, f"measured: {text}") for name, text in measured(spec.bind()))
        return
    yield from _first("hunt", _guarded(partial(_hunted, spec)))
    for name, claim in CLAIMS.items():
        yield from _first(name, _guarded(partial(claim, spec.bind())))


def _everywhere(spec: LossSpec, check_: Check) -> Outcomes:
    for loss in settings_of(spec):
        for num_classes in CLASS_COUNTS:
            for good, message in _guarded(partial(check_, with_class_counts(loss, num_classes), num_classes)):
                where = "" if good else f"{loss!r}, {num_classes} classes: "
                yield good, where + message


def _hunted(spec: LossSpec) -> Outcomes:
    found = hunt(spec)
    yield found is None, found or f"{MAX_EXAMPLES} random cases: all finite, none below the minimum"


def _guarded(outcomes: Callable[[], Outcomes]) -> Outcomes:
    try:
        yield from outcomes()
    except Exception as error:  # any exception of a loss is a failure
        yield False, f"{type(error).__name__}: {in_one_line(error)}"


def _first(name: str, outcomes: Outcomes) -> Iterator[Finding]:
    """Yield the first failure, or the last success; nothing if there was nothing to check."""
    message = None
    for good, message in outcomes:
        if not good:
            yield Finding(name, False, message)
            return
    if message is not None:
        yield Finding(name, True, message)
