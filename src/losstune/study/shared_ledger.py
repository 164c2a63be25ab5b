"""A ledger and registrations on shared storage, a bucket or a folder: machines reuse each other's trainings.

The files on the local disk stay the source of truth. What is missing there is copied from the shared storage when a
stage begins; what is new is sent by background threads. Entries are JSON and weights are safetensors, so nothing from
the storage is executed, and all of it is validated like local files.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from losstune.core.errors import LosstuneError, in_one_line
from losstune.core.files import write_atomically
from losstune.core.secrets import masked, without_credentials

NUM_THREADS = 8
NUM_AT_A_TIME = 500
"""Files that are asked for together; S3 answers far more at a time than one after the other."""

S3_PATIENCE = {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 2}}
"""botocore waits five minutes for a server that is away."""

_ENTRY = re.compile(r"ledger/[0-9a-f]{2}/([0-9a-f]{64})\.json")
_REGISTRATION = re.compile(r"registrations/[0-9a-f]{16}/[0-9]{4}-[0-9a-f]{12}\.json")


def entry_name(key: str) -> str:
    """Return where, below ``.losstune`` or what is shared of it, the finished work of that key lies."""
    return f"ledger/{key[:2]}/{key}.json"


def weights_name(key: str) -> str:
    """Return where the weights of that key lie."""
    return f"ledger/{key[:2]}/{key}.safetensors"


class SharedLedger:
    """Finished work by key, below a URL that fsspec understands, or below a folder.

    Args:
        url: Such as ``"s3://bucket/study"`` or ``"/mnt/shared/study"``. Credentials, and the address of a server that
            isn't Amazon's (``AWS_ENDPOINT_URL``), come from the environment.
        root: What a folder that isn't absolute starts from.

    Raises:
        LosstuneError: If the storage is unknown, its library is missing, or it can't be reached or read: to go on
            would be to train again what may be there.
    """

    def __init__(self, url: str, root: Path) -> None:
        self.url = url
        with _one_line(url):
            if "://" not in url:
                url = str((root / Path(url).expanduser()).resolve())
            self._files, self._root = _open(url)
            if self._files.isfile(self._root):
                raise ValueError("is a file")
            found = self._files.find(self._root) if self._files.exists(self._root) else []
        names = [path.removeprefix(f"{self._root}/") for path in found]
        self._is_folder = "file" in self._files.protocol
        self._keys = {match[1] for name in names if (match := _ENTRY.fullmatch(name))}
        self._registrations = {name for name in names if _REGISTRATION.fullmatch(name)}
        self._pool = ThreadPoolExecutor(NUM_THREADS, thread_name_prefix="shared-ledger")
        self._lock = threading.Lock()
        self._problem: str | None = None
        self._num_unsent = 0

    @property
    def keys(self) -> Set[str]:
        """Return the keys of the work that was there at the start, or was sent since."""
        return self._keys

    @property
    def registrations(self) -> Set[str]:
        """Return the names of the register's entries that were there at the start, or were sent since."""
        return self._registrations

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Iterate over names and the content of these files, some hundred at a time.

        Raises:
            LosstuneError: If the storage fails.
        """
        paths = [self._path(name) for name in sorted(names)]
        for start in range(0, len(paths), NUM_AT_A_TIME):
            with _one_line(self.url):
                contents: dict[str, bytes] = self._files.cat(paths[start : start + NUM_AT_A_TIME])
            for path, content in contents.items():
                yield path.removeprefix(f"{self._root}/"), content

    def weights(self, key: str) -> bytes | None:
        """Return the weights of that key; None if there are none.

        Raises:
            LosstuneError: If the storage fails.
        """
        with _one_line(self.url):
            try:
                content: bytes = self._files.cat_file(self._path(weights_name(key)))
            except FileNotFoundError:
                return None
        return content

    def send(self, key: str, folder: Path) -> None:
        """Have finished work sent by a thread, from its place below `folder`."""
        self._keys.add(key)
        # Weights first, so that an entry promises none that aren't there.
        names = (weights_name(key), entry_name(key))
        self._pool.submit(self._send, folder, [name for name in names if (folder / name).exists()])

    def send_registration(self, name: str, folder: Path) -> None:
        """Have an entry of the register sent by a thread, from its place below `folder`."""
        self._registrations.add(name)
        self._pool.submit(self._send, folder, [name])

    def close(self, *, wait: bool) -> None:
        """Wait until everything is sent, or drop what isn't, and return what could not be sent.

        What is not sent now is sent by the next run that asks for it.
        """
        self._pool.shutdown(wait=True, cancel_futures=not wait)
        if self._problem is not None:
            print(
                f"resources.ledger: {self._num_unsent} of the files to be shared are here but not at {self.url} "
                f"({self._problem}); the next run sends them",
                file=sys.stderr,
            )

    def _send(self, folder: Path, names: Sequence[str]) -> None:
        try:
            # After the first failure nothing more is tried: a server that is away would hold up the end.
            if self._problem is None:
                for name in names:
                    self._write(name, (folder / name).read_bytes())
                return
        except Exception as error:  # whatever a storage's library raises; the work itself is safe on the disk
            self._problem = self._problem or _reason(error)
        with self._lock:
            self._num_unsent += len(names)

    def _write(self, name: str, content: bytes) -> None:
        if self._is_folder:  # an object store shows an object whole or not at all
            write_atomically(Path(self._path(name)), content)
        else:
            self._files.pipe_file(self._path(name), content)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def _open(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs  # an import that a study without a shared ledger is spared

    if urlsplit(url).password is not None:
        raise ValueError("credentials belong in the environment, not in a file that Git keeps")
    options = {"config_kwargs": S3_PATIENCE} if url.startswith(("s3://", "s3a://")) else {}
    files, root = url_to_fs(url, **options)
    return files, root.rstrip("/")


@contextmanager
def _one_line(url: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # fsspec's storages raise what their libraries do
        raise LosstuneError(
            f"resources.ledger: {without_credentials(url)}: {_reason(error)}; expected a folder or the URL of one "
            "that can be reached, such as s3://bucket/study, with credentials in the environment"
        ) from error


def _reason(error: Exception) -> str:
    return in_one_line(masked(str(error)) or error)
