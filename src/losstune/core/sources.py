"""Find the modules of losstune that a module imports, from its source and without importing it.

A training's identity covers its code, and a DVC stage depends on the files it runs. Both change when the code changes,
but not when a comment changes or the folder moves.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from losstune.core.files import digest


@dataclass(frozen=True)
class SourceTree:
    """The source of one package. Each file is read once.

    Attributes:
        root: The package's folder.
        package: Its name.
        discovers: Maps a module to the package whose modules it imports at run time without an import statement.
            Sub-packages of that package are left out.
    """

    root: Path
    package: str
    discovers: Mapping[str, str] = field(default_factory=dict)
    _trees: dict[str, ast.Module] = field(default_factory=dict, init=False, repr=False, compare=False)
    _digests: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)
    _imports: dict[tuple[str, bool], frozenset[str]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @cached_property
    def modules(self) -> dict[str, Path]:
        """The file of each module by name. The file of a package is its ``__init__.py``."""
        found = {}
        for path in sorted(self.root.rglob("*.py")):
            parts = path.relative_to(self.root).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            found[".".join((self.package, *parts))] = path
        return found

    def imports(self, module: str, *, inside_functions: bool = True) -> frozenset[str]:
        """Return the package's modules that `module` itself imports, with the packages they lie in.

        Args:
            module: Full name, such as ``"losstune.losses.focal"``.
            inside_functions: Whether an import inside a function counts.

        Raises:
            ValueError: If there is no such module.
        """
        if (module, inside_functions) not in self._imports:
            self._imports[module, inside_functions] = self._find_imports(module, inside_functions)
        return self._imports[module, inside_functions]

    def closure(self, modules: Iterable[str]) -> frozenset[str]:
        """Return `modules` and all they import, directly or not, with the packages they lie in."""
        found: set[str] = set()
        waiting = list(modules)
        while waiting:
            module = waiting.pop()
            if module not in found:
                found.add(module)
                waiting.extend(self.imports(module))
        return frozenset(found)

    def digest(self, modules: Iterable[str]) -> str:
        """Return the SHA-256 (64 hex digits) of the code of `modules` and all they import."""
        return digest({name: self.module_digest(name) for name in self.closure(modules)})

    def module_digest(self, module: str) -> str:
        """Return the SHA-256 (64 hex digits) of the code of `module` alone, without what it imports.

        Raises:
            ValueError: If there is no such module.
        """
        if module not in self._digests:
            self._digests[module] = tree_digest(self._tree(module))
        return self._digests[module]

    def _find_imports(self, module: str, inside_functions: bool) -> frozenset[str]:
        modules, tree = self.modules, self._tree(module)
        is_package = modules[module].name == "__init__.py"
        named = imported_names(tree, module, is_package=is_package, inside_functions=inside_functions)
        if module in self.discovers:
            package = self.discovers[module]
            found = {name for name, path in modules.items() if name == package or _lies_in(path, modules[package])}
            named |= {parent for name in found for parent in _with_parents(name)}
        return frozenset(named & modules.keys()) - {module}

    def _tree(self, module: str) -> ast.Module:
        if module not in self.modules:
            raise ValueError(f"{self.package} has no module {module!r}")
        if module not in self._trees:
            path = self.modules[module]
            self._trees[module] = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        return self._trees[module]


LOSSTUNE = SourceTree(Path(__file__).parents[1], "losstune", {"losstune.losses.registry": "losstune.losses"})
"""The source of this package."""


@cache
def transitive_imports(module: str) -> frozenset[str]:
    """Return `module` and every module of losstune that it imports, directly or not, in functions or not.

    Example:
        >>> sorted(transitive_imports("losstune.core.files"))
        ['losstune', 'losstune.core.files']

    Raises:
        ValueError: If losstune has no such module.
    """
    return LOSSTUNE.closure([module])


@cache
def code_digest(*modules: str) -> str:
    """Return the SHA-256 (64 hex digits) of the syntax trees of `modules` and all they import.

    It does not depend on comments, docstrings, formatting, the folder, or the version of Python.

    Raises:
        ValueError: If losstune has no such module.
    """
    return LOSSTUNE.digest(modules)


def modules_of_stage(stage: str) -> frozenset[str]:
    """Return every module that ``losstune <stage>`` runs: the stage, the command line, and all they import.

    The command line imports each stage inside a function, and these imports belong to that stage alone.

    Args:
        stage: Such as ``"tune"``, for the module ``losstune.stages.tune``.

    Raises:
        ValueError: If there is no such stage.
    """
    command_line = {name for name in LOSSTUNE.modules if name.startswith("losstune.cli")}
    used = {name for module in command_line for name in LOSSTUNE.imports(module, inside_functions=False)}
    return LOSSTUNE.closure(used - command_line | {f"losstune.stages.{stage}"}) | command_line


def imported_names(tree: ast.AST, module: str, *, is_package: bool, inside_functions: bool = True) -> frozenset[str]:
    """Return the full name of everything that a module imports, with the packages that this and it lie in.

    A name after ``from package import`` is either a module or an attribute; the caller knows which modules exist. What
    is imported for annotations alone, below ``if TYPE_CHECKING:``, does not count, as it is never run.

    Args:
        tree: Syntax tree of the module.
        module: Its full name.
        is_package: Whether it is the ``__init__.py`` of a package.
        inside_functions: Whether an import inside a function counts.
    """
    named = {module}
    for node in _nodes(tree, inside_functions=inside_functions):
        if isinstance(node, ast.Import):
            named.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, is_package=is_package)
            named.add(base)
            named.update(f"{base}.{alias.name}" for alias in node.names)
    return frozenset(parent for name in named for parent in _with_parents(name))


def tree_digest(tree: ast.AST) -> str:
    """Return the SHA-256 (64 hex digits) of a syntax tree, without comments, docstrings and formatting."""
    return digest(_canonical(tree))


def _nodes(tree: ast.AST, *, inside_functions: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue  # it never runs
        yield child
        if inside_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _nodes(child, inside_functions=inside_functions)


def _absolute(node: ast.ImportFrom, module: str, *, is_package: bool) -> str:
    if node.level == 0:
        return node.module or ""
    parts = module.split(".")
    above = node.level - 1 if is_package else node.level
    return ".".join([*parts[: len(parts) - above], *([node.module] if node.module else [])])


def _with_parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


def _canonical(node: object) -> object:
    # The output of ast.dump and ast.unparse depends on the version of Python: newer ones add empty fields and quote
    # f-strings differently. Empty fields and positions are left out here.
    if isinstance(node, ast.JoinedStr):
        # Early releases of Python 3.12 end a nested format with an empty text.
        return ["JoinedStr", [_canonical(part) for part in node.values if getattr(part, "value", None) != ""]]
    if isinstance(node, ast.AST):
        fields = ((name, _canonical(value)) for name, value in ast.iter_fields(node) if name != "kind")
        return [type(node).__name__, {name: value for name, value in fields if value not in (None, [])}]
    if isinstance(node, list):
        return [_canonical(item) for item in node if not _is_docstring(item)]
    # The type is included so that 1, 1.0, True and "1" differ.
    return None if node is None else f"{type(node).__name__} {node!r}"


def _is_docstring(node: object) -> bool:
    # A string expression has no effect, neither below a variable nor at the start of a function.
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _lies_in(path: Path, package: Path) -> bool:
    return path.parent == package.parent and path != package
