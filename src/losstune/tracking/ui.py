"""Open MLflow's UI on this machine."""

from __future__ import annotations

import errno
import ipaddress
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from losstune.config.schema import TrackingSettings
from losstune.core.errors import LosstuneError
from losstune.core.library_logging import configure_environment
from losstune.tracking.address import Address, locate
from losstune.tracking.views import route

HOST = "127.0.0.1"


def serve_ui(
    settings: TrackingSettings, root: Path, port: int, experiment: str | None = None, host: str = HOST
) -> None:
    """Serve MLflow's UI until it is interrupted. On any address but the loopback one, print a warning first.

    Args:
        settings: The tracking settings.
        root: Root of the study.
        port: Port to listen on.
        experiment: Experiment that the printed URL opens; None for the newest.
        host: Host name or address to listen on.

    Raises:
        KeyboardInterrupt: If it is interrupted, after the server has ended.
        LosstuneError: If the study is on a server, which has its own UI, the port is taken, or the host is not this
            machine.
    """
    address = locate(settings, root)
    if address.artifacts is None:
        raise LosstuneError(
            f"{address.variable or 'tracking.uri'}: the study is tracked at {address}; open that address in a browser"
        )
    if not _require_free(host, port):
        print(
            f"warning: on {host} anyone who reaches this machine can read, change and delete the study in MLflow, "
            "which has no password",
            file=sys.stderr,
            flush=True,
        )
    configure_environment()
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", address.uri, "--default-artifact-root", str(address.artifacts)]
    command += ["--uvicorn-opts", "--log-level warning"]
    server = subprocess.Popen(command, cwd=root)
    try:
        shown = HOST if host in {"0.0.0.0", "::"} else host
        where = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}{_route(address, experiment)}"
        print(f"MLflow opens in about ten seconds at\n{where}\nCtrl-C ends it", flush=True)
        code = server.wait()
    finally:
        server.terminate()
        server.wait()
    if code:
        raise LosstuneError(f"mlflow ended with exit code {code}; see its output above")


def _require_free(host: str, port: int) -> bool:
    """Raise if the port cannot be used; return whether only this machine can reach it."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        raise LosstuneError(f"--host: found {host!r}, expected a name or an address of this machine") from None
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise LosstuneError(f"--host: {host} is no address of this machine; expected, say, {HOST}") from None
            if error.errno == errno.EACCES:
                raise LosstuneError(f"port {port} of {host} is not allowed; `--port` chooses another") from None
            raise LosstuneError(f"port {port} of {host} is taken; `--port` chooses another") from None
    return ipaddress.ip_address(address[0]).is_loopback


def _route(address: Address, experiment: str | None) -> str:
    """Return the URL path of the experiment's runs, of the newest experiment's, or of the list of experiments."""
    if address.database is None or not address.database.is_file():
        return "/#/experiments?workflowType=machine_learning"
    query = "select experiment_id from experiments where lifecycle_stage = 'active' and experiment_id > 0 "
    with closing(sqlite3.connect(f"{address.database.as_uri()}?mode=ro", uri=True)) as database:
        try:
            found = database.execute(
                query + "order by name = ? desc, last_update_time desc limit 1", [experiment]
            ).fetchone()
        except sqlite3.Error:  # MLflow has not created its tables yet
            found = None
    return "/#/experiments?workflowType=machine_learning" if found is None else route(str(found[0]))
