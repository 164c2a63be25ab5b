"""Find the files of a user's own modules, and of the local modules that they import, without importing any.

Modules of installed libraries are not local; they count by their version.
"""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
import sys
import sysconfig
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from losstune.core.errors import LosstuneError, did_you_mean
from losstune.core.sources import imported_names

EXPECTED = "your own as path/to/file.py:name or module:name"

_folder: Path | None = None


def study_folder() -> Path:
    """Return the folder that references are relative to: the working directory, or where a bundle was installed."""
    return _folder or Path.cwd()


def use_study_folder(folder: Path | None) -> None:
    """Set the folder that references are relative to; None for the working directory."""
    global _folder
    _folder = folder


@dataclass(frozen=True, slots=True)
class Place:
    """Where a module is.

    Attributes:
        module: Its full name.
        file: Its file; None if it has none, or one that is not written in Python.
        root: The folder on ``sys.path`` that it is found in; None if it is not known.
    """

    module: str
    file: Path | None
    root: Path | None


def locate(reference: str, key: str) -> Place:
    """Return where the module of a callable is.

    Args:
        reference: Such as ``"my_models.py:build"`` or ``"my_models:build"``.
        key: The key that names it, for messages.

    Raises:
        LosstuneError: If the reference has another form, or there is no such file or module.
    """
    place, _, name = reference.rpartition(":")
    found = f"{key}: found {reference!r}"
    if not name.isidentifier() or not place:
        raise LosstuneError(f"{found}, expected {EXPECTED}, where name is a function or a class")
    if place.endswith(".py") or "/" in place:
        return _located_file(Path(place), found)
    if not all(part.isidentifier() for part in place.split(".")):
        raise LosstuneError(f"{found}, expected {EXPECTED}")
    file = find(place, [str(study_folder())])
    if file is None:
        beside = study_folder() / f"{place.replace('.', '/')}.py"
        raise LosstuneError(
            f"{found}, but there is no module {place!r}: neither {beside} nor an installed library has this name"
        )
    depth = len(place.split(".")) + (file.name == "__init__.py")
    return Place(place, file, file.parents[depth - 1])


def _located_file(path: Path, found: str) -> Place:
    file = (study_folder() / path).resolve()
    if not file.is_file():
        others = [other.name for other in file.parent.glob("*.py")] if file.parent.is_dir() else []
        kind = "is a folder" if file.is_dir() else "does not exist"
        raise LosstuneError(f"{found}, but {file} {kind}{did_you_mean(file.name, others)}")
    parts, root = [file.stem], file.parent
    while (root / "__init__.py").exists():
        parts.insert(0, root.name)
        root = root.parent
    if file.suffix != ".py" or not all(part.isidentifier() for part in parts):
        raise LosstuneError(f"{found}, but {file.name} can't be imported; expected a name of letters, digits and _")
    if parts[0] in sys.stdlib_module_names or parts[0] in {"losstune", "torch", "numpy"}:
        raise LosstuneError(f"{found}, but {parts[0]!r} is the name of a module that others import; rename the file")
    return Place(".".join(parts), file, root)


def find(module: str, first: Iterable[str]) -> Path | None:
    """Return the file of a module without importing anything; None if there is none, or it is not written in Python."""
    top, *rest = module.split(".")
    try:
        spec = importlib.machinery.PathFinder.find_spec(top, [*first, *sys.path]) or importlib.util.find_spec(top)
        for depth, _ in enumerate(rest, start=2):
            if spec is None or spec.submodule_search_locations is None:
                return None
            spec = importlib.machinery.PathFinder.find_spec(
                ".".join(module.split(".")[:depth]), list(spec.submodule_search_locations)
            )
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin).resolve()


def closure(places: Collection[Place]) -> tuple[dict[str, Path], set[str]]:
    """Return the files of modules and of the local modules that they import, and the libraries' top names.

    Args:
        places: The modules. Those of installed libraries count as libraries.

    Raises:
        LosstuneError: If a file is not Python.
    """
    local: dict[str, Path] = {}
    outside: set[str] = set()
    named = {place.module: place.file for place in places if place.file}
    waiting = {place.module for place in places}
    roots = [*dict.fromkeys(str(place.root) for place in places if place.root), str(study_folder())]
    while waiting:
        name = waiting.pop()
        if name in local or name.partition(".")[0] in sys.stdlib_module_names:
            continue
        path = named.get(name) or find(name, roots)
        if path is None or is_installed(path):
            if name.partition(".")[0] not in local:
                outside.add(name.partition(".")[0])
            continue
        local[name] = path
        try:
            tree = ast.parse(path.read_bytes(), filename=str(path))
        except SyntaxError as error:
            raise LosstuneError(f"{path}: line {error.lineno}: not valid Python: {error.msg}") from None
        waiting |= imported_names(tree, name, is_package=path.name == "__init__.py") - local.keys()
    tops = {name.partition(".")[0] for name in local}
    return local, {name for name in outside if name not in tops}


def is_installed(path: Path) -> bool:
    """Whether a file belongs to Python, to an installed library, or to losstune."""
    in_packages = not {"site-packages", "dist-packages"}.isdisjoint(path.parts)
    stdlib, losstune = Path(sysconfig.get_path("stdlib")).resolve(), Path(__file__).resolve().parents[1]
    if in_packages or stdlib in path.parents or losstune in path.parents:
        return True
    # PYTHONPATH may name other folders of libraries, such as those of `pip install --target`.
    return any(Path(entry).resolve() in path.parents for entry in sys.path if entry and _has_distributions(entry))


@cache
def _has_distributions(folder: str) -> bool:
    return any(Path(folder).glob("*.dist-info"))
