"""The end of a process that has imported torch, ray and mlflow: at once, and without a word."""

from __future__ import annotations

import atexit
import os
import sys

_code: int | None = None


def prepare() -> None:
    """Call once, before a library registers what it does at exit: what is registered first is called last."""
    atexit.register(_leave)


def leave_with(code: int) -> None:
    """Let the process end with this code once threads are joined and all that was registered for its end is done.

    Python would go on to take a million objects apart, for a second, and libraries whose objects it doesn't find would
    print what they take for leaks.
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
    except (
        OSError,
        ValueError,
    ):  # nobody reads it any more, or it is closed: Python has its own way to say so
        return
    os._exit(_code)
