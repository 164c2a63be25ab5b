"""The second stage: run the same number of trials for every loss, scored on the validation split."""

from __future__ import annotations

import sys
from pathlib import Path

from losstune.config.schema import Params
from losstune.stages import execute, pooled
from losstune.stages.budgets import require_budget
from losstune.stages.identical_losses import identical_lines, known_class_counts
from losstune.stages.layout import TRIAL_EXECUTIONS, TRIALS, write_entries
from losstune.stages.study import Study, open_study, read_arrays
from losstune.stages.workers import find_device
from losstune.study.asha import Brackets, rungs
from losstune.study.ledger import Ledger, open_ledger
from losstune.study.plan import FixedPlan, Plan, SearchPlan, in_study_order


def run(params: Params, folder: Path, root: Path) -> None:
    """Search the hyperparameters of every loss, and write ``results/tune``.

    The test split's files are not opened.

    Args:
        params: Validated ``params.yaml``.
        folder: Folder of the stage's inputs and outputs.
        root: Folder of the ledger and of MLflow's database.

    Raises:
        LosstuneError: If settings or data are invalid, or the budget does not pay for the first look.
        UnfinishedStudyError: If not every trial is finished.
    """
    require_budget(params)
    study = open_study(params, folder, root, find_device)
    for line in (*study.notes, *identical_lines(study.spaces, known_class_counts(folder))):
        print(f"tune: {line}", file=sys.stderr)
    params = study.params
    with open_ledger(params, root) as ledger, execute.exclusive(root, "tune") as place:
        plan = make_plan(study, ledger)
        brackets = None
        if params.tune.scheduler == "asha":
            asha = params.tune.asha
            epochs = rungs(asha.grace_epochs, asha.reduction_factor, params.training.epochs)
            brackets = Brackets(epochs, asha.reduction_factor, params.tune.measure)
        execute.execute_stage(study, "tune", plan, ledger, lambda: read_arrays(study, with_test=False), brackets, place)
        entries = in_study_order(plan.entries(), params.loss_names)
        write_entries(entries, folder / TRIALS, folder / TRIAL_EXECUTIONS)


def make_plan(study: Study, ledger: Ledger) -> Plan:
    """Plan the study's trials, and look up which of them are in the ledger.

    A pooled study plans the first search of each loss. ``confirm`` adds searches of the losses that are worth it.
    """
    if study.params.is_pooled:
        return FixedPlan(pooled.first_searches(study), ledger)
    return SearchPlan(
        study.params,
        study.spaces,
        ledger,
        lambda configuration, seed, search, index: study.make_job(
            study.task(configuration, seed), "tune", "trial", search, index
        ),
    )
