"""The training code that differs between two revisions. Comments and docstrings are ignored."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field

from losstune.core.errors import LosstuneError
from losstune.core.records import Row
from losstune.core.sources import LOSSTUNE, SourceTree
from losstune.report.compare.revisions import PACKAGE
from losstune.report.compare.trees import Tree
from losstune.verdict.facts import CodeFacts

TRAINING = ("losstune.training.loop", "losstune.training")
"""The module that trains, and its former name."""
_LOSSES = "losstune.losses"


class CodeChange(Row):
    """The modules of losstune that differ.

    Attributes:
        is_known: Whether both revisions have losstune's source.
        trial: Differing modules that every training uses.
        losses: Differing modules that only one loss uses, by loss; only losses with any.
        others: Differing modules that no training uses.
        own: Keys of ``params.yaml`` that name code of the user's own which differs, such as ``model.name``.
    """

    is_known: bool
    trial: tuple[str, ...] = ()
    losses: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    others: tuple[str, ...] = ()
    own: tuple[str, ...] = ()

    @property
    def is_identical(self) -> bool:
        """Whether all trainings ran the same code."""
        return self.is_known and not self.trial and not self.losses and not self.own


def recorded_change(a: CodeFacts | None, b: CodeFacts | None, found: CodeChange) -> CodeChange:
    """Add what the results of two revisions recorded of their code to what is `found` in the repository.

    Without losstune's source in the repository, only the digests can say whether its code differs.
    """
    if a is None or b is None:
        return found
    own = tuple(sorted(key for key in a.own.keys() | b.own.keys() if a.own.get(key) != b.own.get(key)))
    if found.is_known:
        return found.model_copy(update={"own": own})
    losses: dict[str, tuple[str, ...]] = {
        loss: (f"{_LOSSES}.{loss}",) for loss in a.losses.keys() & b.losses.keys() if a.losses[loss] != b.losses[loss]
    }
    trial = () if a.training == b.training else (TRAINING[0],)
    return CodeChange(is_known=True, trial=trial, losses=losses, own=own)


def code_change(a: Tree, b: Tree, losses: Iterable[str]) -> CodeChange:
    """Compare the code that trains at two revisions.

    Only modules that are part of a training's identity count: those that ``losstune.training.loop`` and the module of
    the loss import, without comments, docstrings and formatting.

    Args:
        a: Files of one revision.
        b: Files of the other revision.
        losses: Names of the losses of both revisions.

    Raises:
        LosstuneError: If a file is not Python.
    """
    sources_a, sources_b = a.sources(PACKAGE), b.sources(PACKAGE)
    if not sources_a or not sources_b:
        return CodeChange(is_known=False)
    edited = {
        _module(path) for path in sources_a.keys() | sources_b.keys() if sources_a.get(path) != sources_b.get(path)
    }
    if not edited:
        return CodeChange(is_known=True)
    try:
        with _tree_of(sources_a) as tree_a, _tree_of(sources_b) as tree_b:
            differing = {name for name in edited if _digest(tree_a, name) != _digest(tree_b, name)}
            training = frozenset().union(*(_closure(tree, name) for tree in (tree_a, tree_b) for name in TRAINING))
            own = {
                loss: (_closure(tree_a, f"{_LOSSES}.{loss}") | _closure(tree_b, f"{_LOSSES}.{loss}")) - training
                for loss in losses
            }
    except SyntaxError as error:
        name = Path(error.filename or "").name
        raise LosstuneError(f"{PACKAGE}: line {error.lineno} of {name} is not Python: {error.msg}") from None
    trial = differing & training
    by_loss = {loss: tuple(sorted(differing & modules)) for loss, modules in own.items() if differing & modules}
    return CodeChange(
        is_known=True,
        trial=tuple(sorted(trial)),
        losses=by_loss,
        others=tuple(sorted(differing - training - {name for names in own.values() for name in names})),
    )


@contextmanager
def _tree_of(sources: dict[str, bytes]) -> Iterator[SourceTree]:
    """Write sources to a temporary folder, because :class:`SourceTree` reads only files."""
    with tempfile.TemporaryDirectory(prefix="losstune-") as folder:
        root = Path(folder) / LOSSTUNE.package
        for name, content in sources.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        yield SourceTree(root, LOSSTUNE.package, LOSSTUNE.discovers)


def _module(path: str) -> str:
    parts = Path(path).with_suffix("").parts
    return ".".join((LOSSTUNE.package, *(parts[:-1] if parts[-1] == "__init__" else parts)))


def _digest(tree: SourceTree, module: str) -> str | None:
    return tree.module_digest(module) if module in tree.modules else None


def _closure(tree: SourceTree, module: str) -> frozenset[str]:
    return tree.closure([module]) if module in tree.modules else frozenset()
