"""Load the losses in a user's own Python file."""

from __future__ import annotations

import ast
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from losstune import losses
from losstune.core.errors import LosstuneError, in_one_line
from losstune.losses.registry import aliases, registry
from losstune.losses.spec import LossSpec


def specs_in(path: Path) -> list[LossSpec]:
    """Run a Python file and return every :class:`LossSpec` that it defines at its top level.

    Imported specs do not count. The file may import modules in its own folder, as a script may.

    Raises:
        LosstuneError: If the file does not exist, cannot be run, or defines no loss.
    """
    if not path.is_file():
        raise LosstuneError(f"{path}: no such file; expected a Python file that defines a LossSpec")
    beside = str(path.resolve().parent)
    sys.path.insert(0, beside)
    try:
        names = runpy.run_path(str(path))
        imported = _imported_names(path)
    except (Exception, SystemExit) as error:  # the file may raise anything
        raise LosstuneError(f"{path}: cannot be run: {type(error).__name__}: {in_one_line(error)}") from None
    finally:
        sys.path.remove(beside)
    catalogue = {id(spec) for spec in registry().values()}  # obtained by a call such as `get("focal")`
    own = [
        value
        for name, value in names.items()
        if isinstance(value, LossSpec) and name not in imported and id(value) not in catalogue
    ]
    found = list({id(spec): spec for spec in own}.values())
    if not found:
        raise LosstuneError(
            f"{path}: found no LossSpec at its top level; expected one, such as SPEC = LossSpec(name=...)"
        )
    _require_usable(path, found)
    return found


def _require_usable(path: Path, specs: Sequence[LossSpec]) -> None:
    names: list[str] = []
    for spec in specs:
        if not isinstance(spec.name, str) or not spec.name.isidentifier():
            raise LosstuneError(
                f"{path}: found the name {spec.name!r}, expected letters, digits and _, such as 'my_loss'"
            )
        for part in ("function", "link"):
            if not callable(getattr(spec, part)):
                raise LosstuneError(
                    f"{path}: {spec.name}.{part}: found {getattr(spec, part)!r}, expected a function of logits (N, C)"
                )
        if spec.name in names:
            raise LosstuneError(f"{path}: two losses are named {spec.name!r}, expected a name for each")
        names.append(spec.name)
        is_catalogue = path.resolve().parent == Path(losses.__path__[0]).resolve()
        if not is_catalogue and (spec.name in registry() or spec.name in aliases()):
            raise LosstuneError(
                f"{path}: the name {spec.name!r} is taken by a loss of the catalogue, expected another "
                "(`losstune losses list`)"
            )


def _imported_names(path: Path) -> set[str]:
    statements = ast.parse(path.read_text(encoding="utf-8")).body
    imports = [node for node in statements if isinstance(node, ast.Import | ast.ImportFrom)]
    return {alias.asname or alias.name.partition(".")[0] for node in imports for alias in node.names}
