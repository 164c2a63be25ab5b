"""Quick starts and ends of a process that imports torch, ray and mlflow."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Import within: Python doesn't search for garbage meanwhile, and never again among what was imported.

    Modules are a million objects that live as long as the process. Looking through them for cyclic garbage, again
    and again as they come, is over a quarter of the time that the imports take.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
