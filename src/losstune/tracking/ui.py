"""Opens MLflow's interface on this machine."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from losstune.config import TrackingSettings
from losstune.errors import LosstuneError
from losstune.quiet import configure_environment
from losstune.tracking.address import Address, locate
from losstune.tracking.views import route

HOST = "127.0.0.1"


def serve_ui(settings: TrackingSettings, root: Path, port: int, experiment: str | None = None) -> None:
    """Serve MLflow's interface on the loopback address until it is interrupted.

    Args:
        settings: Where the study is tracked.
        root: Root of the study.
        port: To listen on.
        experiment: The one whose runs the printed address shows; None for the newest.

    Raises:
        KeyboardInterrupt: When it is interrupted; the server has ended then.
        LosstuneError: If the study is on a server, which has an interface of its own, or the port is taken.
    """
    address = locate(settings, root)
    if address.artifacts is None:
        raise LosstuneError(
            f"tracking.uri: the study is tracked at {address}; open that address in a browser"
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise LosstuneError(f"port {port} of {HOST} is taken; `--port` chooses another") from None
    configure_environment()
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        HOST,
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    command += ["--backend-store-uri", address.uri, "--default-artifact-root", str(address.artifacts)]
    command += ["--uvicorn-opts", "--log-level warning"]
    server = subprocess.Popen(command, cwd=root)
    try:
        where = f"http://{HOST}:{port}{_route(address, experiment)}"
        print(f"MLflow opens in about ten seconds at\n{where}\nCtrl-C ends it", flush=True)
        code = server.wait()
    finally:
        server.terminate()
        server.wait()
    if code:
        raise LosstuneError(f"mlflow ended with exit code {code}; what it said is above")


def _route(address: Address, experiment: str | None) -> str:
    """Return where the experiment's runs are, or of the newest experiment, or the list of all."""
    if address.database is None or not address.database.is_file():
        return "/#/experiments?workflowType=machine_learning"
    query = "select experiment_id from experiments where lifecycle_stage = 'active' and experiment_id > 0 "
    with closing(sqlite3.connect(f"{address.database.as_uri()}?mode=ro", uri=True)) as database:
        try:
            found = database.execute(
                query + "order by name = ? desc, last_update_time desc limit 1", [experiment]
            ).fetchone()
        except sqlite3.Error:  # a database that MLflow has yet to fill
            found = None
    return "/#/experiments?workflowType=machine_learning" if found is None else route(str(found[0]))
