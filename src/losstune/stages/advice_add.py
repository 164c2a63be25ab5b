"""``losstune advice add``: put the verdicts of a study into a database."""

from __future__ import annotations

import contextlib
from pathlib import Path

from losstune.advice.database import add, own_path
from losstune.advice.of_study import verdicts_of
from losstune.advice.records import PastVerdict
from losstune.config.load import PARAMS_FILE
from losstune.config.matrix import MATRIX_FILE
from losstune.core.errors import LosstuneError
from losstune.core.git import GitError, run_git
from losstune.data import prepared
from losstune.stages.advise import settings_of
from losstune.stages.layout import PREPARED, REGISTRATION, RESULTS
from losstune.stages.report import read_results
from losstune.study.registration import read_registration
from losstune.tracking import data_name


def run(folder: Path, to: Path | None) -> tuple[int, int, Path]:
    """Add a study's verdicts, or replace them if they are there.

    Args:
        folder: The study's folder, with its results.
        to: The database; None for the user's own.

    Returns:
        Verdicts of the study, verdicts in the database, and where it is.

    Raises:
        LosstuneError: If the study has no results that can be compared.
    """
    found, path = verdicts_in(folder), to or own_path()
    return len(found), add(path, found), path


def verdicts_in(folder: Path) -> list[PastVerdict]:
    """Return the verdicts of a study.

    Raises:
        IncomparableError: If its results say nothing that could be compared.
        LosstuneError: If it has no results, or not its own.
    """
    if not (folder / RESULTS).is_file():
        raise LosstuneError(f"{folder / RESULTS}: no such file; expected a study's folder after `losstune report`")
    registration = read_registration(folder / REGISTRATION)
    results, manifest = read_results(folder), prepared.read_manifest(folder / PREPARED)
    if registration.protocol != results.protocol or manifest.digest != results.data.digest:
        raise LosstuneError(f"{folder / RESULTS}: is of another study than {REGISTRATION}; run `dvc repro`")
    try:
        return list(verdicts_of(results, manifest, registration.terms, _data_name(folder), _commit(folder)))
    except LosstuneError as error:
        raise type(error)(f"{folder / str(error)}") from None


def _data_name(folder: Path) -> str:
    params = settings_of(folder)
    if params is None:
        raise LosstuneError(
            f"{folder / PARAMS_FILE}: no such file, and no {MATRIX_FILE} above has a cell for this folder"
        )
    return data_name(params.data)


def _commit(folder: Path) -> str | None:
    """Return the commit that last changed the results; None if they are not in Git."""
    with contextlib.suppress(GitError):
        return run_git(folder, "log", "-1", "--format=%H", "--", str(RESULTS)).decode().strip() or None
    return None
