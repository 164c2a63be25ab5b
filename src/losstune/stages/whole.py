"""All stages of a study in one process, without DVC: a study of Python's, or a cell of a pack."""

from __future__ import annotations

from pathlib import Path

from losstune.config.schema import Params
from losstune.core.errors import UnfinishedStudyError
from losstune.data.raw import RawData
from losstune.stages import confirm, features, prepare, report, tune
from losstune.verdict.results import Results


def run(params: Params, folder: Path, root: Path, raw: RawData | None = None) -> Results:
    """Train what is missing, and write the report.

    Args:
        params: Validated settings.
        folder: Folder of the study's files.
        root: Folder of the ledger and of MLflow's database.
        raw: The data, if it is in memory already.

    Raises:
        LosstuneError: If settings or data are invalid.
        UnfinishedStudyError: If not every training is finished.
    """
    try:
        prepare.run(params, folder, root, raw=raw)
        if params.uses_features:
            features.run(params, folder, root)
        tune.run(params, folder, root)
        confirm.run(params, folder, root)
    except UnfinishedStudyError as error:
        raise UnfinishedStudyError(str(error).replace("run `dvc repro`", "run this again")) from None
    results, _ = report.write(params, folder, root)
    return results
