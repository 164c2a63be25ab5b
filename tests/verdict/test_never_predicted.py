from __future__ import annotations

import numpy as np

from losstune.verdict.never_predicted import never_predicted
from tests.factories import make_record

NAMES = ("common", "rare", "absent")
SEEN = ((90, 1, 0), (2, 3, 0), (0, 0, 0))
BLIND = ((91, 0, 0), (5, 0, 0), (0, 0, 0))


def blocks(*matrices):
    return {
        "focal": [
            make_record(loss="focal", stage="confirm", index=index).model_copy(update={"confusion": matrix})
            for index, matrix in enumerate(matrices)
        ]
    }


def told(*matrices):
    return never_predicted(["focal", "not_confirmed"], blocks(*matrices), NAMES)


def test_a_class_that_is_never_predicted_is_named_with_how_often():
    assert told(BLIND, BLIND, SEEN) == ["focal never predicts 'rare' in 2 of 3 blocks."]


def test_half_of_the_blocks_is_not_most_of_them_and_lost_blocks_count_for_nothing():
    assert told(BLIND, SEEN) == []
    assert told(None, BLIND) == ["focal never predicts 'rare' in 1 of 1 block."]
    assert told(None) == []


def test_the_classes_missed_most_often_come_first_and_three_are_named():
    names = tuple("abcdef")

    def matrix(*missed):
        """All samples of the missed classes are taken for the class `a`."""
        found = np.diag([9] * 6)
        for label in missed:
            found[label, [0, label]] = 9, 0
        return tuple(map(tuple, found.tolist()))

    given = blocks(matrix(1, 2, 3, 4, 5), matrix(2, 3, 4, 5), matrix(3, 5))
    assert never_predicted(["focal"], given, names) == [
        "focal never predicts 'd' in 3 of 3 blocks, 'f' in 3 of 3 blocks, 'c' in 2 of 3 blocks, and 1 more classes."
    ]
    three = blocks(matrix(1, 3, 5))
    assert never_predicted(["focal"], three, names) == [
        "focal never predicts 'b' in 1 of 1 block, 'd' in 1 of 1 block, 'f' in 1 of 1 block."
    ]


def test_every_loss_is_looked_at():
    given = blocks(BLIND) | {"gce": [], "js": blocks(SEEN)["focal"], "nce": blocks(BLIND)["focal"]}
    found = never_predicted(["gce", "js", "focal", "nce"], given, NAMES)
    assert [sentence.split()[0] for sentence in found] == ["focal", "nce"]
