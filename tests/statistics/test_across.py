from __future__ import annotations

import numpy as np
import pytest
import scikit_posthocs
from scipy import stats
from statsmodels.stats.multitest import multipletests

from losstune.statistics.across import (
    against_baseline,
    interquartile_mean,
    nemenyi,
    performance_profile,
    probability_of_improvement,
    rank_methods,
)

RNG = np.random.default_rng(0)
SCORES = RNG.normal([0.0, 0.2, 1.0, 2.0, 2.1], 1, (10, 5))


def test_friedman_in_the_form_of_iman_and_davenport():
    found = rank_methods(SCORES, alpha=0.05)
    chi2 = stats.friedmanchisquare(*SCORES.T).statistic
    f = 9 * chi2 / (10 * 4 - chi2)
    assert found.p_friedman == pytest.approx(stats.f.sf(f, 4, 36))
    ranks = np.mean([stats.rankdata(-row) for row in SCORES], axis=0)
    np.testing.assert_allclose(found.mean_ranks, ranks)


def test_critical_difference_of_demsars_table():
    # Demsar 2006, table 5: q_0.05 of 5 classifiers is 2.728.
    assert rank_methods(SCORES, alpha=0.05).critical_difference == pytest.approx(
        2.728 * np.sqrt(5 * 6 / (6 * 10)), abs=1e-3
    )


def test_groups_agree_with_nemenyis_p_values():
    found, p = rank_methods(SCORES, alpha=0.05), nemenyi(SCORES)
    np.testing.assert_allclose(p, scikit_posthocs.posthoc_nemenyi_friedman(SCORES).to_numpy())
    for i in range(5):
        for j in range(i):
            together = any({i, j} <= set(group) for group in found.groups)
            assert together == (p[i, j] > 0.05)


def test_holm_against_the_baseline():
    raw = [stats.wilcoxon(SCORES[:, m] - SCORES[:, 0]).pvalue for m in range(1, 5)]
    np.testing.assert_allclose(against_baseline(SCORES, 0)[1:], multipletests(raw, method="holm")[1])
    assert against_baseline(np.ones((6, 3)), 0) == [1.0, 1.0, 1.0]


def test_all_equal_and_too_few():
    assert rank_methods(np.ones((4, 3)), alpha=0.05).p_friedman == 1.0
    perfect = rank_methods(np.tile([1.0, 2.0, 3.0], (4, 1)), alpha=0.05)
    assert perfect.p_friedman == 0.0
    with pytest.raises(ValueError, match="at least 2 tasks and 3 methods"):
        rank_methods(np.ones((1, 3)), alpha=0.05)


def test_interquartile_mean():
    tasks = [RNG.normal(0, 1, 40), RNG.normal(1, 1, 40)]
    found = interquartile_mean(tasks, confidence=0.95, rng=np.random.default_rng(1))
    assert found.value == pytest.approx(stats.trim_mean(np.concatenate(tasks), 0.25))
    assert found.low < found.value < found.high
    again = interquartile_mean(tasks, confidence=0.95, rng=np.random.default_rng(1))
    assert again == found


def test_profile_and_improvement():
    profile = performance_profile([[0.1, 0.5], [0.9, 0.9]], [0.0, 0.3, 0.8, 1.0])
    np.testing.assert_allclose(profile, [1.0, 0.75, 0.5, 0.0])
    found = probability_of_improvement(
        [[0.1, 0.2, 0.0], [-0.1, 0.3, 0.1]], confidence=0.95, rng=np.random.default_rng(0)
    )
    assert found.value == pytest.approx(((1 + 1 + 0.5) / 3 + 2 / 3) / 2)
