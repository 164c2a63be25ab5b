"""The budget of a pooled study in trainings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from losstune.core.errors import LosstuneError
from losstune.core.records import Execution
from losstune.stages.concurrency import num_workers_of
from losstune.stages.study import Study


def num_trainings(study: Study, executions: Sequence[Execution]) -> int | None:
    """Return the most trainings of the study; None if the settings name numbers of searches and blocks instead.

    Minutes become trainings by the mean duration of the trainings that ``tune`` has finished, and the number of
    trainings that run at the same time.

    Raises:
        LosstuneError: If the budget does not pay for the first look, or the number of workers is not known.
    """
    params = study.params
    budget, size, num_losses = params.budget, params.tune.trials_per_loss, len(params.loss_names)
    if budget is None:
        return None
    number, key = budget.trainings, f"budget.trainings: found {budget.trainings}"
    if number is None:
        workers = num_workers_of(study)
        if workers is None:
            raise LosstuneError(
                "budget.minutes: the number of workers of the cluster is not known; expected budget.trainings, or "
                "resources.max_concurrent"
            )
        each_sec = float(np.mean([execution.duration_sec for execution in executions]))
        assert budget.minutes is not None, "one of both"
        number = int(60.0 * budget.minutes * workers / each_sec)
        key = f"budget.minutes: found {budget.minutes:g}, which pays for {number} trainings of {each_sec:.2g} s"
    fewest = num_losses * (size + 4)
    if number < fewest:
        raise LosstuneError(
            f"{key}, expected at least {fewest}: one search of {size} trials and 4 blocks for each of {num_losses} "
            "losses; raise it, or lower tune.trials_per_loss"
        )
    return number
