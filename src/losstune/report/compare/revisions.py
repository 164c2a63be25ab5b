"""One revision of a comparison: a study's numbers at a revision, and what they were made of."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from losstune.config.load import PARAMS_FILE
from losstune.core.errors import LosstuneError
from losstune.core.records import Execution
from losstune.report.compare.outs import read_out
from losstune.report.compare.trees import Tree
from losstune.verdict.results import RESULTS_VERSION, Results

PACKAGE = Path("src/losstune")
PINS = Path("constraints.txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a study keeps what is compared, relative to its folder.

    Attributes:
        results: ``results.json``.
        registration: What was registered before the test split was read.
        manifest: Of the prepared data.
        executions: Of the confirmation's trainings; in DVC's cache.
    """

    results: Path
    registration: Path
    manifest: Path
    executions: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A study at a revision.

    Attributes:
        tree: Where it was read.
        results: Its numbers.
        terms: What was registered, by path in ``params.yaml``; None where no registration goes with the results.
        params: The settings in ``params.yaml`` by path, two levels deep; empty where it cannot be read.
        test_digest: Of the test split's content; None where the manifest is not of this data.
        version: Of losstune, such as ``0.1.0``; None where its source is not in the repository.
        pins: Version by library, from ``constraints.txt``.
        devices: Kinds of device that trained the blocks; empty where no cache has the executions.
        processors: Models of CPU or GPU that trained them, as far as the executions name them.
        commits: Commits that trained them, short.
        notes: What a careful reader should know of this revision.
    """

    tree: Tree
    results: Results
    terms: Mapping[str, Any] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    test_digest: str | None = None
    version: str | None = None
    pins: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    processors: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def seed(self) -> Any:
        """The study's root seed: the registered one, or else that of ``params.yaml``; None where neither is known."""
        return (self.terms or self.params).get("study.seed")


def read_revision(tree: Tree, places: Places) -> Revision:
    """Read a study at a revision.

    Raises:
        LosstuneError: If it has no ``results.json`` there, or one of another layout, or a damaged one.
    """
    results = _results(tree, places.results)
    terms = _terms(tree, places.registration, results)
    params = _params(tree)
    manifest = _json(tree.read(places.manifest))
    is_of_this_data = manifest.get("digest") == results.data.digest
    executions = _executions(tree, places.executions)
    return Revision(
        tree=tree,
        results=results,
        terms=terms,
        params=params,
        test_digest=manifest.get("test_digest") if is_of_this_data else None,
        version=_version(tree),
        pins=_pins(tree),
        devices=tuple(sorted({row.device for row in executions})),
        processors=tuple(sorted({row.processor for row in executions if row.processor})),
        commits=tuple(sorted({_short(row.commit) for row in executions if row.commit})),
        notes=tuple(_notes(tree, places, results, terms, params)),
    )


def _results(tree: Tree, path: Path) -> Results:
    content = read_out(tree, path)
    if content is None:
        raise LosstuneError(
            f"{tree.title}: has no {path} in Git nor in DVC's cache; expected a revision at which `dvc repro` ended "
            "in a verdict (`losstune log` lists them)"
        )
    values = _json(content)
    version = values.get("results_version")
    if version != RESULTS_VERSION:
        found = "no layout's number" if version is None else f"layout {version}"
        raise LosstuneError(
            f"{tree.title}: {path}: found {found}, expected {RESULTS_VERSION}; `losstune log` shows of it what it can"
        )
    try:
        return Results.model_validate(values)
    except ValidationError as error:
        reason = f"{'.'.join(map(str, error.errors()[0]['loc']))}: {error.errors()[0]['msg']}"
        raise LosstuneError(
            f"{tree.title}: {path} is damaged ({reason}); `dvc repro` writes it anew"
        ) from None


def _terms(tree: Tree, path: Path, results: Results) -> dict[str, Any] | None:
    registration = _json(tree.read(path))
    terms = registration.get("terms")
    return terms if isinstance(terms, dict) and registration.get("protocol") == results.protocol else None


def _params(tree: Tree) -> dict[str, Any]:
    content = tree.read(PARAMS_FILE)
    try:
        values = YAML(typ="safe", pure=True).load(content.decode()) if content else {}
    except (YAMLError, UnicodeDecodeError):
        return {}
    if not isinstance(values, dict):
        return {}
    flat: dict[str, Any] = {}
    for section, value in values.items():
        flat |= (
            {f"{section}.{key}": item for key, item in value.items()}
            if isinstance(value, dict)
            else {section: value}
        )
    return flat


def _version(tree: Tree) -> str | None:
    content = tree.read(PACKAGE / "__init__.py") or b""
    found = re.search(r'^__version__ = "([^"]+)"', content.decode(errors="replace"), re.MULTILINE)
    return found[1] if found else None


def _pins(tree: Tree) -> dict[str, str]:
    lines = (tree.read(PINS) or b"").decode(errors="replace").splitlines()
    return {name: version for name, equals, version in (line.partition("==") for line in lines) if equals}


def _executions(tree: Tree, path: Path) -> list[Execution]:
    content = read_out(tree, path) or b""
    try:
        return [Execution.model_validate_json(line) for line in content.splitlines()]
    except ValidationError:
        return []


def _notes(
    tree: Tree, places: Places, results: Results, terms: Mapping[str, Any] | None, params: Mapping[str, Any]
) -> list[str]:
    notes = []
    if results.control.identity is not None and not results.control.identity.passed:
        notes.append(f"{tree.name}: the control failed there, so its numbers are not to be trusted.")
    if results.control.positive is not None and results.control.positive.detected is False:
        notes.append(
            f"{tree.name}: the degraded baseline was not found worse there, so little can be found at all."
        )
    if results.stopping == "anytime":
        notes.append(
            f"{tree.name}: stopped its losses when their e-processes decided, so the blocks are as many as was enough "
            "there; intervals between the two revisions are a little too sure of that."
        )
    if tree.is_workspace and tree.commit is not None:
        kept = Tree(folder=tree.folder, name="HEAD", commit=tree.commit).read(places.results)
        if kept != tree.read(places.results):
            notes.append(f"{tree.name}: {places.results} differs from that of the commit.")
    if terms is None:
        notes.append(
            f"{tree.name}: no {places.registration} goes with its {places.results}; settings are those of params.yaml."
        )
        return notes
    stale = [
        key
        for key in sorted(terms.keys() & params.keys())
        # `auto` is registered as what it came to.
        if params[key] != "auto" and _plain(terms[key]) != _plain(params[key])
    ]
    if stale:
        notes.append(
            f"{tree.name}: its {places.results} was made under other settings than its params.yaml says "
            f"({', '.join(stale)}); `dvc repro` makes it anew."
        )
    return notes


def _plain(value: Any) -> Any:
    return sorted(map(str, value)) if isinstance(value, list | tuple) else value


def _short(commit: str) -> str:
    sha, dash, dirty = commit.partition("-")
    return sha[:7] + dash + dirty


def _json(content: bytes | None) -> dict[str, Any]:
    try:
        values = json.loads(content or b"{}")
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
