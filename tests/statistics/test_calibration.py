from __future__ import annotations

import numpy as np
import pytest

from losstune.statistics import debiased_ece, ece


def bins(accuracy, confidence, count, rng):
    return [(count, int(rng.binomial(count, a)), count * c) for a, c in zip(accuracy, confidence, strict=True)]


def test_ece_by_hand():
    assert ece([(10, 9, 8.0), (0, 0, 0.0), (30, 15, 18.0)]) == pytest.approx((1 + 3) / 40)
    # A bin without a hit, or with nothing but hits, counts; the empty one doesn't.
    assert ece([(10, 0, 3.0), (0, 0, 0.0), (10, 10, 8.0)]) == pytest.approx((3 + 2) / 20)
    assert debiased_ece([(10, 0, 3.0), (0, 0, 0.0), (10, 10, 8.0)]) == pytest.approx((3 + 2) / 20)
    for bins_K3 in ([(0, 0, 0.0)], [1, 1, 1.0], [(1, 1)]):
        with pytest.raises(ValueError, match=r"^expected bins \(K, 3\) with at least one sample, found shape \("):
            ece(bins_K3)


def test_debiasing_takes_away_what_chance_adds():
    rng = np.random.default_rng(0)
    confidence = np.linspace(0.55, 0.95, 9)
    plain, debiased = [], []
    for _ in range(400):
        drawn = bins(confidence + 0.03, confidence, 200, rng)
        plain.append(ece(drawn))
        debiased.append(debiased_ece(drawn))
    assert abs(np.mean(debiased) - 0.03) < abs(np.mean(plain) - 0.03)
    assert np.mean(debiased) == pytest.approx(0.03, abs=0.004)


def test_debiasing_agrees_with_drawing_normal_numbers():
    # As the authors' code does it: the bias is the mean of |N(gap, s)| minus |gap|.
    rng = np.random.default_rng(1)
    given = [(50, 40, 42.0), (80, 80, 78.0), (20, 10, 11.0)]
    total = 0.0
    for count, hits, confidences in given:
        accuracy, gap = hits / count, abs(hits - confidences) / count
        drawn = np.abs(rng.normal(gap, np.sqrt(accuracy * (1 - accuracy) / count), 2_000_000))
        total += count / 150 * (gap - (drawn.mean() - gap))
    assert debiased_ece(given) == pytest.approx(total, abs=1e-4)
