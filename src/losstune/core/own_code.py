"""A user's own callables, named ``path/to/file.py:callable`` or ``module.path:callable``.

A file's path is relative to the study's folder. Its module has the name that ``python path/to/file.py`` would see: the
folder above the outermost package is put on ``sys.path``. The code of a callable is its module with all local modules
that this imports; modules of installed libraries are not local, and count by their version. A callable that no file
defines is one of :mod:`losstune.core.live_code`.
"""

from __future__ import annotations

import ast
import importlib
import os
import pickle
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from losstune.core import live_code
from losstune.core.errors import LosstuneError, did_you_mean, in_one_line
from losstune.core.files import digest, write_atomically
from losstune.core.local_code import Place, closure, is_installed, locate, study_folder, use_study_folder
from losstune.core.sources import tree_digest

RESERVED = ("torchvision:", "timm:")
"""Prefixes of names that are no reference to a user's code."""

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


def reference_of(own: Any) -> str | None:
    """Return a reference to a function or class that another process can import; None if there is none."""
    if not live_code.is_importable(own) or "." in own.__qualname__:
        return None
    place = _place_of(own.__module__)
    if place.file is None:
        return None
    folder = study_folder().resolve()
    is_here = folder in place.file.parents and not is_installed(place.file)
    where = place.file.relative_to(folder).as_posix() if is_here else place.module
    return f"{where}:{own.__qualname__}"


def load(reference: str, key: str, *, also: type | tuple[type, ...] = ()) -> Any:
    """Import and return a user's callable.

    Args:
        reference: Such as ``"my_models.py:build"``.
        key: The key that names it, such as ``"model.name"``, for messages.
        also: Types of objects that are allowed besides callables.

    Raises:
        LosstuneError: If there is no such file, module or callable, or importing it fails.
    """
    if live_code.is_live(reference):
        return live_code.get(reference)
    place = locate(reference, key)
    found = f"{key}: found {reference!r}"
    local = {name: (path, _digest_of_file(path)) for name, path in closure([place])[0].items()}
    _use_root(study_folder())
    if place.root is not None:
        _use_root(place.root)
    _forget_others(local)
    try:
        with _without_bytecode():
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
    if live_code.is_live(reference):
        examined = _examined(reference, key or reference)
        places, identity = _places_of(examined), [examined.digest]
    else:
        places = [locate(reference, key or reference)]
        identity = [places[0].module, name_of(reference)]
    modules, libraries = closure(places)
    local = {name: _digest_of_file(path) for name, path in modules.items()}
    return digest([*identity, local, sorted(libraries)])


def require_file(reference: str, key: str) -> None:
    """Check that the callable's file exists and is Python, without importing it.

    Raises:
        LosstuneError: As :func:`code_digest`.
    """
    closure(_places(reference, key))


def local_files(reference: str, key: str = "") -> list[Path]:
    """Return the callable's file and the local files that it imports, sorted.

    Raises:
        LosstuneError: As :func:`code_digest`.
    """
    return sorted(set(closure(_places(reference, key or reference))[0].values()))


def libraries(references: Iterable[str]) -> tuple[str, ...]:
    """Return the installed distributions whose modules the callables' own code imports, sorted.

    Raises:
        LosstuneError: As :func:`code_digest`.
    """
    tops = {top for reference in references for top in closure(_places(reference, reference))[1]}
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
        live: The live objects by their references, pickled; they may need the files.
    """

    base: str
    folder: str
    roots: tuple[str, ...]
    files: Mapping[str, str]
    live: bytes | None = None


def bundle(references: Iterable[str]) -> Bundle:
    """Collect the source of the callables and of all local modules that they import.

    Raises:
        LosstuneError: As :func:`code_digest`.
    """
    references = list(references)
    study = study_folder().resolve()
    live = {reference: live_code.get(reference) for reference in references if live_code.is_live(reference)}
    files: set[Path] = set()
    roots: dict[Path, None] = {}
    for reference in references:
        for name, path in closure(_places(reference, reference))[0].items():
            files.add(path)
            roots[path.parents[len(name.split(".")) - (path.name != "__init__.py")]] = None
    # Relative paths stay as they are below the common folder, so that references lead to the same files.
    base = Path(os.path.commonpath([study, *(path.parent for path in files)]))
    return Bundle(
        base=str(base),
        folder=os.path.relpath(study, base),
        roots=tuple(os.path.relpath(root, base) for root in roots),
        files={path.relative_to(base).as_posix(): path.read_text(encoding="utf-8") for path in sorted(files)},
        live=_pickled(live) if live else None,
    )


def _pickled(live: Mapping[str, Any]) -> bytes:
    import cloudpickle

    for reference, value in live.items():
        try:
            cloudpickle.dumps(value)
        except Exception as error:
            raise LosstuneError(
                f"{name_of(reference)} can't be sent to another process: {in_one_line(error)}; make what it uses "
                "inside the function, or set resources.executor to inline"
            ) from None
    return cloudpickle.dumps(dict(live))  # type: ignore[no-any-return]


def install(content: Bundle) -> None:
    """Make the code of a bundle importable in this process.

    If the same files exist here at the same place, they are used, so that the code finds other files beside them. Else
    they are written to a temporary folder.
    """
    base = Path(content.base)
    if not all(_has_text(base / path, text) for path, text in content.files.items()):
        base = Path(tempfile.gettempdir()) / f"losstune-own-{digest(dict(content.files))[:16]}"
        for path, text in content.files.items():
            if not _has_text(base / path, text):
                write_atomically(base / path, text)
    folder = (base / content.folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    use_study_folder(folder)
    for root in reversed(content.roots):
        _use_root((base / root).resolve())
    if content.live is not None:
        live_code.use(pickle.loads(content.live))  # from the process that started this one


def _places(reference: str, key: str) -> list[Place]:
    """Return the modules that define a callable, or that a live one needs."""
    if not live_code.is_live(reference):
        return [locate(reference, key)]
    return _places_of(_examined(reference, key))


def _examined(reference: str, key: str) -> live_code.Examined:
    # It reads every value that the object uses, which may be large arrays.
    return live_code.examine(live_code.get(reference), f"{key}: {name_of(reference)}")


def _places_of(examined: live_code.Examined) -> list[Place]:
    return [_place_of(name) for name in sorted(examined.modules)]


def _place_of(module: str) -> Place:
    file = getattr(sys.modules.get(module), "__file__", None)
    if not file or not file.endswith(".py"):
        return Place(module, None, None)
    path = Path(file).resolve()
    return Place(module, path, path.parents[module.count(".") + (path.name == "__init__.py")])


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


@contextmanager
def _without_bytecode() -> Iterator[None]:
    """Write no bytecode: Python would run it for a file that is edited within a second and keeps its size."""
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = kept


def _has_text(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False
