"""Start Ray on this machine, or connect to a cluster, and clean up afterwards."""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path

import ray
from filelock import FileLock
from ray.exceptions import RayError

import losstune
from losstune.config.schema import ResourceSettings
from losstune.core.errors import LosstuneError, in_one_line
from losstune.core.machine import num_cores
from losstune.execution import orphans, warm
from losstune.execution.cluster import address_source, cluster_address
from losstune.execution.warm import Kept, Place

FAILURES = (RayError, ConnectionError, RuntimeError, ValueError, TimeoutError)
"""Exceptions of Ray when it does not start or answer."""

WORKER = "losstune_worker"
"""A resource of a Ray that losstune starts: a worker that trains. Such a Ray has more cores than workers."""

MOST_SPARE = 16
"""Most workers that wait for the next stage. Each takes some 70 MB."""

PATIENCE_SEC = 2.0
"""Time limit for a connection to the cluster's port."""


@contextmanager
def connected(
    resources: ResourceSettings, num_workers: int | None = None, place: Place | None = None, *, stays: bool = False
) -> Iterator[Path]:
    """Start Ray or connect to it, and stop it or disconnect at the end. Yields a temporary folder for Tune's files.

    First, processes of Ray that killed studies left behind are ended.

    Args:
        resources: The address of a cluster, if any.
        num_workers: Number of workers to use on this machine; None if the device limits them, not the cores.
        place: Where Ray may stay up between stages, if anywhere.
        stays: Whether Ray stays up for the next stage if this one succeeds.

    Raises:
        LosstuneError: If no Ray answers at the address, or Ray does not start here.
    """
    orphans.clear()
    logging.getLogger("ray").setLevel(logging.ERROR)
    address = cluster_address(resources)
    kept = None
    if address is None and place is not None and num_workers is not None:
        kept = _taken(place) or (_kept(place, num_workers) if stays else None)
    on_sigterm = signal.getsignal(signal.SIGTERM)
    with orphans.owned_folder() if kept is None else nullcontext(kept.folder) as folder:
        try:
            if address:
                _attach(address, address_source(resources))
            elif kept is None:
                start(folder / "r", num_workers)
            if threading.current_thread() is threading.main_thread():
                # Ray installs a handler that aborts and leaves its processes and files behind.
                signal.signal(signal.SIGTERM, on_sigterm)
            yield folder / f"t{os.getpid()}"
            if kept is not None and place is not None and stays:
                kept.offer(place)
        finally:
            ray.shutdown()
            if kept is not None:
                kept.lock.release()


def start(folder: Path, num_workers: int | None, *, num_spare: int = 0) -> None:
    """Start Ray on this machine. It ends with this process.

    Args:
        folder: Folder of its files.
        num_workers: Number of workers that can train at the same time, at most one a core. They start and import while
            Ray itself starts. None for one a core, none of which starts before it has work.
        num_spare: Number of further workers, which wait for the next stage. Ray does not let a worker go from one
            driver to the next.

    Raises:
        LosstuneError: If Ray does not start.
    """
    _set_token()
    most = num_cores() if num_workers is None else min(num_workers, num_cores())
    if num_workers is not None:
        for name, value in {
            "RAY_enable_worker_prestart": "1",
            "RAY_preload_python_modules": f"losstune.execution.trials.{'preload' if num_spare else 'worker'}",
            "RAY_worker_maximum_startup_concurrency": str(most + num_spare),
            "RAY_idle_worker_killing_time_threshold_ms": "86400000",
        }.items():
            os.environ.setdefault(name, value)
    try:
        ray.init(
            address="local",
            num_cpus=most + num_spare,
            resources={WORKER: most},
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=str(folder),
        )
    except FAILURES as error:
        raise LosstuneError(
            f"Ray does not start here: {in_one_line(error)}; `resources.executor: inline` trains without it"
        ) from None


def _taken(place: Place) -> Kept | None:
    """Connect to the Ray of the stage before; None if there is none, or it does not answer."""
    kept = warm.take(place)
    return None if kept is None else _joined(kept)


def _kept(place: Place, num_workers: int) -> Kept | None:
    """Start a process that holds Ray, and connect; None if that fails."""
    _set_token()
    keeper = subprocess.Popen(
        [sys.executable, "-P", "-m", warm.KEEPER, str(place.root), str(place.dvc.pid), str(num_workers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # or Ctrl-C would end it, too
    )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    try:
        found = json.loads(keeper.stdout.readline())
    except ValueError:
        return None
    folder = Path(found["folder"])
    lock = FileLock(folder / warm.USER_LOCK)
    lock.acquire()
    _keepers.append(keeper)  # its standard input stays open as long as this process lives
    return _joined(Kept(folder, found["address"], os.environ["RAY_AUTH_TOKEN"], lock))


_keepers: list[subprocess.Popen[bytes]] = []


def _joined(kept: Kept) -> Kept | None:
    os.environ["RAY_AUTH_TOKEN"] = kept.token
    try:
        ray.init(address=kept.address, log_to_driver=False, logging_level=logging.ERROR)
    except FAILURES:
        kept.lock.release()
        return None
    return kept


@cache
def _token() -> str:
    return secrets.token_hex(32)


def _set_token() -> None:
    """Give our own Ray a token. Ray would store one in the home folder, which may be missing or read-only."""
    if not (os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")):
        # One token per process and not per Ray, because Ray's driver reads it only once.
        os.environ["RAY_AUTH_TOKEN"] = _token()


def _attach(address: str, source: str) -> None:
    try:
        _require_listener(address)
        _join(address)
    except (*FAILURES, OSError, OverflowError) as error:
        raise LosstuneError(
            f"{source}: no Ray answers at {address!r}: {in_one_line(error)}; without it, losstune starts Ray here"
        ) from None


def _join(address: str) -> None:
    # Ray sends the driver's losstune to the workers, so they ignore the version on their nodes.
    package = str(Path(losstune.__file__).parent)
    ray.init(
        address=address,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"py_modules": [package], "excludes": ["**/__pycache__"]},
    )


def _require_listener(address: str) -> None:
    # Ray itself would retry for minutes and print its own messages.
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit()):
        return
    socket.create_connection((host.removeprefix("ray://").strip("[]"), int(port)), PATIENCE_SEC).close()
