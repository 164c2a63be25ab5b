"""``losstune track sync``: fill MLflow from the records."""

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
from losstune.stages.ledgers import open_ledger
from losstune.stages.run_info import stage_run
from losstune.stages.study import Study, open_study
from losstune.study.ledger import locked
from losstune.study.plan import Plan
from losstune.tracking import TrackingSummary, experiment_of


def run(params: Params, folder: Path, root: Path) -> None:
    """Log every finished training of the study that MLflow doesn't show, and the report if there is one.

    What belongs to the study is what its stages would find in the ledger, whether or not they ran to the end.

    Args:
        params: Validated ``params.yaml``.
        folder: Where the stages' outputs are.
        root: Where the ledger and MLflow's database are.

    Raises:
        LosstuneError: If MLflow can't be used, or is switched off.
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
