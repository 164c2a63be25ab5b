"""Train a plan in this process, one job after another. For tests and tiny studies."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from losstune.study.asha import Brackets
from losstune.study.jobs import Job, Timed, Train
from losstune.study.plan import Plan
from losstune.training.task import Arrays


def run(
    plan: Plan,
    train: Train,
    arrays: Arrays,
    brackets: Brackets | None,
    on_finished: Callable[[Job, Timed], None],
    limit_min: float | None = None,
) -> None:
    """Train every job of the plan.

    Args:
        plan: What to train; `on_finished` must report finished jobs to it.
        train: The training function.
        arrays: The data.
        brackets: Early stopping, or None.
        on_finished: Called with each job and its result.
        limit_min: Time limit of one training in minutes, after which `train` gets a ``TimeoutError``. None for no
            limit.
    """
    while (job := plan.next()) is not None:
        with _limited(limit_min):
            timed = _trained(job, train, arrays, brackets)
        on_finished(job, timed)


def _trained(job: Job, train: Train, arrays: Arrays, brackets: Brackets | None) -> Timed:
    for timed in train(job.task, arrays, brackets.rungs if brackets else ()):
        result = timed.results[0]
        if result.status != "stopped" or brackets is None:
            return timed
        latest = result.curve[-1]
        score = latest.validation[brackets.metric.name]
        if not brackets.goes_on(job.task.configuration.loss, job.search, latest.epoch, score):
            return timed
    raise AssertionError("a training ends with a result")


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
