"""Train a plan in this process, without Ray. For tests and tiny studies."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from losstune.core.records import Entry
from losstune.study.asha import Brackets, Decisions, Reached
from losstune.study.jobs import Job, TrainPack
from losstune.study.ledger_writer import LedgerWriter
from losstune.study.packs import Packs
from losstune.study.plan import Plan
from losstune.training.side_by_side import GoesOn
from losstune.training.task import Arrays, TrainingResult


def run(
    plan: Plan,
    train: TrainPack,
    arrays: Arrays,
    brackets: Brackets | None,
    writer: LedgerWriter,
    on_finished: Callable[[Job, Entry], None],
    *,
    most: int = 1,
    limit_min: float | None = None,
) -> None:
    """Train every job of the plan.

    Args:
        plan: What to train; `on_finished` must report finished jobs to it.
        train: The training function.
        arrays: The data.
        brackets: Early stopping, or None.
        writer: Stores each result before `on_finished` is called.
        on_finished: Called with each job and its entry in the ledger.
        most: Most jobs to train side by side, on a GPU.
        limit_min: Time limit of one training in minutes, after which `train` gets a ``TimeoutError``. None for no
            limit. With a limit, jobs are trained one at a time.
    """
    packs = Packs(plan, most if limit_min is None else 1, side_by_side=True)
    decisions = None if brackets is None else Decisions(brackets)
    while jobs := packs.next():
        progress = train(
            [job.task for job in jobs], arrays, brackets.rungs if brackets else (), _goes_on(jobs, brackets, decisions)
        )
        while True:
            with _limited(limit_min):
                found = next(progress, None)
            if found is None:
                break
            number, timed = found
            on_finished(jobs[number], writer.write(jobs[number], timed))


def _goes_on(jobs: Sequence[Job], brackets: Brackets | None, decisions: Decisions | None) -> GoesOn:
    def goes_on(number: int, result: TrainingResult) -> bool:
        if brackets is None or decisions is None:
            return False
        return decisions.goes_on(Reached.of(jobs[number], result, brackets.metric))

    return goes_on


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
