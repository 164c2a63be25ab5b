"""A ledger and registrations in a shared bucket or folder, so that machines reuse each other's trainings.

The files on the local disk are the source of truth. A stage copies missing files from the shared storage when it
starts, and sends new ones from background threads. Entries are JSON and weights are safetensors. So no code from the
storage is executed, and all files are validated like local ones.
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
"""Number of files to request at the same time, which is much faster on S3 than one after the other."""

S3_PATIENCE = {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 2}}
"""Shorter than botocore's default: it waits five minutes for an unreachable server."""

_ENTRY = re.compile(r"ledger/[0-9a-f]{2}/([0-9a-f]{64})\.json")
_REGISTRATION = re.compile(r"registrations/[0-9a-f]{16}/[0-9]{4}-[0-9a-f]{12}\.json")


def entry_name(key: str) -> str:
    """Return the path of this key's entry below ``.losstune`` or the shared storage."""
    return f"ledger/{key[:2]}/{key}.json"


def weights_name(key: str) -> str:
    """Return the path of this key's weights, as for :func:`entry_name`."""
    return f"ledger/{key[:2]}/{key}.safetensors"


class SharedLedger:
    """Finished trainings by key, at a URL that fsspec supports or in a folder.

    Args:
        url: Such as ``"s3://bucket/study"`` or ``"/mnt/shared/study"``. Credentials, and the address of a server other
            than Amazon's (``AWS_ENDPOINT_URL``), come from the environment.
        root: Folder that a relative path starts from.

    Raises:
        LosstuneError: If the storage is unknown or unreachable, cannot be read, or its library is missing. Continuing
            would repeat trainings that the storage may have.
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
        """Return the keys of the trainings that were there at the start or were sent since."""
        return self._keys

    @property
    def registrations(self) -> Set[str]:
        """Return the names of the register's entries that were there at the start, or were sent since."""
        return self._registrations

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the names and contents of these files, reading up to some hundred at a time.

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
        """Return the weights of this key; None if there are none.

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
        """Send a finished training, stored below `folder`, from a thread."""
        self._keys.add(key)
        # Weights first, so that no entry refers to missing weights.
        names = (weights_name(key), entry_name(key))
        self._pool.submit(self._send, folder, [name for name in names if (folder / name).exists()])

    def send_registration(self, name: str, folder: Path) -> None:
        """Send an entry of the register, stored below `folder`, from a thread."""
        self._registrations.add(name)
        self._pool.submit(self._send, folder, [name])

    def close(self, *, wait: bool) -> None:
        """Wait until everything is sent, or drop the rest. Print a message if sending failed.

        The next run that needs these files sends them.
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
            # No retries after the first failure: an unreachable server would delay the end of the stage.
            if self._problem is None:
                for name in names:
                    self._write(name, (folder / name).read_bytes())
                return
        except Exception as error:  # a storage library may raise anything; the trainings are safe on the disk
            self._problem = self._problem or _reason(error)
        with self._lock:
            self._num_unsent += len(names)

    def _write(self, name: str, content: bytes) -> None:
        if self._is_folder:  # an object store writes atomically
            write_atomically(Path(self._path(name)), content)
        else:
            self._files.pipe_file(self._path(name), content)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def _open(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs  # imported only by studies with a shared ledger

    if urlsplit(url).password is not None:
        raise ValueError("credentials belong in the environment, not in a file that Git keeps")
    options = {"config_kwargs": S3_PATIENCE} if url.startswith(("s3://", "s3a://")) else {}
    files, root = url_to_fs(url, **options)
    return files, root.rstrip("/")


@contextmanager
def _one_line(url: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a storage library may raise anything
        raise LosstuneError(
            f"resources.ledger: {without_credentials(url)}: {_reason(error)}; expected a folder or the URL of one "
            "that can be reached, such as s3://bucket/study, with credentials in the environment"
        ) from error


def _reason(error: Exception) -> str:
    return in_one_line(masked(str(error)) or error)
