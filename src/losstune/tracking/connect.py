"""Connect to MLflow, create the study's own database, and describe failures. Imports mlflow when called."""

from __future__ import annotations

import logging
import os
import sqlite3
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from losstune.core.errors import in_one_line
from losstune.core.files import part_name, remove_stale_parts
from losstune.core.gc_pause import collection_paused
from losstune.core.library_logging import configure_environment
from losstune.core.secrets import masked
from losstune.tracking.address import Address

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Short timeouts, because the records are safe on disk and the thread retries.
HTTP_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
# These print a traceback, or a line per retry, for problems that the tracker reports once.
LOUD_LOGGERS = ("mlflow.store.db.utils", "urllib3.connectionpool")


def connect(address: Address) -> MlflowClient:
    """Return an MLflow client for the address. A missing database is created.

    Raises:
        Exception: Any exception of MLflow if it cannot be reached or used.
    """
    configure_environment()
    if address.uri.startswith("http"):
        for name, value in HTTP_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
    with collection_paused():
        from mlflow import MlflowClient

    for name in LOUD_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if address.database is None:
        return MlflowClient(tracking_uri=address.uri)
    if address.is_own:
        _spare_fsync(address.database)
    # Two processes that create the same database at the same time both fail.
    address.database.parent.mkdir(parents=True, exist_ok=True)
    lock = Path(f"{address.database}.lock")
    lock.touch()  # raises if the folder is not writable; the lock would wait forever
    with FileLock(lock):
        if address.is_own and not address.database.exists():
            _make_whole(address.database)
        client = MlflowClient(tracking_uri=address.uri)
        client.search_experiments(max_results=1)
    return client


def _make_whole(database: Path) -> None:
    """Create the database under another name, then rename it: MLflow cannot open a partly created one."""
    from mlflow import MlflowClient

    part = database.with_name(part_name(database))
    _spare_fsync(part)
    try:
        MlflowClient(tracking_uri=f"sqlite:///{part}").search_experiments(max_results=1)
        os.replace(part, database)
    except BaseException:
        for path in (part, part.with_name(f"{part.name}-journal")):
            path.unlink(missing_ok=True)
        raise
    remove_stale_parts(database)


@cache
def _spare_fsync(database: Path) -> None:
    """Switch off SQLite's fsync, so that the operating system decides when `database` is written to the disk.

    A training takes five commits, each of which would wait for the disk three times. A crash of this process loses
    nothing. After a crash of the machine, the database may be damaged; it can be deleted and restored.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def spare(connection: object, _record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            (_, _, file) = connection.execute("PRAGMA database_list").fetchone()
            if file == str(database):
                connection.execute("PRAGMA synchronous=OFF")

    event.listen(Engine, "connect", spare)


def reason_of(error: BaseException) -> str:
    """Return in one line why MLflow failed, without credentials."""
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__module__.partition(".")[0] in {"requests", "urllib3"}:
            return "it could not be reached"
        cause = cause.__cause__ or cause.__context__
    text = masked(str(error))
    if "unsupported URI" in text:
        return "MLflow does not support this address; expected http://…, https://…, sqlite:///… or postgresql://…"
    return in_one_line(text or error)


def is_final(error: BaseException) -> bool:
    """Whether MLflow rejected the request, so that a retry would fail, too."""
    return getattr(error, "error_code", None) in {"INVALID_PARAMETER_VALUE", "BAD_REQUEST"}
