"""Paths of the stages' outputs, relative to the study's folder. ``dvc.yaml`` declares the same paths."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from losstune.core.errors import LosstuneError
from losstune.core.files import write_atomically
from losstune.core.records import Entry, Execution, Record, Row

_Row = TypeVar("_Row", bound=Row)

FINGERPRINTS = Path("fingerprints")
PREPARED = Path("data/prepared")
FEATURES = Path("data/features")
TRIALS = Path("results/tune/trials.jsonl")
TRIAL_EXECUTIONS = Path("results/tune/executions.jsonl")
BLOCKS = Path("results/confirm/blocks.jsonl")
BLOCK_EXECUTIONS = Path("results/confirm/executions.jsonl")
REGISTRATION = Path("results/confirm/registration.json")
RESULTS = Path("results.json")
METRICS = Path("metrics.json")
REPORT = Path("report/report.html")
PLOTS = Path("report/plots")


def write_entries(entries: Iterable[Entry], records: Path, executions: Path) -> None:
    """Write entries as two files of JSON lines: the records, and separately the executions with their times."""
    entries = list(entries)
    for path, rows in (
        (records, [entry.record for entry in entries]),
        (executions, [entry.execution for entry in entries]),
    ):
        write_atomically(path, "".join(row.model_dump_json() + "\n" for row in rows))


def read_records(path: Path) -> list[Record]:
    """Read a file of records.

    Raises:
        LosstuneError: If it is missing or damaged.
    """
    return _read(path, Record)


def read_executions(path: Path) -> list[Execution]:
    """Read a file of executions.

    Raises:
        LosstuneError: If it is missing or damaged.
    """
    return _read(path, Execution)


def _read(path: Path, kind: type[_Row]) -> list[_Row]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise LosstuneError(f"{path}: no such file; the previous stage writes it (`dvc repro`)") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(kind.model_validate_json(line))
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise LosstuneError(f"{path}: line {number} is damaged ({reason}); `dvc repro` writes it again") from None
    return rows
