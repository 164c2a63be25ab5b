"""Open the ledger that the settings name: on disk, with a shared one beside it if there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from losstune.config.schema import Params
from losstune.study.ledger import Ledger
from losstune.study.shared_ledger import SharedLedger


@contextmanager
def open_ledger(params: Params, root: Path, *, look_only: bool = False) -> Iterator[Ledger]:
    """Open the ledger; at the end wait until the shared one has what it was given, unless the end is a Ctrl-C.

    Args:
        params: Validated ``params.yaml``.
        root: Root of the study.
        look_only: Whether nothing on the disk may change.

    Raises:
        LosstuneError: If the shared ledger can't be read.
    """
    if params.resources.ledger is None:
        yield Ledger(root, look_only=look_only)
        return
    shared = SharedLedger(params.resources.ledger, root)
    in_time = True
    try:
        yield Ledger(root, shared=shared, look_only=look_only)
    except KeyboardInterrupt:
        in_time = False
        raise
    finally:
        shared.close(wait=in_time)
