from __future__ import annotations

import numpy as np
import pytest

from losstune.report.learning_rate_sensitivity import sensitivity_of, share_near_best
from tests.factories import make_record
from tests.report.studies import make_study
from tests.verdict.test_pipeline import CROSS_ENTROPY

DECADES = (1e-4, 1.0)


@pytest.mark.parametrize(
    ("rates", "scores", "expected"),
    [
        ([1e-2], [0.9], 1.0),
        # Borders at 10^-2.5 and 10^-1.5: the middle trial stands for one decade of four.
        ([1e-3, 1e-2, 1e-1], [0.5, 0.9, 0.5], 0.25),
        ([1e-3, 1e-2, 1e-1], [0.9, 0.9, 0.5], 0.625),
        ([1e-3, 1e-2, 1e-1], [0.9, 0.891, 0.9], 1.0),
        # Two trials at one rate: one near, one not, so half of what they stand for.
        ([1e-3, 1e-2, 1e-2], [0.5, 0.9, 0.5], 0.3125),
        # Beyond the range is at its end.
        ([1e-6, 1e-2], [0.9, 0.5], 0.25),
    ],
)
def test_shares_by_hand(rates, scores, expected):
    for order in (slice(None), slice(None, None, -1)):
        found = share_near_best(rates[order], scores[order], DECADES, tolerance=0.01)
        assert found == pytest.approx(expected)


def test_share_is_that_of_points_whose_nearest_trial_is_near_the_best():
    rng = np.random.default_rng(5)
    rates, scores = 10 ** rng.uniform(-4, 0, 30), rng.uniform(0.85, 0.87, 30)
    grid = np.linspace(-4, 0, 200_001)
    nearest = np.abs(grid[:, None] - np.log10(rates)).argmin(1)
    expected = (scores[nearest] >= scores.max() - 0.01).mean()
    found = share_near_best(rates.tolist(), scores.tolist(), DECADES, tolerance=0.01)
    assert found == pytest.approx(expected, abs=1e-4)


def test_losses_without_a_usable_trial_or_a_range_are_left_out():
    study = make_study({"cross_entropy": CROSS_ENTROPY, "focal": CROSS_ENTROPY}, without_winner=["apl"])
    study.tune = [record for record in study.tune if record.configuration.loss != "focal"] + [
        make_record(loss="focal", index=0, learning_rate=1e-3)
    ]
    results = make_study({"cross_entropy": CROSS_ENTROPY, "focal": CROSS_ENTROPY}, without_winner=["apl"]).results()
    found = sensitivity_of(results, study.tune, {"focal": (1e-5, 1e-1), "apl": (1e-5, 1e-1)})
    assert list(found) == ["focal"]
    assert (found["focal"].share, found["focal"].num_decades) == (pytest.approx(1.0), pytest.approx(4.0))
