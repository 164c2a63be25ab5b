"""Read DVC outputs at a revision from the cache or a remote."""

from __future__ import annotations

from pathlib import Path

from losstune.core.gc_pause import collection_paused
from losstune.report.compare.trees import Tree

_LOCK = Path("dvc.lock")


def read_out(tree: Tree, path: Path) -> bytes | None:
    """Return an output's content at a revision, by ``dvc.api.read``; None if no cache has it.

    In the work tree, the file itself is read. DVC is imported only if ``dvc.lock`` names the path.
    """
    content = tree.read(path)
    if content is not None or tree.is_workspace:
        return content
    lock = tree.read(_LOCK)
    if lock is None or path.as_posix().encode() not in lock:
        return None
    with collection_paused():
        import dvc.api
        from dvc.exceptions import DvcException
    try:
        read = dvc.api.read(path.as_posix(), repo=str(tree.folder), rev=tree.commit, mode="rb")
    except (DvcException, OSError):
        return None
    return read if isinstance(read, bytes) else str(read).encode()
