"""Train a plan in this process, one unit after the other: for tests and tiny studies."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from losstune.study.asha import Ladders
from losstune.study.jobs import Timed, Train, Unit
from losstune.study.plan import Plan
from losstune.training.task import Arrays


def run(
    plan: Plan,
    train: Train,
    arrays: Arrays,
    ladders: Ladders | None,
    on_finished: Callable[[Unit, Timed], None],
    limit_min: float | None = None,
) -> None:
    """Train every unit of the plan.

    Args:
        plan: What to train; `on_finished` is expected to tell it what is finished.
        train: The training function.
        arrays: The data.
        ladders: Early stopping, or None.
        on_finished: Called with each unit and what came of it.
        limit_min: Minutes that one training may take; `train` sees a ``TimeoutError`` then. None for no limit.
    """
    while (unit := plan.next()) is not None:
        with _limited(limit_min):
            timed = _trained(unit, train, arrays, ladders)
        on_finished(unit, timed)


def _trained(unit: Unit, train: Train, arrays: Arrays, ladders: Ladders | None) -> Timed:
    for timed in train(unit.task, arrays, ladders.rungs if ladders else ()):
        outcome = timed.outcomes[0]
        if outcome.status != "stopped" or ladders is None:
            return timed
        latest = outcome.curve[-1]
        score = latest.validation[ladders.metric]
        if not ladders.goes_on(unit.task.configuration.loss, unit.search, latest.epoch, score):
            return timed
    raise AssertionError("a training ends with an outcome")


@contextmanager
def _limited(limit_min: float | None) -> Iterator[None]:
    if limit_min is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"took longer than resources.trial_time_limit, {limit_min:g} minutes")

    previous = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, 60.0 * limit_min)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, previous)
