"""End a stage cleanly on Ctrl-C, on SIGTERM, and when the ``dvc`` process that started it has ended."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import psutil

from losstune.core.dvc import dvc_parent, is_gone

POLL_SEC = 1.0
DVC_IS_GONE = signal.SIGUSR2
"""A signal that nobody else uses: a script's background jobs ignore SIGINT, Ray handles SIGTERM, and Tune SIGUSR1."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGTERM, and the death of the parent ``dvc``, into ``KeyboardInterrupt`` in the main thread.

    If DVC is killed, its stage keeps running, and the next ``dvc repro`` would start a second one at the same time.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread gets signals
        yield
        return
    previous = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, DVC_IS_GONE)}
    ended = threading.Event()
    parent = dvc_parent()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent, ended), name="watch-dvc", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _watch(parent: psutil.Process, ended: threading.Event) -> None:
    while not ended.wait(POLL_SEC):
        if is_gone(parent):
            print("dvc has ended, so this stage stops; finished trainings are kept", file=sys.stderr)
            os.kill(os.getpid(), DVC_IS_GONE)
            return
