from __future__ import annotations

import numpy as np
import pytest
import scikit_posthocs
from scipy import stats
from statsmodels.stats.multitest import multipletests

from losstune.statistics import across
from losstune.statistics.across import (
    against_baseline,
    interquartile_mean,
    least_p_value,
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
    tasks = [RNG.normal(mean, 1, 40) for mean in range(6)]
    found = interquartile_mean(tasks, confidence=0.95, rng=np.random.default_rng(1))
    assert found.value == pytest.approx(stats.trim_mean(np.concatenate(tasks), 0.25))
    assert found.low < found.value < found.high
    again = interquartile_mean(tasks, confidence=0.95, rng=np.random.default_rng(1))
    assert again == found


def test_the_mean_of_tasks_of_different_sizes_is_that_of_their_middle_half():
    tasks = [np.full(3, 1.0), np.full(7, 1.0), np.array([1.0, 1.0])] * 2
    found = interquartile_mean(tasks, confidence=0.95, rng=np.random.default_rng(1))
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)
    rows = RNG.normal(size=(5, 11))
    rows[0, 6:], rows[3, 1:] = np.nan, np.nan
    expected = [stats.trim_mean(row[~np.isnan(row)], 0.25) for row in rows]
    np.testing.assert_allclose(across._trimmed_means(rows), expected)


@pytest.mark.parametrize(("num_tasks", "is_bounded"), [(2, False), (5, False), (6, True)])
def test_too_few_tasks_bound_nothing(num_tasks, is_bounded):
    tasks = [RNG.normal(1, 1, 20) for _ in range(num_tasks)]
    mean = interquartile_mean(tasks, confidence=0.95, rng=np.random.default_rng(1))
    share = probability_of_improvement(tasks, confidence=0.95, rng=np.random.default_rng(1))
    assert np.isfinite([mean.low, mean.high]).all() == is_bounded
    assert ((share.low, share.high) == (0.0, 1.0)) != is_bounded


def test_the_least_p_value_is_wilcoxons():
    for number in (3, 6, 9):
        assert least_p_value(number) == pytest.approx(stats.wilcoxon(np.arange(1.0, number + 1)).pvalue)


def test_intervals_cover_where_tasks_differ_as_much_as_their_runs(monkeypatch):
    # Eight tasks of eight runs, each with a luck of its own: resampling runs alone would cover half of the time.
    monkeypatch.setattr(across, "NUM_RESAMPLES", 299)
    rng = np.random.default_rng(0)
    covered = np.zeros(2)
    for _ in range(200):
        tasks = [luck + rng.normal(0, 1, 8) for luck in rng.normal(0, 1, 8)]
        mean = interquartile_mean(tasks, confidence=0.95, rng=rng)
        share = probability_of_improvement(tasks, confidence=0.95, rng=rng)
        covered += mean.low <= 0 <= mean.high, share.low <= 0.5 <= share.high
    # 0.92 and 0.95 in a longer run, with a standard error of 0.02 here.
    assert (covered / 200 > 0.86).all()


def test_profile_and_improvement():
    profile = performance_profile([[0.1, 0.5], [0.9, 0.9]], [0.0, 0.3, 0.8, 1.0])
    np.testing.assert_allclose(profile, [1.0, 0.75, 0.5, 0.0])
    found = probability_of_improvement(
        [[0.1, 0.2, 0.0], [-0.1, 0.3, 0.1]], confidence=0.95, rng=np.random.default_rng(0)
    )
    assert found.value == pytest.approx(((1 + 1 + 0.5) / 3 + 2 / 3) / 2)
