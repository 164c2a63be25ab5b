"""Write trainings into the study's SQLite database in one transaction, ten times faster than MLflow's client.

For each training, the client opens a dozen transactions and makes an object of every value. This module writes the same
rows; a test compares them table by table. If the version of MLflow's tables is unknown, or anything fails, the client
is used.
"""

from __future__ import annotations

import re
import sqlite3
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

from losstune.tracking.runs import Child, DatasetInput, Point

KNOWN_SCHEMAS = frozenset({"dc11669786a5"})
"""Alembic versions of MLflow's tables that the test has compared."""

PATIENCE_SEC = 10.0
_KEY = re.compile(r"[/\w.\- ]{1,250}", re.ASCII)
_MAX_VALUE = 5000


class BulkWriter:
    """Writes complete runs into one experiment.

    Args:
        database: The SQLite file, with MLflow's tables.
        experiment_id: Id of the experiment.
        artifacts: Its artifact location.
    """

    def __init__(self, database: Path, experiment_id: str, artifacts: str) -> None:
        self._database = database
        self._experiment_id = int(experiment_id)
        self._artifacts = artifacts
        self._is_known: bool | None = None
        self._open: sqlite3.Connection | None = None

    def write(
        self, children: Sequence[Child], parent_id: str, dataset: DatasetInput | None, digest_length: int
    ) -> list[str] | None:
        """Write trainings as nested runs; return the ids of the runs, or None if the client must write them.

        All runs are written completely, or none at all.

        Args:
            children: The trainings, which must not have runs yet.
            parent_id: Id of the parent run.
            dataset: Its data, which the parent run must already have as input.
            digest_length: Number of characters of the data's digest that MLflow shows.
        """
        if not all(_is_plain(child) for child in children) or not self._knows_the_tables():
            return None
        run_ids = [uuid.uuid4().hex for _ in children]
        try:
            with self._connection() as database:
                for run_id, child in zip(run_ids, children, strict=True):
                    self._insert(database, run_id, child, parent_id)
                    if dataset is not None:
                        self._insert_input(database, run_id, dataset.name[:500], dataset.digest[:digest_length])
        except (sqlite3.Error, LookupError):
            return None
        return run_ids

    def close(self) -> None:
        """Close the database. The next write opens it again."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _connection(self) -> sqlite3.Connection:
        # Kept open, because opening one reads MLflow's seventy tables, which takes longer than writing a training.
        if self._open is None:
            self._open = sqlite3.connect(self._database, timeout=PATIENCE_SEC)
            # As for the client's connections: data lost in a crash of the machine can be restored.
            self._open.execute("PRAGMA synchronous=OFF")
        return self._open

    def _knows_the_tables(self) -> bool:
        if self._is_known is None:
            try:
                found = self._connection().execute("select version_num from alembic_version").fetchall()
            except sqlite3.Error:
                found = []
            self._is_known = len(found) == 1 and found[0][0] in KNOWN_SCHEMAS
        return self._is_known

    def _insert(self, database: sqlite3.Connection, run_id: str, child: Child, parent_id: str) -> None:
        database.execute(
            "insert into runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,"
            " end_time, source_version, lifecycle_stage, artifact_uri, experiment_id)"
            " values (?, ?, 'UNKNOWN', '', '', ?, ?, ?, ?, '', 'active', ?, ?)",
            (
                run_id,
                child.name,
                child.tags["mlflow.user"],
                child.status,
                child.started_ms,
                child.ended_ms,
                f"{self._artifacts}/{run_id}/artifacts",
                self._experiment_id,
            ),
        )
        tags = {**child.tags, "mlflow.parentRunId": parent_id, "mlflow.runName": child.name}
        for table, values in (("tags", tags), ("params", child.params)):
            database.executemany(
                f"insert into {table} (run_uuid, key, value) values (?, ?, ?)",
                [(run_id, key, value) for key, value in values.items()],
            )
        for table, points in (("metrics", sorted(set(child.points))), ("latest_metrics", _latest(child.points))):
            database.executemany(
                f"insert into {table} (run_uuid, key, value, step, timestamp, is_nan) values (?, ?, ?, ?, ?, 0)",
                [(run_id, *point) for point in points],
            )

    def _insert_input(self, database: sqlite3.Connection, run_id: str, name: str, digest: str) -> None:
        found = database.execute(
            "select dataset_uuid from datasets where experiment_id = ? and name = ? and digest = ?",
            (self._experiment_id, name, digest),
        ).fetchone()
        if found is None:
            raise LookupError(name)
        input_id = uuid.uuid4().hex
        database.execute(
            "insert into inputs (input_uuid, source_type, source_id, destination_type, destination_id)"
            " values (?, 'DATASET', ?, 'RUN', ?)",
            (input_id, found[0], run_id),
        )
        database.execute(
            "insert into input_tags (input_uuid, name, value) values (?, 'mlflow.data.context', 'training')",
            (input_id,),
        )


def _is_plain(child: Child) -> bool:
    """Whether MLflow stores all names and values unchanged."""
    return all(
        _KEY.fullmatch(key) and len(value) <= _MAX_VALUE for key, value in (*child.tags.items(), *child.params.items())
    ) and all(_KEY.fullmatch(name) for name in {point.name for point in child.points})


def _latest(points: Iterable[Point]) -> Iterable[Point]:
    latest: dict[str, Point] = {}
    for point in points:
        known = latest.get(point.name)
        if known is None or _order(point) > _order(known):
            latest[point.name] = point
    return latest.values()


def _order(point: Point) -> tuple[int, int, float]:
    return point.step, point.timestamp_ms, point.value
