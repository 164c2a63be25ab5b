"""Weighted means: the textbook interval for equal weights, coverage for others."""

import numpy as np
import pytest
from scipy import stats

from losstune.statistics import weighted_mean_with_interval


def test_equal_weights_give_the_t_interval():
    values = np.random.default_rng(0).normal(3.0, 1.0, 12)
    found = weighted_mean_with_interval(values, np.full(12, 1 / 12), confidence=0.9)
    low, high = stats.t.interval(0.9, 11, loc=values.mean(), scale=stats.sem(values))
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), low, high))


def test_a_value_with_weight_two_counts_as_two_halves():
    found = weighted_mean_with_interval([1.0, 2.0, 4.0], [0.5, 0.25, 0.25], confidence=0.95)
    assert found.value == pytest.approx(np.average([1.0, 2.0, 4.0], weights=[2, 1, 1]))


@pytest.mark.parametrize("values", [[0.4], [0.4, 0.4, 0.4]])
def test_without_spread_the_interval_is_a_point(values):
    found = weighted_mean_with_interval(values, np.full(len(values), 1 / len(values)), confidence=0.95)
    assert found.low == pytest.approx(0.4)
    assert found.high == pytest.approx(0.4)


def test_it_covers_the_mean_of_normal_values_with_unequal_weights():
    rng, weights = np.random.default_rng(1), np.array([0.2] * 3 + [0.05] * 8)
    covered = 0
    for _ in range(2000):
        found = weighted_mean_with_interval(rng.normal(0.0, 1.0, 11), weights, confidence=0.95)
        covered += found.low <= 0.0 <= found.high
    assert 0.91 < covered / 2000 < 0.98
