"""The ledger: one file per finished training, named by the hash of everything that determines the result.

It is the source of truth. Files are written atomically. Every job is looked up here first, so a finished training is
never repeated: not after a crash, not when the study grows, not when the data moves.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from losstune.core.files import write_atomically
from losstune.core.records import SCHEMA_VERSION, Entry
from losstune.study.shared_ledger import SharedLedger, entry_name, weights_name

FOLDER = Path(".losstune")
LOCK_PATIENCE_SEC = 60.0


class Ledger:
    """Finished trainings by key, in ``<root>/.losstune/ledger``.

    Args:
        root: Root of the study. The temporary copies in which DVC runs queued experiments use the same root.
        shared: The ledger that several machines share. Entries that the disk lacks are copied from it at once.
        look_only: Whether to change nothing on the disk. Unreadable files then stay where they are.

    Raises:
        LosstuneError: If the shared ledger fails, or the folder cannot be written.
    """

    def __init__(self, root: Path, *, shared: SharedLedger | None = None, look_only: bool = False) -> None:
        self._base = root / FOLDER
        self.folder = self._base / "ledger"
        self.shared, self._look_only = shared, look_only
        self._seen: dict[str, bytes] = {}
        if shared is not None:
            self._take(shared)

    def get(self, key: str) -> Entry | None:
        """Return the finished training with this key, or None.

        If a file is no readable entry, which means a disk error because files are written atomically, it is renamed, a
        message is printed, and the result is None.
        """
        path = self._path(key)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            if key not in self._seen:
                return None
            content = self._seen[key]
        try:
            if json.loads(content)["record"]["schema_version"] != SCHEMA_VERSION:
                return None
            entry = Entry.model_validate_json(content)
            if entry.record.key != key:
                raise ValueError("the key inside differs from the file's name")
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            if self._look_only:
                return None
            aside = path.with_suffix(".unreadable")
            os.replace(path, aside)
            reason = str(error).splitlines()[0]
            print(f"ledger: {aside} cannot be read ({reason}); its training is repeated", file=sys.stderr)
            return None
        return entry

    def __contains__(self, key: str) -> bool:
        """Whether there is an entry with this key, readable or not."""
        return self._path(key).exists()

    def put(self, entry: Entry, weights: bytes | None = None) -> None:
        """Store a finished training. It is on the disk when this returns.

        Raises:
            LosstuneError: If the folder cannot be written.
        """
        key = entry.record.key
        if weights is not None:  # before the entry, so that no entry refers to missing weights
            _write(self._weights_path(key), weights)
        _write(self._path(key), entry.model_dump_json())
        if self.shared is not None:
            self.shared.send(key, self._base)

    def share(self, keys: Iterable[str], *, are_new: bool = False) -> None:
        """Send the entries with these keys to the shared ledger, if there is one and it lacks them or they are new."""
        if self.shared is not None:
            for key in keys:
                if are_new or key not in self.shared.keys:
                    self.shared.send(key, self._base)

    def weights(self, key: str) -> Path | None:
        """Return the file with the weights of this key, if necessary from the shared ledger; None if there is none.

        Raises:
            LosstuneError: If the shared ledger fails, or the folder cannot be written.
        """
        path = self._weights_path(key)
        if not path.exists() and self.shared is not None and key in self.shared.keys:
            content = self.shared.weights(key)
            if content is not None:
                _write(path, content)
        return path if path.exists() else None

    def __iter__(self) -> Iterator[Entry]:
        """Iterate over all readable entries, in the order of their keys."""
        for path in sorted(self.folder.glob("??/*.json")):
            entry = self.get(path.stem)
            if entry is not None:
                yield entry

    def _take(self, shared: SharedLedger) -> None:
        missing = [entry_name(key) for key in shared.keys if not self._path(key).exists()]
        for name, content in shared.read(missing):
            if self._look_only:
                self._seen[Path(name).stem] = content
            else:
                _write(self._base / name, content)
        if missing and not self._look_only:
            print(f"ledger: took {len(missing)} finished trainings from {shared.url}", flush=True)

    def _path(self, key: str) -> Path:
        return self._base / entry_name(key)

    def _weights_path(self, key: str) -> Path:
        return self._base / weights_name(key)


def _write(path: Path, content: bytes | str) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise LosstuneError(f"{path.parent}: cannot store finished trainings here: {error.strerror or error}") from None


@contextmanager
def locked(root: Path, what: str, patience_sec: float | None = None) -> Iterator[None]:
    """Hold the study's lock: one stage at a time trains and writes.

    The operating system frees the lock when its holder ends, even if it is killed. A holder whose parent was killed (a
    killed ``dvc repro``) ends within seconds, so this function waits before it gives up.

    Args:
        root: Root of the study.
        what: Name of the holder in the message to others that want the lock, such as ``"tune"``.
        patience_sec: Seconds to wait for the lock. None means one minute, and no limit in a DVC experiment, because
            queued experiments take turns.

    Raises:
        LosstuneError: If another process holds the lock; the message names it.
    """
    if patience_sec is None:
        patience_sec = math.inf if os.environ.get("DVC_EXP_NAME") else LOCK_PATIENCE_SEC
    folder = root / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "lock").touch()  # raises if the folder is not writable; the lock would wait instead
    except OSError as error:
        raise LosstuneError(f"{folder}: cannot be written: {error.strerror or error}") from None
    holder, lock = folder / "lock.holder", FileLock(folder / "lock")
    deadline = time.monotonic() + patience_sec
    announced = False
    while True:
        try:
            lock.acquire(timeout=0 if not announced else max(0.0, min(1.0, deadline - time.monotonic())))
            break
        except Timeout:
            who = (holder.read_text(encoding="utf-8") if holder.exists() else "") or "another losstune"
            if time.monotonic() >= deadline:
                raise LosstuneError(
                    f"{who} is running on this study; wait for it to end, or stop it, and run again"
                ) from None
            if not announced:
                limit = "" if math.isinf(patience_sec) else f" up to {patience_sec:.0f} s"
                print(f"waiting{limit}: {who} is running on this study", file=sys.stderr)
                announced = True
    try:
        with suppress(OSError):  # a full disk; the name is only informative
            holder.write_text(f"losstune {what} (process {os.getpid()})", encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


@contextmanager
def open_ledger(params: Params, root: Path, *, look_only: bool = False) -> Iterator[Ledger]:
    """Open the ledger; at the end wait until the shared one has what it was given, unless the end is a Ctrl-C.

    Args:
        params: Validated ``params.yaml``.
        root: Root of the study.
        look_only: Whether nothing on the disk may change.

    Raises:
        LosstuneError: If the shared ledger can't be read.
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
