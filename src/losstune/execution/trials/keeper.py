"""The process that holds a Ray between two stages of one ``dvc repro``, a program.

Ray ends with this process, however it ends, because the operating system ends Ray's own processes with it.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import ray
from filelock import FileLock, Timeout

from losstune.core.dvc import is_gone
from losstune.execution import orphans
from losstune.execution.trials import connection
from losstune.execution.warm import FOLDER_VARIABLE, OFFER, ROOT, USER_LOCK

GRACE_SEC = 20.0
"""How long Ray stays up for the next stage."""

POLL_SEC = 0.25


def main(root: str, dvc_pid: int, num_workers: int) -> None:
    """Start Ray, print its folder and address as JSON, and hold it as long as it may be needed.

    Args:
        root: Root of the study.
        dvc_pid: Process of ``dvc``.
        num_workers: Number of workers of a stage.
    """
    dvc = psutil.Process(dvc_pid)
    with orphans.owned_folder() as folder:
        (folder / ROOT).write_text(root, encoding="utf-8")
        os.environ[FOLDER_VARIABLE] = str(folder)
        connection.start(folder / "r", num_workers, num_spare=min(num_workers, connection.MOST_SPARE))
        print(json.dumps({"folder": str(folder), "address": ray.get_runtime_context().gcs_address}), flush=True)
        _hold(folder, dvc)
        ray.shutdown()


def _hold(folder: Path, dvc: psutil.Process) -> None:
    while not select.select([sys.stdin], [], [], POLL_SEC)[0]:  # the first stage has its other end
        pass
    lock, offer, since = FileLock(folder / USER_LOCK), folder / OFFER, None
    while not is_gone(dvc):
        if offer.exists():
            since = since or time.monotonic()
            if time.monotonic() - since > GRACE_SEC and _takes(lock, offer):
                return
        else:
            since = None
            # A stage took it and has ended without offering it again.
            with suppress(Timeout), lock.acquire(timeout=0):
                if not offer.exists():
                    return
        time.sleep(POLL_SEC)


def _takes(lock: FileLock, offer: Path) -> bool:
    """Withdraw the offer, unless a stage is just taking it."""
    with suppress(Timeout), lock.acquire(timeout=0):
        offer.unlink(missing_ok=True)
        return True
    return False


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
