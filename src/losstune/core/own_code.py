"""A user's own callables, named ``path/to/file.py:callable`` or ``module.path:callable``.

A file's path is relative to the study's folder. Its module has the name that ``python path/to/file.py`` would see: the
folder above the outermost package is put on ``sys.path``. The code of a callable is its module with all local modules
that this imports; modules of installed libraries are not local, and count by their version.
"""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import importlib.util
import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from losstune.core.errors import LosstuneError, did_you_mean, in_one_line
from losstune.core.files import digest, write_atomically
from losstune.core.sources import imported_names, tree_digest

RESERVED = ("torchvision:", "timm:")
"""Prefixes of names that are no reference to a user's code."""

EXPECTED = "your own as path/to/file.py:name or module:name"

_folder: Path | None = None
_loaded: dict[str, tuple[Path, str]] = {}
"""Modules of users that this process has imported, with their files and the digest of their code at that time."""


def is_own(name: str) -> bool:
    """Return whether a name in ``params.yaml`` refers to the user's own code.

    Example:
        >>> is_own("my_models.py:build"), is_own("torchvision:resnet18"), is_own("cnn")
        (True, False, False)
    """
    return ":" in name and not name.startswith(RESERVED)


def name_of(reference: str) -> str:
    """Return the name of the callable.

    Example:
        >>> name_of("my_losses.py:tilted")
        'tilted'
    """
    return reference.rpartition(":")[2]


def load(reference: str, key: str, *, also: type | tuple[type, ...] = ()) -> Any:
    """Import and return a user's callable.

    Args:
        reference: Such as ``"my_models.py:build"``.
        key: The key that names it, such as ``"model.name"``, for messages.
        also: Types of objects that are allowed besides callables.

    Raises:
        LosstuneError: If there is no such file, module or callable, or importing it fails.
    """
    place = _located(reference, key)
    found = f"{key}: found {reference!r}"
    local = {name: (path, _digest_of_file(path)) for name, path in _closure(place)[0].items()}
    _use_root(study_folder())
    _use_root(place.root)
    _forget_others(local)
    try:
        module = importlib.import_module(place.module)
    except SyntaxError as error:
        where = f"{Path(error.filename or place.module).name}, line {error.lineno}"
        raise LosstuneError(f"{found}, but it is not valid Python: {where}: {error.msg}") from None
    except ModuleNotFoundError as error:
        raise LosstuneError(
            f"{found}, which imports {error.name!r}, but there is no such module here; install the library, or put the "
            "file beside it"
        ) from None
    except SystemExit:
        raise LosstuneError(
            f"{found}, which ends the process when it is imported; put what it runs as a script below "
            "`if __name__ == '__main__':`"
        ) from None
    except Exception as error:
        raise LosstuneError(
            f"{found}, which raises when it is imported: {type(error).__name__}: {in_one_line(error)}"
        ) from None
    file = Path(module.__file__ or "").resolve()
    if file != place.file:
        raise LosstuneError(
            f"{found}, but the name {place.module!r} is that of another module, {file}; rename the file {place.file}"
        )
    _loaded.update(local)
    name = name_of(reference)
    attribute = getattr(module, name, None)
    if callable(attribute) or (also and isinstance(attribute, also)):
        return attribute
    if hasattr(module, name):
        raise LosstuneError(f"{found}, which is a {type(attribute).__name__}, expected a function or a class")
    names = [other for other, value in vars(module).items() if callable(value) and not other.startswith("_")]
    raise LosstuneError(f"{found}, but {place.file.name} has no {name!r}{did_you_mean(name, names)}")


def code_digest(reference: str, key: str = "") -> str:
    """Return the SHA-256 (64 hex digits) of the callable's code and name, without running it.

    It does not depend on comments, docstrings, formatting and the folder.

    Raises:
        LosstuneError: As :func:`load`, for what can be found without importing.
    """
    place = _located(reference, key or reference)
    modules, libraries = _closure(place)
    local = {name: _digest_of_file(path) for name, path in modules.items()}
    return digest([place.module, name_of(reference), local, sorted(libraries)])


def require_file(reference: str, key: str) -> None:
    """Check that the callable's file exists and is Python, without importing it.

    Raises:
        LosstuneError: As :func:`code_digest`.
    """
    _closure(_located(reference, key))


def local_files(reference: str, key: str = "") -> list[Path]:
    """Return the callable's file and the local files that it imports, sorted.

    Raises:
        LosstuneError: As :func:`code_digest`.
    """
    return sorted(set(_closure(_located(reference, key or reference))[0].values()))


