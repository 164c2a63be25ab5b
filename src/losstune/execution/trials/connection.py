"""Start Ray on this machine, or connect to a cluster, and clean up afterwards."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
from ray.exceptions import RayError

import losstune
from losstune.config.schema import ResourceSettings
from losstune.core.errors import LosstuneError, in_one_line
from losstune.core.machine import num_cores
from losstune.execution import orphans
from losstune.execution.cluster import address_source, cluster_address

FAILURES = (RayError, ConnectionError, RuntimeError, ValueError, TimeoutError)
"""Exceptions of Ray when it does not start or answer."""

PATIENCE_SEC = 2.0
"""Time limit for a connection to the cluster's port."""


@contextmanager
def connected(resources: ResourceSettings) -> Iterator[Path]:
    """Start Ray or connect to it, and stop it or disconnect at the end. Yields a temporary folder for Tune's files.

    First, processes of Ray that killed studies left behind are ended.

    Raises:
        LosstuneError: If no Ray answers at the address, or Ray does not start here.
    """
    orphans.clear()
    logging.getLogger("ray").setLevel(logging.ERROR)
    address = cluster_address(resources)
    on_sigterm = signal.getsignal(signal.SIGTERM)
    with orphans.owned_folder() as folder:
        try:
            if address:
                _attach(address, address_source(resources))
            else:
                _start(folder / "r")
            if threading.current_thread() is threading.main_thread():
                # Ray installs a handler that aborts and leaves its processes and files behind.
                signal.signal(signal.SIGTERM, on_sigterm)
            yield folder / "t"
        finally:
            ray.shutdown()


def _start(folder: Path) -> None:
    _set_token()
    try:
        ray.init(
            address="local",
            num_cpus=num_cores(),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=str(folder),
        )
    except FAILURES as error:
        raise LosstuneError(
            f"Ray does not start here: {in_one_line(error)}; `resources.executor: inline` trains without it"
        ) from None


def _set_token() -> None:
    """Give our own Ray a token. Ray would store one in the home folder, which may be missing or read-only."""
    if not (os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")):
        # One token per process and not per Ray, because Ray's driver reads it only once.
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


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
