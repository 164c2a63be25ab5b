"""The whole contract: every check that a loss has to pass. ``check(SPEC)`` tests a loss of your own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from losstune.core.errors import in_one_line
from losstune.losses.spec import LossSpec
from losstune.losses.tools.cases import CLASS_COUNTS, Check, Outcomes, settings_of, with_class_counts
from losstune.losses.tools.claims import CLAIMS
from losstune.losses.tools.contract import EVERYWHERE, ONCE
from losstune.losses.tools.hunt import MAX_EXAMPLES, hunt

ONE_COUNT = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: What was looked at.
        passed: Whether the loss is as it has to be, or as it claims to be.
        message: What was found.
    """

    check: str
    passed: bool
    message: str


def check(spec: LossSpec) -> list[Finding]:
    """Check a loss: the contract over its whole search space, and every property that its spec declares.

    Returns:
        A finding per check; of a check that fails, the first case in which it does. An exception of the loss is a
        finding too.
    """
    return list(findings(spec))


def findings(spec: LossSpec) -> Iterator[Finding]:
    """Yield what :func:`check` returns, as it is found."""
    for name, check_ in EVERYWHERE.items():
        yield from _first(name, _everywhere(spec, check_))
    for name, check_ in ONCE.items():
        yield from _first(
            name, _guarded(partial(check_, with_class_counts(spec.bind(), ONE_COUNT), ONE_COUNT))
        )
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
    yield found is None, found or f"{MAX_EXAMPLES} cases from anywhere: all finite, none below the minimum"


def _guarded(outcomes: Callable[[], Outcomes]) -> Outcomes:
    try:
        yield from outcomes()
    except Exception as error:  # whatever a loss raises is what is wrong with it
        yield False, f"{type(error).__name__}: {in_one_line(error)}"


def _first(name: str, outcomes: Outcomes) -> Iterator[Finding]:
    """Yield the first failure, or the last success; nothing where there was nothing to check."""
    message = None
    for good, message in outcomes:
        if not good:
            yield Finding(name, False, message)
            return
    if message is not None:
        yield Finding(name, True, message)
