"""The budget of a pooled study in trainings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from losstune.core.records import Execution
from losstune.stages.concurrency import num_workers_of
from losstune.stages.study import Study
from losstune.study.plan_size import num_controls
from losstune.study.registration import Registration, registered_budget
from losstune.verdict.round_sizes import FIRST_BLOCKS


def num_trainings(study: Study, executions: Sequence[Execution]) -> int | None:
    """Return the most trainings of the study; None if the settings name numbers of searches and blocks instead.

    Minutes become trainings once, when the study is registered, by the mean duration of the trainings that ``tune``
    has finished. On a slower machine, a registered study keeps its number.

    Raises:
        LosstuneError: If the budget does not pay for the first look, or the number of workers is not known.
    """
    if study.params.budget is None:
        return None
    require_budget(study.params)
    return known(study) or in_minutes(study, float(np.mean([one.duration_sec for one in executions])))


def known(study: Study) -> int | None:
    """Return the most trainings of the study; None without a budget, or if its minutes are not registered yet."""
    budget = study.params.budget
    return None if budget is None else budget.trainings or registered(study)


def of_registration(params: Params, registration: Registration) -> int | None:
    """Return the most trainings of a registered study; None if it has no budget."""
    return registration.num_trainings or (params.budget.trainings if params.budget is not None else None)


def registered(study: Study) -> int | None:
    """Return the number of trainings that was registered for a budget in minutes; None if there is none yet."""
    return registered_budget(study.root, study.params.study.name, study.registration)


def in_minutes(study: Study, each_sec: float) -> int:
    """Return how many trainings of this duration the minutes pay for.

    Raises:
        LosstuneError: If they do not pay for the first look, or the number of workers is not known.
    """
    params = study.params
    minutes = params.budget.minutes if params.budget is not None else None
    assert minutes is not None, "the budget is in minutes"
    workers, limit = num_workers_of(study), params.resources.max_concurrent
    if workers is None:
        if limit == "auto":
            raise LosstuneError(
                "budget.minutes: the number of workers of the cluster is not known; expected budget.trainings, or a "
                "number in resources.max_concurrent"
            )
        workers = limit
    number, fewest = int(60.0 * minutes * workers / each_sec), first_look(params)
    if number < fewest:
        needed = fewest * each_sec / workers / 60.0
        raise LosstuneError(
            f"budget.minutes: found {minutes:g}, which pays for {number:,} trainings of {each_sec:.2g} s, expected at "
            f"least {needed:.2g}, for {_of_first_look(params)}"
        )
    return number


def require_budget(params: Params) -> None:
    """Check that a budget in trainings pays for the first look.

    Raises:
        LosstuneError: If it does not.
    """
    if params.budget is not None and params.budget.trainings is not None:
        found, fewest = params.budget.trainings, first_look(params)
        if found < fewest:
            raise LosstuneError(
                f"budget.trainings: found {found}, expected at least {fewest}, for {_of_first_look(params)}"
            )


def first_look(params: Params) -> int:
    """Return the trainings up to the first look, with all controls."""
    return len(params.loss_names) * (params.tune.trials_per_loss + FIRST_BLOCKS) + num_controls(params)


def _of_first_look(params: Params) -> str:
    size, num_losses = params.tune.trials_per_loss, len(params.loss_names)
    return (
        f"one search of {size} trials and {FIRST_BLOCKS} blocks for each of {num_losses} losses, and the controls; "
        "raise it, or lower tune.trials_per_loss"
    )
