"""A loss as text to copy: plain PyTorch without losstune.

The text is the catalogue's own source, with the functions that it calls, so it can't differ from what a study trains.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from types import FunctionType, ModuleType

from losstune.losses.spec import LossSpec

PACKAGE = "losstune."


def snippet(spec: LossSpec) -> str:
    """Return Python code that defines the loss's function, with an example call.

    Raises:
        OSError: If the function's source is not available, for example because it was typed into an interpreter.
    """
    parts = _Parts()
    parts.add(spec.function.__name__, sys.modules[spec.function.__module__])
    arguments = "".join(f", {name}={value!r}" for name, value in spec.defaults.items())
    if spec.needs_counts:
        arguments += ", counts_C=torch.tensor(samples_per_class)"
        parts.imports.add("import torch")
    call = f"# loss = {spec.function.__name__}(logits, target{arguments}).mean()"
    imports = "\n".join(sorted(parts.imports, key=_import_order))
    return "\n\n\n".join([f"from __future__ import annotations\n\n{imports}", *parts.texts, call]) + "\n"


def _import_order(line: str) -> tuple[bool, bool, str]:
    """Sort the standard library first, and ``import`` before ``from`` lines."""
    kind, module, *_ = line.split()
    return module.partition(".")[0] not in sys.stdlib_module_names, kind == "from", line


class _Parts:
    """The imports and definitions of a snippet, in order of definition."""

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.texts: list[str] = []
        self._seen: set[tuple[str, str]] = set()

    def add(self, name: str, module: ModuleType) -> None:
        """Add a module's definition of a name, after the definitions that it needs."""
        if (name, module.__name__) in self._seen:
            return
        self._seen.add((name, module.__name__))
        line, origin = _import_of(name, module)
        if origin is not None:
            self.add(name, origin)
        elif line is not None:
            self.imports.add(line)
        else:
            source = _definition(name, module)
            for other in _names(source):
                if hasattr(module, other) and other != name:
                    self.add(other, module)
            self.texts.append(source)


def _import_of(name: str, module: ModuleType) -> tuple[str | None, ModuleType | None]:
    """Return how a module imports a name: the import line, or the module of this package that defines it."""
    for node in ast.parse(inspect.getsource(module)).body:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        for alias in node.names:
            if (alias.asname or alias.name) != name:
                continue
            if isinstance(node, ast.ImportFrom):
                if (node.module or "").startswith(PACKAGE):
                    return None, sys.modules[str(node.module)]
                return f"from {node.module} import {alias.name}", None
            return f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else ""), None
    return None, None


def _definition(name: str, module: ModuleType) -> str:
    value = getattr(module, name)
    if isinstance(value, FunctionType | type):
        return _without_docstrings(textwrap.dedent(inspect.getsource(value)).rstrip())
    return f"{name} = {value!r}"


def _names(source: str) -> list[str]:
    found = [node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)]
    return list(dict.fromkeys(found))


def _without_docstrings(source: str) -> str:
    """Shorten every docstring to its first line."""
    lines = source.splitlines()
    for node in reversed(list(ast.walk(ast.parse(source)))):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        first = node.body[0]
        text = ast.get_docstring(node)
        if text is None or first.end_lineno is None:
            continue
        indent = " " * first.col_offset
        lines[first.lineno - 1 : first.end_lineno] = [f'{indent}"""{text.splitlines()[0]}"""']
    return "\n".join(lines)
