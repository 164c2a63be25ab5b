from __future__ import annotations

import numpy as np
import pytest

from losstune import statistics
from losstune.core.records import Calibration
from losstune.verdict.diagnostics import calibration_of
from tests.report.studies import make_block, make_study

SCORES = {"cross_entropy": [0.90, 0.92, 0.91, 0.93], "focal": [0.91, 0.94, 0.90, 0.95]}


def test_the_optimisers_curse_is_validation_against_validation():
    results = make_study(SCORES).results()
    focal = results.of("focal")
    # make_record gives a block the same validation as test score; the search's winner has 0.90.
    assert focal.optimism.mean == pytest.approx(0.90 - np.mean(SCORES["focal"]))
    assert focal.optimism.low <= focal.optimism.mean <= focal.optimism.high


def test_best_of_and_variances_come_from_the_search_and_the_blocks():
    results = make_study(SCORES).results()
    # Two searches of three trials: 0.88, 0.90 and one that diverged.
    assert results.of("focal").best_of == pytest.approx(statistics.expected_best([0.88, 0.90, 0.0] * 2))
    assert results.of("focal").overtakes == ()
    expected = statistics.components_of_variance(
        [[scores[0::2], scores[1::2]] for scores in SCORES.values()],
        {f"{loss} {search}": [0.88, 0.90] for loss in SCORES for search in range(2)},
    )
    assert results.variances.search == pytest.approx(expected.search)
    assert results.variances.seed_own == pytest.approx(expected.seed_own)
    assert results.variances.hyperparameters == pytest.approx(expected.hyperparameters)


def test_calibration_is_the_mean_over_blocks_and_pools_the_bins():
    def block(index, hits):
        row = Calibration(nll=0.1 * (index + 1), brier=0.2, bins=((0, 0, 0.0), (10, hits, 8.0)))
        return make_block("focal", index, 0.9).model_copy(
            update={"calibration": dict.fromkeys(("softmax", "link", "scaled"), row), "temperature": 2.0}
        )

    found, temperature = calibration_of([block(0, 9), block(1, 6)])
    assert temperature == 2.0
    assert found["link"].nll == pytest.approx(0.15)
    assert found["link"].ece == pytest.approx((0.1 + 0.2) / 2)
    assert found["link"].bins == ((0, 0, 0.0), (20, 15, 16.0))
    assert calibration_of([make_block("focal", 0, 0.9)]) == ({}, None)


def test_a_positive_control_that_is_missed_ends_without_a_verdict():
    scores = {loss: values * 3 for loss, values in SCORES.items()}
    results = make_study(scores, degraded=0.93).results()
    assert results.control.positive.detected is False
    assert (results.verdict.action, results.verdict.loss) == ("none", None)
    assert "could not detect a bad loss either" in results.verdict.sentence
    assert make_study(scores, degraded=0.3).results().control.positive.detected
