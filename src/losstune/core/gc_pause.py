"""A pause of the garbage collection while torch, ray or mlflow are imported. It shortens start and exit."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_num_pausing = 0
_was_enabled = True


@contextmanager
def collection_paused() -> Iterator[None]:
    """Import within: Python doesn't search for garbage meanwhile, and never again among what was imported.

    Modules are a million objects that live as long as the process. Looking through them for cyclic garbage, again
    and again as they come, is over a quarter of the time that the imports take.
    """
    global _num_pausing, _was_enabled
    with _lock:
        if _num_pausing == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _num_pausing += 1
    try:
        yield
    finally:
        with _lock:
            gc.freeze()
            _num_pausing -= 1
            if _num_pausing == 0 and _was_enabled:
                gc.enable()
