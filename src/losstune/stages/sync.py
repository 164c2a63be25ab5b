"""``losstune track sync``: restore MLflow from the records."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from losstune import tracking
from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from losstune.stages import confirm, report, tune
from losstune.stages.device import recorded_device
from losstune.stages.layout import RESULTS, TRIALS
from losstune.stages.run_info import stage_run
from losstune.stages.study import Study, open_study
from losstune.study.ledger import locked, open_ledger
from losstune.study.plan import Plan
from losstune.tracking import TrackingSummary, experiment_of


def run(params: Params, folder: Path, root: Path) -> None:
    """Log every finished training of the study that MLflow lacks, and the report if there is one.

    The study's trainings are those that its stages would find in the ledger, even if a stage is unfinished.

    Args:
        params: Validated ``params.yaml``.
        folder: Folder of the stages' outputs.
        root: Folder of the ledger and of MLflow's database.

    Raises:
        LosstuneError: If MLflow cannot be used, or tracking is disabled.
    """
    study = open_study(params, folder, root, recorded_device)
    with open_ledger(study.params, root) as ledger, locked(root, "track sync"):

        def plans() -> Iterator[tuple[str, Plan]]:
            yield "tune", tune.make_plan(study, ledger)
            if (folder / TRIALS).exists():
                yield "confirm", confirm.make_plan(study, ledger)

        for stage, plan in plans():
            if plan.kept:
                _say(stage, _sync(study, stage, plan))
        if (folder / RESULTS).exists():
            _say("report", report.show(study))


def _sync(study: Study, stage: str, plan: Plan) -> TrackingSummary:
    status: Literal["FINISHED", "KILLED"] = "FINISHED" if plan.is_complete else "KILLED"
    run, settings = stage_run(study, stage), study.params.tracking
    return tracking.sync(settings, experiment_of(study.params), study.root, run, plan.kept, status=status)


def _say(stage: str, summary: TrackingSummary) -> None:
    if summary.problem and (summary.num_missing or summary.address is None):
        raise LosstuneError(summary.problem)
    num_shown = summary.num_logged + summary.num_elsewhere
    print(f"{stage}: shown in MLflow" + (f", with {num_shown} trainings" if num_shown else ""), flush=True)
    if summary.problem:
        print(summary.problem, file=sys.stderr)
