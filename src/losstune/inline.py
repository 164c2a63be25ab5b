"""Train a plan in this process, one unit after the other: for tests and tiny studies."""

from __future__ import annotations

from collections.abc import Callable

from losstune.halving import Ladders
from losstune.plan import Plan
from losstune.training import Arrays
from losstune.units import Timed, Train, Unit


def run(
    plan: Plan,
    train: Train,
    arrays: Arrays,
    ladders: Ladders | None,
    on_finished: Callable[[Unit, Timed], None],
) -> None:
    """Train every unit of the plan.

    Args:
        plan: What to train; `on_finished` is expected to tell it what is finished.
        train: The training function.
        arrays: The data.
        ladders: Early stopping, or None.
        on_finished: Called with each unit and what came of it.
    """
    while (unit := plan.next()) is not None:
        for timed in train(unit.task, arrays, ladders.rungs if ladders else ()):
            outcome = timed.outcomes[0]
            if outcome.status == "stopped" and ladders is not None:
                latest = outcome.curve[-1]
                score = latest.validation[ladders.metric]
                if ladders.goes_on(unit.task.configuration.loss, unit.search, latest.epoch, score):
                    continue
            on_finished(unit, timed)
            break
