"""A plan trained in this very process."""

import time

import pytest

from losstune.execution import inline
from losstune.study.jobs import make_job, train_timed
from losstune.study.ledger import Ledger
from losstune.study.plan import FixedPlan
from tests.small import digits_arrays, small_task

HANGING = 0.123
"""A learning rate at which `train_or_hang` hangs."""


def train_or_hang(task, arrays, rungs):
    def hang(*_):
        time.sleep(60)

    if task.configuration.learning_rate == HANGING:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("losstune.study.jobs.train", hang)
            yield from train_timed(task, arrays, rungs)
    else:
        yield from train_timed(task, arrays, rungs)


def test_a_training_that_hangs_is_ended_and_the_others_go_on(tmp_path):
    tasks = [small_task(learning_rate=rate) for rate in (1e-3, HANGING, 1e-2)]
    jobs = [make_job(task, "tune", "trial", (index,), "data", {"torch": "2"}) for index, task in enumerate(tasks)]
    found = []
    started = time.monotonic()
    inline.run(
        FixedPlan(jobs, Ledger(tmp_path)),
        train_or_hang,
        digits_arrays(),
        None,
        lambda job, timed: found.append(timed.results[0]),
        limit_min=0.02,
    )
    assert [result.status for result in found] == ["finished", "failed", "finished"]
    assert found[1].cause == "TimeoutError: took longer than resources.trial_time_limit, 0.02 minutes"
    assert time.monotonic() - started < 50
