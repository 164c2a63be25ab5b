"""What becomes of a training whose worker is lost."""

import pytest

from losstune.execution.trials.retries import Attempt, Retries
from losstune.study.jobs import make_job
from tests.small import small_task

UNIT = make_job(small_task(), "tune", "trial", (0,), "data", {"torch": "2"})


def mishaps_until_given_up(kind):
    retries, attempt, num = Retries(), Attempt(UNIT), 1
    while retries.goes_again(attempt, kind):
        again = retries.next()
        assert again is not None
        assert again.job is UNIT
        assert len(retries) == 0
        attempt, num = again, num + 1
    assert retries.next() is None
    return num, attempt.alone


@pytest.mark.parametrize(
    ("kind", "num", "alone"), [("node", 11, False), ("worker", 2, True), ("memory", 2, True), ("time", 1, False)]
)
def test_what_may_be_chance_is_tried_again_and_what_may_be_a_neighbour_alone(kind, num, alone):
    assert mishaps_until_given_up(kind) == (num, alone)


def test_mishaps_are_counted_by_kind():
    retries = Retries()
    assert retries.goes_again(Attempt(UNIT), "node")
    assert retries.goes_again(Attempt(UNIT), "memory")
    assert not retries.goes_again(Attempt(UNIT), "memory")
    assert retries.goes_again(Attempt(UNIT), "node")


def test_a_node_lost_while_alone_leaves_it_alone():
    retries = Retries()
    assert retries.goes_again(Attempt(UNIT, alone=True), "node")
    assert retries.next() == Attempt(UNIT, alone=True)
