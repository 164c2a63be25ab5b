"""Callables that live in this process alone, such as those that a notebook's cell or a script defines.

There is no file to name them by, so they are known here by a reference such as ``__main__:build``. Their identity is
that of their code and of every value that it uses: variables of the notebook, defaults, closures, and base
classes. It is the same after a restart, and does not depend on comments, docstrings, and where a cell stands.
"""

from __future__ import annotations

import ast
import dis
import functools
import hashlib
import inspect
import sys
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from losstune.core.errors import LosstuneError, in_one_line
from losstune.core.files import digest
from losstune.core.sources import tree_digest

MAIN = "__main__"

_objects: dict[str, Any] = {}
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
"""Types whose values ``repr`` gives in full."""

_NOT_CODE = {
    *("__abstractmethods__", "__annotate__", "__annotate_func__", "__annotations__", "__annotations_cache__"),
    *("__conditional_annotations__", "__dict__", "__doc__", "__firstlineno__", "__module__", "__qualname__"),
    *("__static_attributes__", "__weakref__", "_abc_impl"),
}
"""Attributes of a class that its behaviour does not depend on, or that follow from others."""


def use(objects: Mapping[str, Any]) -> None:
    """Make these objects known in this process by their references, in place of others with the same references."""
    _objects.update(objects)


def is_live(reference: str) -> bool:
    """Return whether a reference names an object that lives in this process alone."""
    return reference in _objects


def get(reference: str) -> Any:
    """Return the object of a reference for which :func:`is_live` holds."""
    return _objects[reference]


