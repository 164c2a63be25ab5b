"""``losstune promote``: register the models of a finished study."""

from __future__ import annotations

import sys
from pathlib import Path

from losstune import tracking
from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from losstune.stages import report
from losstune.stages.device import recorded_device
from losstune.stages.layout import BLOCKS, read_records
from losstune.stages.run_info import stage_run
from losstune.stages.study import open_study
from losstune.study.ledger import open_ledger
from losstune.tracking import experiment_of


def run(params: Params, folder: Path, root: Path) -> None:
    """Register the models of the verdict's loss and of the baseline in MLflow as ``champion`` and ``baseline``.

    First adds the report's run if MLflow lacks it.

    Args:
        params: Validated ``params.yaml``.
        folder: Folder of the stages' outputs.
        root: Folder of the ledger and of MLflow's database.

    Raises:
        LosstuneError: If there is no verdict or no model, MLflow cannot be used, or tracking is disabled.
    """
    if not params.tracking.enabled:
        raise LosstuneError("tracking.enabled is false in params.yaml, so there is no registry to promote to")
    if params.training.loop is not None:
        raise LosstuneError(
            f"training.loop: {params.training.loop.name} builds a network that losstune does not know, so it cannot "
            "register one; the weights that the loop returned are in .losstune/ledger"
        )
    study = open_study(params, folder, root, recorded_device)
    results = report.read_results(folder)
    if results.verdict.loss is None:
        raise LosstuneError(f"there is nothing to promote: {results.verdict.sentence}")
    with open_ledger(params, root) as ledger:
        records = report.promoted(results, read_records(folder / BLOCKS), ledger)
    for role in ("champion", "baseline"):
        if role not in records:
            raise LosstuneError(
                f"the weights of the {role} are not in the ledger; `dvc repro -f -s confirm` trains them"
            )
    shown = report.show(study)
    if shown.problem:
        print(shown.problem, file=sys.stderr)
    keys = {role: record.key for role, record in records.items()}
    promotions = tracking.promote(params.tracking, experiment_of(params), root, stage_run(study, "report"), keys)
    for promotion in promotions:
        loss = records[promotion.alias].configuration.loss
        state = "" if promotion.is_new else ", as before"
        print(f"{promotion.address}: {loss}, version {promotion.version}{state}")
