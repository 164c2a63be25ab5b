"""The changes between two revisions of a study: settings, data, code, versions, hardware."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from losstune.core.records import Row
from losstune.report.compare.code import CodeChange
from losstune.report.compare.revisions import Revision

NOTHING = "nothing"


class Change(Row):
    """One difference.

    Attributes:
        name: A path in ``params.yaml`` or in the registration, or a library's name.
        a: Its value at A as text; ``nothing`` if it has none.
        b: Its value at B.
    """

    name: str
    a: str
    b: str

    def __str__(self) -> str:
        """Return ``training.epochs: 15 -> 20``, with a Unicode arrow."""
        return f"{self.name}: {self.a} → {self.b}"


class Changes(Row):
    """All differences.

    Attributes:
        params: Settings and search spaces, which follow from settings and from the defaults of losses.
        data: Content of the data.
        versions: Versions of losstune and of pinned libraries.
        hardware: Kind of device and processor that trained the blocks; None if the executions of a revision, which
            record them, are not in DVC's cache.
        code: See :class:`losstune.report.compare.code.CodeChange`.
        same_searches: Losses whose searches ended at the same configurations at both revisions.
    """

    params: tuple[Change, ...]
    data: tuple[Change, ...]
    versions: tuple[Change, ...]
    hardware: tuple[Change, ...] | None
    code: CodeChange
    same_searches: tuple[str, ...] = ()

    @property
    def has_none(self) -> bool:
        """Whether everything that is recorded is the same."""
        return not (self.params or self.data or self.versions or self.hardware) and self.code.is_identical


def changes_between(a: Revision, b: Revision, code: CodeChange, same_searches: tuple[str, ...] = ()) -> Changes:
    """Return the differences between two revisions.

    Settings come from the registrations, which state what was run, if both revisions have one. Settings that are not
    registered, such as ``resources``, come from ``params.yaml``.
    """
    settings: list[Change] = []
    registered: set[str] = set()
    if a.terms is not None and b.terms is not None:
        registered = set(a.terms) | set(b.terms)
        settings = [change for change in _changes(a.terms, b.terms) if change.name not in ("data.digest", "selection")]
        settings = _folded(settings)
    named = {change.name for change in settings}
    # Settings of the search space are listed by their effect, the space of each loss; the budget as one term.
    settings += [
        change
        for change in _changes(a.params, b.params)
        if change.name not in registered | named
        and not (registered and change.name.startswith(("search_space.", "budget.")))
    ]
    data = _changes(_data_of(a), _data_of(b))
    versions = _changes({"losstune": a.version, **a.pins}, {"losstune": b.version, **b.pins})
    return Changes(
        params=tuple(settings),
        data=tuple(data),
        versions=tuple(versions),
        hardware=_hardware_changes(a, b),
        code=code,
        same_searches=same_searches,
    )


def _data_of(revision: Revision) -> dict[str, Any]:
    data = revision.results.data
    facts: dict[str, Any] = {
        "data.digest": data.digest[:12],
        "training samples": data.num_train,
        "validation samples": data.num_validation,
        "test samples": data.num_test,
    }
    return facts | ({"test split": revision.test_digest[:12]} if revision.test_digest else {})


def _hardware_changes(a: Revision, b: Revision) -> tuple[Change, ...] | None:
    if not a.devices or not b.devices:
        return None
    changes = _changes({"device": a.devices}, {"device": b.devices})
    if a.processors and b.processors:
        changes += _changes({"processor": a.processors}, {"processor": b.processors})
    return tuple(changes)


def _changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Change]:
    return [
        Change(name=name, a=text_of_value(a.get(name)), b=text_of_value(b.get(name)))
        for name in dict.fromkeys((*a, *b))
        if a.get(name) != b.get(name)
    ]


def _folded(changes: list[Change]) -> list[Change]:
    """Merge equal changes of several losses' spaces into one line, ``spaces of 3 losses, learning_rate``."""
    alike: dict[tuple[str, str, str], list[Change]] = {}
    for change in changes:
        parts = change.name.split(".")
        if len(parts) == 3 and parts[0] == "spaces":
            alike.setdefault((parts[2], change.a, change.b), []).append(change)
    folded: list[Change] = []
    done: set[tuple[str, str, str]] = set()
    for change in changes:
        parts = change.name.split(".")
        key = (parts[-1], change.a, change.b)
        if parts[0] != "spaces" or len(alike.get(key, ())) < 2:
            folded.append(change)
        elif key not in done:
            done.add(key)
            folded.append(change.model_copy(update={"name": f"spaces of {len(alike[key])} losses, {parts[2]}"}))
    return folded


def text_of_value(value: Any) -> str:
    """Return a setting as text: ``a, b`` for a list, ``low 1, high 2`` for a section."""
    if value is None:
        return NOTHING
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {text_of_value(item)}" for key, item in value.items())
    return str(value).lower() if isinstance(value, bool) else str(value)