def is_importable(value: Any) -> bool:
    """Return whether another process that has the same files finds the function or class by its module and name."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not module or not name or module in {MAIN, "__mp_main__"}:
        return False
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value


@dataclass(frozen=True, slots=True)
class Examined:
    """What a live object consists of.

    Attributes:
        digest: SHA-256 (64 hex digits) of its code and values, without the code of `modules`.
        modules: Names of the modules that it needs.
    """

    digest: str
    modules: frozenset[str]


def examine(value: Any, found: str) -> Examined:
    """Examine a function, a class or an object.

    Args:
        value: The object.
        found: Start of the error message, which names the object.

    Raises:
        LosstuneError: If it uses a value whose content can't be told, such as an open file.
    """
    walk = _Walk(found)
    return Examined(digest(walk.token(value)), frozenset(walk.modules))


@dataclass
class _Walk:
    found: str
    name: str = ""
    modules: set[str] = field(default_factory=set)
    # Holds the objects, too, because an id is unique among living objects only.
    done: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    inside: list[Any] = field(default_factory=list)

    def token(self, value: Any) -> Any:
        """Return JSON values that are equal for equal content."""
        if type(value) in _PLAIN:
            return [type(value).__name__, repr(value)]
        if id(value) in self.done:
            return self.done[id(value)][1]
        if any(outer is value for outer in self.inside):  # as a method refers to its class
            return ["outer", [outer is value for outer in self.inside].index(True)]
        self.inside.append(value)
        try:
            token = self._token(value)
        finally:
            self.inside.pop()
        short = digest(token) if len(token) > 1 else token
        self.done[id(value)] = value, short
        return short

    def _token(self, value: Any) -> list[Any]:
        if isinstance(value, types.ModuleType):
            self.modules.add(value.__name__)
            return ["module", value.__name__]
        if isinstance(value, types.FunctionType | type | types.BuiltinFunctionType) and is_importable(value):
            return self._named(value.__module__, value.__qualname__)
        if type(value).__name__ == "ufunc":  # which can't be pickled, unlike NumPy's other functions
            return self._named("numpy", value.__name__)
        if isinstance(value, types.BuiltinFunctionType):
            return ["builtin", value.__qualname__]
        kind = type if isinstance(value, type) else type(value)
        if kind in _KINDS:
            return [kind.__name__, *_KINDS[kind](self, value)]
        if hasattr(value, "__wrapped__"):  # such as a cached function
            return ["wrapped", self.token(type(value)), self.token(value.__wrapped__)]
        if hasattr(value, "__array__") and hasattr(value, "dtype") and hasattr(value, "shape"):
            return self._array(value)
        return self._object(value)

    def _named(self, module: str, name: str) -> list[Any]:
        self.modules.add(module)
        return ["named", module, name]

    def _array(self, value: Any) -> list[Any]:
        import numpy as np

        numbers = value.detach().cpu() if hasattr(value, "detach") else value
        if "bfloat16" in str(value.dtype) or "float8" in str(value.dtype):  # NumPy has neither
            numbers = numbers.float()
        array = np.ascontiguousarray(np.asarray(numbers))
        content = (
            [self.token(item) for item in array.ravel().tolist()]
            if array.dtype == object
            else hashlib.sha256(array.tobytes()).hexdigest()
        )
        return ["array", self.token(type(value)), str(value.dtype), list(value.shape), content]

    def _object(self, value: Any) -> list[Any]:
        try:
            reduced = value.__reduce_ex__(4)
        except Exception as error:
            what = f"{self.name!r}, " if self.name else ""
            raise LosstuneError(
                f"{self.found} uses {what}a {type(value).__name__}, whose content can't be told "
                f"({in_one_line(error)}), so that a change of it would go unnoticed; make it inside the function"
            ) from None
        if isinstance(reduced, str):
            return self._named(type(value).__module__, reduced)
        return ["object", *(self.token(list(part) if isinstance(part, Iterator) else part) for part in reduced)]

    def _function(self, value: types.FunctionType) -> Iterator[Any]:
        yield _source_digest(value.__code__) or self._code(value.__code__, value.__doc__)
        yield self.token(value.__defaults__)
        yield self.token(value.__kwdefaults__)
        yield [self._cell(cell) for cell in value.__closure__ or ()]
        yield [self._global(name, value) for name in sorted(_global_names(value.__code__)) if name in value.__globals__]
        yield self.token(value.__dict__)

    def _global(self, name: str, function: types.FunctionType) -> list[Any]:
        self.name = name
        return [name, self.token(function.__globals__[name])]

    def _cell(self, cell: types.CellType) -> Any:
        try:
            return self.token(cell.cell_contents)
        except ValueError:  # empty
            return None

    def _code(self, code: types.CodeType, doc: str | None = None) -> list[Any]:
        constants = [None if place == 0 and item == doc else item for place, item in enumerate(code.co_consts)]
        return [
            [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags],
            [code.co_code.hex(), code.co_exceptiontable.hex()],
            [list(names) for names in (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)],
            [self._code(item) if isinstance(item, types.CodeType) else self.token(item) for item in constants],
        ]

    def _class(self, value: type) -> Iterator[Any]:
        yield value.__name__
        yield self.token(type(value))
        yield [self.token(base) for base in value.__bases__]
        slots = (types.GetSetDescriptorType, types.MemberDescriptorType)
        parts = {name: item for name, item in vars(value).items() if name not in _NOT_CODE}
        yield [[name, self.token(item)] for name, item in sorted(parts.items()) if not isinstance(item, slots)]

    def _each(self, values: Iterable[Any]) -> list[Any]:
        return [self.token(value) for value in values]

    def _sorted(self, values: Iterable[Any]) -> list[Any]:
        # Equal sets may list their items in another order.
        return sorted(self._each(values), key=str)

    def _items(self, values: Mapping[Any, Any]) -> list[Any]:
        return [[self.token(key), self.token(item)] for key, item in values.items()]


_KINDS: dict[type, Callable[[_Walk, Any], Iterable[Any]]] = {
    types.FunctionType: _Walk._function,
    type: _Walk._class,
    types.MethodType: lambda walk, value: walk._each((value.__func__, value.__self__)),
    staticmethod: lambda walk, value: walk._each((value.__func__,)),
    classmethod: lambda walk, value: walk._each((value.__func__,)),
    property: lambda walk, value: walk._each((value.fget, value.fset, value.fdel)),
    functools.partial: lambda walk, value: walk._each((value.func, value.args, value.keywords)),
    types.MappingProxyType: _Walk._items,
    dict: _Walk._items,
    list: _Walk._each,
    tuple: _Walk._each,
    set: _Walk._sorted,
    frozenset: _Walk._sorted,
}


def _source_digest(code: types.CodeType) -> str | None:
    """Return the digest of a function's syntax tree; None if its source is not known, or shared with other code."""
    # Compiled code would do, but depends on the version of Python and on whether an import stands in the same cell.
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, SyntaxError):
        return None
    function = tree.body[0]
    is_it = isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name == code.co_name
    return tree_digest(function) if is_it else None


def _global_names(code: types.CodeType) -> set[str]:
    """Return the names of variables of the module that a function and the functions in it read."""
    steps = dis.get_instructions(code)
    names = {str(step.argval) for step in steps if step.opname in {"LOAD_GLOBAL", "LOAD_NAME"}}
    return names.union(*(_global_names(item) for item in code.co_consts if isinstance(item, types.CodeType)))
