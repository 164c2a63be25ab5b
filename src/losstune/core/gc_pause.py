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
    """Pause garbage collection during the imports inside, and exclude the imported objects from it afterwards.

    The modules hold about a million objects that live as long as the process. Repeated searches for cyclic garbage
    among them take over a quarter of the import time.
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
