from __future__ import annotations

import numpy as np
import pytest

from losstune.core.errors import LosstuneError
from losstune.report.examples import exchange_of
from losstune.verdict.blocks import blocks_by_loss
from tests.report.material import with_predictions
from tests.report.studies import make_study
from tests.verdict.test_pipeline import CROSS_ENTROPY, shifted

LABELS = np.array([0, 1, 2, 2])


def exchange(predictions, labels=LABELS, num_blocks=3):
    study = make_study({"cross_entropy": CROSS_ENTROPY[:num_blocks], "focal": shifted(0.02)[:num_blocks]})
    study = with_predictions(study, predictions)
    return exchange_of("focal", "cross_entropy", blocks_by_loss(study.confirm), labels)


def test_gained_and_lost_by_hand():
    found = exchange(
        {
            ("cross_entropy", 0): [1, 1, 0, 2],
            ("focal", 0): [0, 2, 2, 2],
            ("cross_entropy", 1): [1, 1, 1, 2],
            ("focal", 1): [0, 0, 2, 2],
            ("cross_entropy", 2): [0, 1, 1, 2],
            ("focal", 2): [2, 0, 2, 2],
        }
    )
    assert found.num_blocks == 3
    told = [(e.index, e.label, e.num_gained, e.num_lost, e.said, e.baseline_said) for e in found.examples]
    # Example 0 is gained twice (baseline: 1) and lost once (focal: 2); 1 is lost in all; 3 is right everywhere.
    assert told == [(0, 0, 2, 1, 2, 1), (1, 1, 0, 3, 0, 1), (2, 2, 3, 0, 2, 1)]
    assert [example.index for example in found.gained(12)] == [2, 0]
    assert [example.index for example in found.gained(1)] == [2]
    assert [example.index for example in found.lost(12)] == [1]
    assert found.mean_gained() == pytest.approx(5 / 3)
    assert found.mean_lost() == pytest.approx(4 / 3)


def test_only_blocks_of_both_are_paired():
    found = exchange({("cross_entropy", 0): [0, 1, 2, 2], ("focal", 0): [0, 1, 2, 0], ("focal", 1): [1, 1, 1, 1]})
    assert found.num_blocks == 1
    assert [(e.index, e.num_gained, e.num_lost) for e in found.examples] == [(3, 0, 1)]


def test_nothing_to_pair_is_told_by_none():
    assert exchange({("focal", 0): [0, 1, 2, 2], ("cross_entropy", 1): [0, 1, 2, 2]}) is None
    blocks = blocks_by_loss(make_study({"cross_entropy": CROSS_ENTROPY}).confirm)
    assert exchange_of("cross_entropy", "cross_entropy", blocks, LABELS) is None


def test_another_test_split_is_refused():
    with pytest.raises(LosstuneError, match="the test split has 4 samples, but the blocks have predictions for 3"):
        exchange({("cross_entropy", 0): [0, 1, 2], ("focal", 0): [0, 1, 2]})
