from __future__ import annotations

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
