from __future__ import annotations

import itertools

import numpy as np
import pytest

from losstune.statistics import expected_best, overtakes


def test_expected_best_is_the_mean_over_all_subsets():
    scores = np.random.default_rng(0).random(7)
    for k, found in enumerate(expected_best(scores), start=1):
        assert found == pytest.approx(np.mean([max(s) for s in itertools.combinations(scores, k)]))


def test_expected_best_of_many_stays_finite():
    curve = expected_best(np.arange(2000.0))
    # The largest of k of 0..n-1: k (n + 1) / (k + 1) - 1.
    k = np.arange(1, 2001)
    np.testing.assert_allclose(curve, k * 2001 / (k + 1) - 1, rtol=1e-9)


def test_overtaking():
    assert overtakes([1, 2, 5, 6], [2, 2, 3, 7]) == [(3, True), (4, False)]
    assert overtakes([3, 4], [1, 2]) == []
    assert overtakes([1, 1], [1, 1]) == []
    # To 1e-12 they are equal, and the leader stays the leader.
    assert overtakes([1, 2, 3], [0, 2 + 9e-13, 2]) == []
    assert overtakes([1, 2, 3, 1], [0, 2 + 2e-12, 3, 0]) == [(2, False), (4, True)]
    # Of curves of unequal length the common budgets count.
    assert overtakes([1, 2], [2, 1, 9]) == [(2, True)]
