"""What becomes of a training whose worker is lost."""

import pytest

from losstune.execution.trials.retries import Attempt, Attempts
from losstune.study.jobs import make_unit
from tests.small import small_task

UNIT = make_unit(small_task(), "tune", "trial", (0,), "data", {"torch": "2"})


def mishaps_until_given_up(mishap):
    attempts, attempt, num = Attempts(), Attempt(UNIT), 1
    while attempts.goes_again(attempt, mishap):
        again = attempts.next()
        assert again is not None
        assert again.unit is UNIT
        assert len(attempts) == 0
        attempt, num = again, num + 1
    assert attempts.next() is None
    return num, attempt.alone


@pytest.mark.parametrize(
    ("mishap", "num", "alone"),
    [("node", 11, False), ("worker", 2, True), ("memory", 2, True), ("time", 1, False)],
)
def test_what_may_be_chance_is_tried_again_and_what_may_be_a_neighbour_alone(mishap, num, alone):
    assert mishaps_until_given_up(mishap) == (num, alone)


def test_mishaps_are_counted_by_kind():
    attempts = Attempts()
    assert attempts.goes_again(Attempt(UNIT), "node")
    assert attempts.goes_again(Attempt(UNIT), "memory")
    assert not attempts.goes_again(Attempt(UNIT), "memory")
    assert attempts.goes_again(Attempt(UNIT), "node")


def test_a_node_lost_while_alone_leaves_it_alone():
    attempts = Attempts()
    assert attempts.goes_again(Attempt(UNIT, alone=True), "node")
    assert attempts.next() == Attempt(UNIT, alone=True)
