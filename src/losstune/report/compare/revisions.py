"""A revision of a study: its results, and the settings, data and code that made them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from losstune.config.load import PARAMS_FILE
from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from losstune.core.records import Execution
from losstune.report.compare.outs import read_out
from losstune.report.compare.trees import Tree
from losstune.verdict.results import RESULTS_VERSION, Results

PACKAGE = Path("src/losstune")
PINS = Path("constraints.txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Paths of the compared files, relative to the study's folder.

    Attributes:
        results: ``results.json``.
        registration: The registration.
        manifest: Manifest of the prepared data.
        executions: Executions of the confirmation, which are in DVC's cache.
    """

    results: Path
    registration: Path
    manifest: Path
    executions: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A study at a revision.

    Attributes:
        tree: Files that it was read from.
        results: Its results.
        terms: Registered terms by path in ``params.yaml``; None if no registration matches the results.
        params: Settings by path, two levels deep, with the default of each key that ``params.yaml`` leaves out; empty
            if the file is not readable.
        test_digest: Hash of the test split's content; None if the manifest does not match the data.
        version: Version of losstune, such as ``0.1.0``; None if its source is not in the repository.
        pins: Pinned version by library, from ``constraints.txt``.
        devices: Kinds of device that trained the blocks; empty if no cache has the executions.
        processors: Models of CPU or GPU that trained them, as far as the executions name them.
        commits: Short commits that trained them.
        notes: Limits of this revision.
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
        """The root seed, from the registration or else from ``params.yaml``; None if neither is known."""
        return (self.terms or self.params).get("study.seed")


def read_revision(tree: Tree, places: Places) -> Revision:
    """Read a study at a revision.

    Raises:
        LosstuneError: If ``results.json`` is missing, damaged or of another layout.
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
            f"{tree.title}: {path}: found {found}, expected {RESULTS_VERSION}; `losstune log` shows its readable fields"
        )
    try:
        return Results.model_validate(values)
    except ValidationError as error:
        reason = f"{'.'.join(map(str, error.errors()[0]['loc']))}: {error.errors()[0]['msg']}"
        raise LosstuneError(f"{tree.title}: {path} is damaged ({reason}); `dvc repro` writes it again") from None


def _terms(tree: Tree, path: Path, results: Results) -> dict[str, Any] | None:
    registration = _json(tree.read(path))
    terms = registration.get("terms")
    return terms if isinstance(terms, dict) and registration.get("protocol") == results.protocol else None


def _params(tree: Tree) -> dict[str, Any]:
    content = tree.read(PARAMS_FILE)
    if content is None:  # a study of a matrix has no file of its own
        return {}
    try:
        values = YAML(typ="safe", pure=True).load(content.decode()) or {}
    except (YAMLError, UnicodeDecodeError):
        return {}
    if not isinstance(values, dict):
        return {}
    # A key that a file leaves out has its default. An old revision's file may have keys that no longer exist.
    with suppress(ValidationError):
        values = Params.model_validate(values).model_dump(mode="json")
    flat: dict[str, Any] = {}
    for section, value in values.items():
        flat |= (
            {f"{section}.{key}": item for key, item in value.items()} if isinstance(value, dict) else {section: value}
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
        notes.append(f"{tree.name}: its control failed, so its scores cannot be trusted.")
    if results.control.positive is not None and results.control.positive.detected is False:
        notes.append(f"{tree.name}: its degraded baseline was not found worse, so it may not detect differences.")
    if results.stopping == "anytime":
        notes.append(
            f"{tree.name}: its losses stopped when their e-processes decided, so the numbers of blocks depend on the "
            "scores, and intervals between the two revisions are slightly too narrow."
        )
    if tree.is_workspace and tree.commit is not None:
        kept = Tree(folder=tree.folder, name="HEAD", commit=tree.commit).read(places.results)
        if kept != tree.read(places.results):
            notes.append(f"{tree.name}: {places.results} differs from the committed one.")
    if terms is None:
        notes.append(
            f"{tree.name}: no {places.registration} matches its {places.results}; settings come from params.yaml."
        )
        return notes
    stale = [
        key
        for key in sorted(terms.keys() & params.keys())
        # `auto` is registered as its resolved value.
        if params[key] != "auto"
        and _plain(terms[key]) != _plain(params[key])
        # The protocol is registered with the version of its rules.
        and not (key == "protocol" and str(terms[key]).startswith(f"{params[key]}, rules"))
    ]
    if stale:
        notes.append(
            f"{tree.name}: its {places.results} was made with other settings than those in its params.yaml "
            f"({', '.join(stale)}); `dvc repro` updates it."
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
