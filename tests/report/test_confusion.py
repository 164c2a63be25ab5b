from __future__ import annotations

from losstune.report.confusion import confusion_difference
from losstune.verdict.blocks import blocks_by_loss
from tests.report.studies import make_block


def block(loss, index, confusion):
    return make_block(loss, index, 0.9).model_copy(update={"confusion": confusion})


def test_difference_is_over_the_blocks_of_both():
    blocks = blocks_by_loss(
        [
            block("cross_entropy", 0, ((8, 2), (1, 9))),
            block("cross_entropy", 1, ((7, 3), (0, 10))),
            block("focal", 0, ((9, 1), (3, 7))),
            block("focal", 1, ((10, 0), (0, 10))),
            block("focal", 2, ((0, 10), (10, 0))),
        ]
    )
    found = confusion_difference("focal", "cross_entropy", blocks, 2)
    assert found.tolist() == [[4, -4], [2, -2]]
    assert confusion_difference("focal", "gce", blocks, 2).tolist() == [[0, 0], [0, 0]]
