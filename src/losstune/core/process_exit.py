"""The end of a process that has imported torch, ray and mlflow: at once, and without messages of these libraries."""

from __future__ import annotations

import atexit
import os
import sys

_code: int | None = None


def prepare() -> None:
    """Register the exit handler; call it once, before any library registers one, because the first runs last."""
    atexit.register(_leave)


def leave_with(code: int) -> None:
    """End the process with this code once threads have been joined and all exit handlers have run.

    This skips the interpreter's own cleanup, which deallocates a million objects for about a second, and after which
    some libraries report leaks.
    """
    global _code
    _code = code


def _leave() -> None:
    if _code is None:
        return
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):  # the reader is gone, or the stream is closed: Python reports that itself
        return
    os._exit(_code)
