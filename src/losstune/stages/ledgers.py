"""Open the ledger: on disk, and the shared one if it is configured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from losstune.config.schema import Params
from losstune.study.ledger import Ledger
from losstune.study.shared_ledger import SharedLedger


@contextmanager
def open_ledger(params: Params, root: Path, *, look_only: bool = False) -> Iterator[Ledger]:
    """Open the ledger. At the end, wait until the shared one has received everything, unless interrupted.

    Args:
        params: Validated ``params.yaml``.
        root: Root of the study.
        look_only: Whether to change nothing on the disk.

    Raises:
        LosstuneError: If the shared ledger cannot be read.
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
