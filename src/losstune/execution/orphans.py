"""End the Ray processes of a killed study and delete their files. As a program, this module is the watchdog.

Each Ray that losstune starts has a folder with a random name. Each of its processes has this folder on its command line
or has a log in it open. So a process that is found this way belongs to that Ray, even if process ids are reused. The
owner holds a file lock, which the operating system frees when the owner ends. So a free lock means that the owner has
ended.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

PREFIX = "losstune-ray-"
LOCK = "owner.lock"
PATIENCE_SEC = 10.0
POLL_SEC = 0.05

MAX_TEMP_LENGTH = 12
"""The paths of Ray's sockets add 95 characters to the temp folder and may not exceed 107 bytes."""


@contextmanager
def owned_folder(parent: Path | None = None) -> Iterator[Path]:
    """Make a folder for a Ray that this process starts. At the end, end Ray's processes and remove the folder.

    If this process is killed before that, the watchdog, a small process in its own session, cleans up within a second.
    If the watchdog is killed as well, or the machine goes down, the next study cleans up by :func:`clear`.

    Args:
        parent: Folder in which it is made; None for the temporary folder.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent or temp_folder()))
    lock = FileLock(folder / LOCK)
    lock.acquire(timeout=0)
    # Its standard input closes when this process ends. In its own session, it does not receive Ctrl-C or the signals of
    # the process group.
    watchdog = subprocess.Popen(
        [sys.executable, "-P", __file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert watchdog.stdin is not None
    try:
        yield folder
    finally:
        end(folder)
        watchdog.stdin.close()
        lock.release()
        with suppress(subprocess.TimeoutExpired):
            watchdog.wait(2 * PATIENCE_SEC)


def clear(parent: Path | None = None) -> list[Path]:
    """End the Ray processes whose owner has ended, remove their folders, and return these.

    A worker whose driver was killed may still store a training. So a stage calls this before it looks into the ledger.
    """
    found = [folder for folder in sorted((parent or temp_folder()).glob(f"{PREFIX}*")) if _is_orphaned(folder)]
    for folder in found:
        end(folder)
    return found


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return this user's Ray processes that belong to a folder."""
    return [process for process in psutil.process_iter() if _runs_in(process, f"{folder}/")]


def temp_folder() -> Path:
    """Return the folder in which the folders of all Rays lie."""
    usual = tempfile.gettempdir()
    return Path(usual if len(usual) <= MAX_TEMP_LENGTH else "/tmp")


def owner_of(folder: Path) -> int:
    """Return the number of the process that made a Ray's folder.

    Raises:
        ValueError: If its name has none.
    """
    return int(folder.name.removeprefix(PREFIX).split("-")[0])


def _is_orphaned(folder: Path) -> bool:
    try:
        if not (folder / LOCK).exists():  # the owner has yet to lock, or was killed before
            return not psutil.pid_exists(owner_of(folder))
        with FileLock(folder / LOCK, timeout=0):
            return True
    except (OSError, Timeout, ValueError):  # another user's, just removed, or in use
        return False


def end(folder: Path) -> None:
    """End the Ray processes that belong to a folder, and remove it."""
    # Repeated until there are none, because a killed process may have just started another.
    deadline = time.monotonic() + PATIENCE_SEC
    while (found := processes_of(folder)) and time.monotonic() < deadline:
        for process in found:
            with suppress(psutil.Error):
                process.kill()
        time.sleep(POLL_SEC)
    shutil.rmtree(folder, ignore_errors=True)


def _runs_in(process: psutil.Process, folder: str) -> bool:
    try:
        command = process.cmdline()
        # The process may only be reading a log.
        if not command or not (command[0].startswith("ray::") or any("/ray/" in part for part in command[:3])):
            return False
        return any(folder in part for part in command) or any(
            file.path.startswith(folder) for file in process.open_files()
        )
    except (psutil.Error, OSError):
        return False


def _watch(folder: Path) -> None:
    sys.stdin.buffer.read()
    end(folder)


if __name__ == "__main__":
    _watch(Path(sys.argv[1]))
