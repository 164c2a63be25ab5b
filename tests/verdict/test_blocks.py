from __future__ import annotations

from losstune.verdict.blocks import block_id, blocks_by_loss
from tests.report.studies import make_block


def test_blocks_are_ordered_and_controls_left_out():
    records = [
        make_block("focal", 1, 0.9),
        make_block("gce", 0, 0.8),
        make_block("focal", 0, 0.7),
        make_block("cross_entropy", 0, 0.9, role="control"),
        make_block("cross_entropy", 0, 0.1, role="degraded"),
    ]
    found = blocks_by_loss(records)
    assert {loss: [block.test["accuracy"] for block in blocks] for loss, blocks in found.items()} == {
        "focal": [0.7, 0.9],
        "gce": [0.8],
    }


def test_two_losses_share_the_identity_of_a_block():
    assert block_id(make_block("focal", 3, 0.9)) == block_id(make_block("gce", 3, 0.1))
    assert block_id(make_block("focal", 3, 0.9)) != block_id(make_block("focal", 2, 0.9))