def libraries(references: Iterable[str]) -> tuple[str, ...]:
    """Return the installed distributions whose modules the callables' own code imports, sorted.

    Raises:
        LosstuneError: As :func:`code_digest`.
    """
    tops = {top for reference in references for top in _closure(_located(reference, reference))[1]}
    if not tops:
        return ()
    known = packages_distributions()
    return tuple(sorted({name for top in tops for name in known.get(top, ())} - {"losstune"}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The source of a study's own code, for processes that may not see the study's folder.

    Attributes:
        base: A folder, on the machine that made the bundle, that holds the study and all files.
        folder: The study's folder, relative to `base`.
        roots: Folders for ``sys.path``, relative to `base`; the first one counts most.
        files: Text of each file, by its path relative to `base`.
    """

    base: str
    folder: str
    roots: tuple[str, ...]
    files: Mapping[str, str]


def bundle(references: Iterable[str]) -> Bundle:
    """Collect the source of the callables and of all local modules that they import.

    Raises:
        LosstuneError: As :func:`code_digest`.
    """
    study = study_folder().resolve()
    files: set[Path] = set()
    roots: dict[Path, None] = {}
    for reference in references:
        for name, path in _closure(_located(reference, reference))[0].items():
            files.add(path)
            roots[path.parents[len(name.split(".")) - (path.name != "__init__.py")]] = None
    # Relative paths stay as they are below the common folder, so that references lead to the same files.
    base = Path(os.path.commonpath([study, *(path.parent for path in files)]))
    return Bundle(
        base=str(base),
        folder=os.path.relpath(study, base),
        roots=tuple(os.path.relpath(root, base) for root in roots),
        files={path.relative_to(base).as_posix(): path.read_text(encoding="utf-8") for path in sorted(files)},
    )


def install(content: Bundle) -> None:
    """Make the code of a bundle importable in this process.

    If the same files exist here at the same place, they are used, so that the code finds other files beside them. Else
    they are written to a temporary folder.
    """
    global _folder
    base = Path(content.base)
    if not all(_has_text(base / path, text) for path, text in content.files.items()):
        base = Path(tempfile.gettempdir()) / f"losstune-own-{digest(dict(content.files))[:16]}"
        for path, text in content.files.items():
            if not _has_text(base / path, text):
                write_atomically(base / path, text)
    _folder = (base / content.folder).resolve()
    _folder.mkdir(parents=True, exist_ok=True)
    for root in reversed(content.roots):
        _use_root((base / root).resolve())


def study_folder() -> Path:
    """Return the folder that references are relative to: the working directory, or where a bundle was installed."""
    return _folder or Path.cwd()


@dataclass(frozen=True, slots=True)
class _Place:
    module: str
    file: Path
    root: Path


def _located(reference: str, key: str) -> _Place:
    place, _, name = reference.rpartition(":")
    found = f"{key}: found {reference!r}"
    if not name.isidentifier() or not place:
        raise LosstuneError(f"{found}, expected {EXPECTED}, where name is a function or a class")
    if place.endswith(".py") or "/" in place:
        return _located_file(Path(place), found)
    if not all(part.isidentifier() for part in place.split(".")):
        raise LosstuneError(f"{found}, expected {EXPECTED}")
    file = _find(place, [str(study_folder())])
    if file is None:
        beside = study_folder() / f"{place.replace('.', '/')}.py"
        raise LosstuneError(
            f"{found}, but there is no module {place!r}: neither {beside} nor an installed library has this name"
        )
    depth = len(place.split(".")) + (file.name == "__init__.py")
    return _Place(place, file, file.parents[depth - 1])


def _located_file(path: Path, found: str) -> _Place:
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
    return _Place(".".join(parts), file, root)


def _find(module: str, first: Iterable[str]) -> Path | None:
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


def _closure(place: _Place) -> tuple[dict[str, Path], set[str]]:
    """Return the files of the local modules that a module imports, itself included, and the libraries' top names."""
    local: dict[str, Path] = {}
    outside: set[str] = set()
    waiting = {place.module}
    roots = [str(place.root), str(study_folder())]
    while waiting:
        name = waiting.pop()
        if name in local or name.partition(".")[0] in sys.stdlib_module_names:
            continue
        path = place.file if name == place.module else _find(name, roots)
        if path is None or _is_installed(path):
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


def _is_installed(path: Path) -> bool:
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


def _digest_of_file(path: Path) -> str:
    return tree_digest(ast.parse(path.read_bytes()))


def _use_root(root: Path) -> None:
    if sys.path[:1] != [str(root)]:
        sys.path[:] = [str(root), *(path for path in sys.path if path != str(root))]
        importlib.invalidate_caches()


def _forget_others(local: Mapping[str, tuple[Path, str]]) -> None:
    """Forget imported modules of users if one of them belongs to another study, or was edited since."""
    if any(_loaded.get(name, found) != found for name, found in local.items()):
        for name in _loaded:
            sys.modules.pop(name, None)
        _loaded.clear()


def _has_text(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False
