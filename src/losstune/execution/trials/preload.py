"""Ray imports this module in every worker that it starts, before the worker gets work.

Where Ray stays up for a second stage, there are spare workers for that stage. They wait until the first stage is over
before they import what a training needs, so as not to take the cores from it.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from losstune.execution.warm import FOLDER_VARIABLE, WARM_UP

POLL_SEC = 0.2


def load() -> None:
    """Import what a training needs."""
    import losstune.execution.trials.worker
    import losstune.training.loop  # noqa: F401


def _load_later(folder: Path) -> None:
    while not (folder / WARM_UP).exists():
        time.sleep(POLL_SEC)
    load()


if FOLDER_VARIABLE in os.environ:
    threading.Thread(target=_load_later, args=(Path(os.environ[FOLDER_VARIABLE]),), daemon=True).start()
