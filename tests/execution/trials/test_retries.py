"""What becomes of a training whose worker is lost."""

import pytest

from losstune.execution.trials.retries import Pack, Retries
from losstune.study.jobs import make_job
from tests.small import small_task

JOB = make_job(small_task(), "tune", "trial", (0,), "data", {"torch": "2"})


def failures_until_given_up(kind):
    retries, alone, num = Retries(), False, 1
    while retries.goes_again(JOB, kind, alone=alone):
        again = retries.next()
        assert again is not None
        assert again.jobs == (JOB,)
        assert len(retries) == 0
        alone, num = again.alone, num + 1
    assert retries.next() is None
    return num, alone


@pytest.mark.parametrize(
    ("kind", "num", "alone"), [("node", 11, False), ("worker", 2, True), ("memory", 2, True), ("time", 1, False)]
)
def test_what_may_be_chance_is_tried_again_and_what_may_be_a_neighbour_alone(kind, num, alone):
    assert failures_until_given_up(kind) == (num, alone)


def test_failures_are_counted_by_kind():
    retries = Retries()
    assert retries.goes_again(JOB, "node")
    assert retries.goes_again(JOB, "memory")
    assert not retries.goes_again(JOB, "memory")
    assert retries.goes_again(JOB, "node")


def test_a_node_lost_while_alone_leaves_it_alone():
    retries = Retries()
    assert retries.goes_again(JOB, "node", alone=True)
    assert retries.next() == Pack((JOB,), alone=True)


def test_a_time_limit_that_others_may_have_exceeded_does_not_count():
    retries = Retries()
    assert retries.goes_again(JOB, "time", counts=False)
    assert retries.next() == Pack((JOB,), alone=True)
    assert not retries.goes_again(JOB, "time", alone=True)
