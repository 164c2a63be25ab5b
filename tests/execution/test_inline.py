"""A plan trained in this very process."""

import time

import pytest

from losstune.execution import inline
from losstune.study.jobs import make_job, train_pack
from losstune.study.ledger import Ledger
from losstune.study.ledger_writer import LedgerWriter
from losstune.study.plan import FixedPlan
from tests.small import digits_arrays, small_task

HANGING = 0.123
"""A learning rate at which `train_or_hang` hangs."""


def train_or_hang(tasks, arrays, rungs, goes_on):
    def hang(*_):
        time.sleep(60)

    if tasks[0].configuration.learning_rate == HANGING:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("losstune.study.jobs.train", hang)
            yield from train_pack(tasks, arrays, rungs, goes_on)
    else:
        yield from train_pack(tasks, arrays, rungs, goes_on)


def jobs_of(tasks):
    return [make_job(task, "tune", "trial", (index,), "data", {"torch": "2"}) for index, task in enumerate(tasks)]


def test_a_training_that_hangs_is_ended_and_the_others_go_on(tmp_path):
    jobs = jobs_of(small_task(learning_rate=rate) for rate in (1e-3, HANGING, 1e-2))
    found = []
    started = time.monotonic()
    inline.run(
        FixedPlan(jobs, Ledger(tmp_path)),
        train_or_hang,
        digits_arrays(),
        None,
        LedgerWriter(tmp_path, None),
        lambda job, entry: found.append(entry.record),
        most=3,
        limit_min=0.02,
    )
    assert [record.status for record in found] == ["finished", "failed", "finished"]
    assert found[1].cause == "TimeoutError: took longer than resources.trial_time_limit, 0.02 minutes"
    assert time.monotonic() - started < 50


@pytest.mark.parametrize("most", [1, 2, 64])
def test_every_training_is_kept_as_soon_as_it_ends_however_many_make_a_pack(tmp_path, most):
    jobs, packs = jobs_of(small_task(learning_rate=rate) for rate in (1e-3, 3e-3, 1e-2)), []

    def train(tasks, *others):
        packs.append(len(tasks))
        yield from train_pack(tasks, *others)

    def finished(job, entry):
        assert Ledger(tmp_path).get(job.keys[0]) == entry
        assert entry.execution.commit == "abc"
        assert len(list(Ledger(tmp_path))) == jobs.index(job) + 1

    plan = FixedPlan(jobs, Ledger(tmp_path))
    inline.run(plan, train, digits_arrays(), None, LedgerWriter(tmp_path, "abc"), finished, most=most)
    assert packs == {1: [1, 1, 1], 2: [2, 1], 64: [3]}[most]
