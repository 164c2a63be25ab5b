from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from losstune import statistics
from losstune.statistics import paired

DIFFERENCES = {
    "mixed": [0.013, -0.004, 0.021, 0.008, 0.017, -0.001, 0.009, 0.012],
    "ties and zeros": [k / 360 for k in (2, 0, -1, 2, 1, 0, 3, -2, 1)],
    "all positive": [0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.007],
    "all zero": [0.0] * 6,
    "two": [0.01, 0.02],
}


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def zeros_like(differences):
    return [0.0] * len(differences)


# the sign-flip test


@pytest.mark.parametrize("name", DIFFERENCES)
def test_p_value_is_the_share_of_all_sign_flips_that_are_as_extreme(name):
    thousandths = [round(360_000 * d) for d in DIFFERENCES[name]]  # whole numbers, so that ties are exact
    observed = abs(sum(thousandths))
    flips = list(itertools.product((-1, 1), repeat=len(thousandths)))
    expected = sum(abs(sum(s * d for s, d in zip(flip, thousandths, strict=True))) >= observed for flip in flips)
    found = statistics.sign_flip_p_value(np.array(thousandths) / 360_000, rng=generator())
    assert found == pytest.approx(expected / len(flips), abs=1e-12)


@pytest.mark.parametrize("name", ["mixed", "all positive", "two"])
def test_p_value_agrees_with_scipy(name):
    expected = stats.permutation_test(
        (np.array(DIFFERENCES[name]),), np.mean, permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert statistics.sign_flip_p_value(DIFFERENCES[name], rng=generator()) == pytest.approx(expected)


def test_smallest_p_value_is_two_over_all_flips():
    for num_blocks in (2, 6, 10, 17):
        p = statistics.sign_flip_p_value([0.01] * num_blocks, rng=generator())
        assert p == pytest.approx(2 / 2**num_blocks)


def test_random_flips_agree_with_the_exact_test(monkeypatch):
    differences = generator(3).normal(0.4, 1.0, 16)
    exact = statistics.sign_flip_p_value(differences, rng=generator())
    low, high = statistics.sign_flip_interval(differences, confidence=0.9, rng=generator())
    monkeypatch.setattr(paired, "MAX_EXACT_BLOCKS", 8)
    estimated = statistics.sign_flip_p_value(differences, rng=generator())
    standard_error = 2 * math.sqrt(exact / 2 / paired.NUM_RANDOM_FLIPS)
    assert abs(estimated - exact) < 4 * standard_error
    assert estimated != exact
    near = statistics.sign_flip_interval(differences, confidence=0.9, rng=generator())
    assert near == pytest.approx((low, high), abs=0.02)


def test_random_flips_never_give_a_p_value_of_zero():
    p = statistics.sign_flip_p_value([0.01] * 60, rng=generator())
    assert p == pytest.approx(2 / (paired.NUM_RANDOM_FLIPS + 1))


def test_many_blocks_are_drawn_in_pieces_that_fit_the_memory():
    differences = generator(1).normal(0.0, 1.0, 2000)
    p = statistics.sign_flip_p_value(differences, rng=generator())
    normal = 2 * stats.norm.sf(abs(differences.sum()) / np.sqrt((differences**2).sum()))
    assert p == pytest.approx(normal, abs=0.01)


def test_false_positive_rate_is_the_level():
    rng, num_studies, level = generator(7), 2000, 0.05
    # 10 blocks give 512 two-sided p-values, so the largest attainable level below 5% is 25/512.
    attainable = math.floor(level * 512) / 512
    rejected = sum(statistics.sign_flip_p_value(rng.laplace(size=10), rng=rng) <= level for _ in range(num_studies))
    assert stats.binomtest(rejected, num_studies, attainable).pvalue > 1e-3


def test_interval_covers_the_centre_as_often_as_promised():
    rng, num_studies = generator(8), 2000
    covered = 0
    for _ in range(num_studies):
        low, high = statistics.sign_flip_interval(rng.laplace(loc=3.0, size=9), confidence=0.9, rng=rng)
        covered += low <= 3.0 <= high
    expected = 1.0 - 2 * math.floor(0.05 * 512) / 512
    assert stats.binomtest(covered, num_studies, expected).pvalue > 1e-3


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(-30, 30), min_size=2, max_size=11), st.sampled_from([0.01, 0.05, 0.1, 0.0625]))
def test_interval_excludes_zero_exactly_when_the_test_rejects(counts, alpha):
    differences = np.array(counts) / 360
    result = statistics.paired_difference(differences, zeros_like(counts), alpha=alpha, rng=generator())
    assert (result.low > 0 or result.high < 0) == (result.p_value <= alpha)
    assert result.low <= result.equivalence_low <= result.equivalence_high <= result.high
    assert result.low <= result.mean + 1e-12
    assert result.mean - 1e-12 <= result.high


def test_interval_bounds_are_the_shifts_at_which_the_test_starts_to_reject():
    differences = np.array(DIFFERENCES["mixed"])
    low, high = statistics.sign_flip_interval(differences, confidence=0.9, rng=generator())
    for bound, inward in ((low, 1), (high, -1)):
        inside = statistics.sign_flip_p_value(differences - bound - inward * 1e-6, rng=generator())
        outside = statistics.sign_flip_p_value(differences - bound + inward * 1e-6, rng=generator())
        assert outside <= 0.1 < inside


def test_interval_is_near_student_t_for_normal_differences():
    differences = generator(5).normal(0.2, 1.0, 18)
    expected = stats.t.interval(0.95, 17, differences.mean(), stats.sem(differences))
    found = statistics.sign_flip_interval(differences, confidence=0.95, rng=generator())
    assert found == pytest.approx(expected, abs=0.12)


def test_too_few_blocks_bound_nothing():
    assert statistics.sign_flip_interval([0.1] * 5, confidence=0.95, rng=generator()) == (-math.inf, math.inf)
    assert statistics.sign_flip_interval([0.25] * 6, confidence=0.95, rng=generator()) == (0.25, 0.25)


# everything else about pairs


def test_paired_difference_describes_the_differences():
    ours, theirs = np.array([0.9, 0.8, 0.7, 0.95]), np.array([0.8, 0.8, 0.75, 0.9])
    result = statistics.paired_difference(ours, theirs, alpha=0.05, rng=generator())
    differences = [0.1, 0.0, -0.05, 0.05]
    assert result.mean == pytest.approx(0.025)
    assert result.median == pytest.approx(0.025)
    assert result.sd == pytest.approx(stats.tstd(differences))
    assert result.probability_better == pytest.approx(2.5 / 4)


def test_swapping_the_losses_mirrors_the_comparison():
    ours, theirs = generator(1).random(9), generator(2).random(9)
    forth = statistics.paired_difference(ours, theirs, alpha=0.05, rng=generator())
    back = statistics.paired_difference(theirs, ours, alpha=0.05, rng=generator())
    assert (back.mean, back.low, back.high) == pytest.approx((-forth.mean, -forth.high, -forth.low))
    assert back.p_value == forth.p_value
    assert back.probability_better == pytest.approx(1 - forth.probability_better)


def test_wilcoxon_agrees_with_the_exact_distribution_and_ignores_rounding():
    differences = [0.01, 0.02, 0.03, 0.04, 0.05, -0.006]
    # Ranks are whole, the smallest is negative: of 64 flips, 4 have a rank sum as far from the middle.
    assert statistics.wilcoxon_p_value(differences) == pytest.approx(4 / 64)
    assert statistics.wilcoxon_p_value([0.0, 1e-17, -1e-17]) == 1.0
    tied = np.array([3, 3, -1, 2, 1, 1, 4]) / 360
    noise = np.array([1, -1, 1, -1, 1, -1, 1]) * 1e-17
    assert statistics.wilcoxon_p_value(tied) == statistics.wilcoxon_p_value(tied + noise)


@pytest.mark.parametrize("seed", range(6))
def test_wilcoxon_with_ties_and_zeros_counts_all_sign_patterns(seed):
    differences = np.random.default_rng(seed).integers(-3, 5, size=9) / 100
    ranks = stats.rankdata(np.abs(differences[differences != 0]))
    found = ranks[differences[differences != 0] > 0].sum()
    sums = np.array([np.dot(ranks, ups) for ups in itertools.product((0, 1), repeat=len(ranks))])
    expected = min(1.0, 2 * min(np.mean(sums <= found), np.mean(sums >= found)))
    assert statistics.wilcoxon_p_value(differences) == expected
    assert statistics.wilcoxon_p_value(differences) == stats.wilcoxon(differences).pvalue


def test_rounding_is_no_difference():
    assert statistics.probability_better([0.1 + 0.2], [0.3]) == 0.5
    thirds = np.array([1, 1, 1, -1, -1, -1]) / 3 * 0.1
    assert statistics.sign_flip_p_value(thirds, rng=generator()) == 1.0


def test_holm_against_the_definition():
    p_values = [0.01, 0.04, 0.03, 0.005]
    # Sorted .005 .01 .03 .04 times 4 3 2 1 gives .02 .03 .06 .04, and never falling .02 .03 .06 .06.
    assert statistics.holm(p_values) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])
    assert statistics.holm([]) == []


def test_holm_agrees_with_statsmodels_to_the_bit():
    from statsmodels.stats.multitest import multipletests

    draws = np.random.default_rng(5)
    for number in range(200):
        p_values = (draws.random(1 + number % 30) ** 3).round(number % 20)  # with ties, zeros and ones
        assert statistics.holm(list(p_values)) == multipletests(p_values, method="holm")[1].tolist()


def test_the_package_imports_no_part_of_scipy_that_takes_long():
    names = {"scipy.stats", "scipy.special", "statsmodels"}
    script = f"import sys, losstune.statistics; print({names} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        ([1.0, 2.0], [1.0], "as many, found 2 and 1"),
        ([1.0], [1.0], "at least 2 blocks"),
        ([1.0, math.inf], [1.0, 1.0], "finite"),
        ([], [], "non-empty"),
        ([[1.0], [2.0]], [[1.0], [2.0]], "row"),
    ],
)
def test_bad_scores_are_refused(ours, theirs, message):
    with pytest.raises(ValueError, match=message):
        statistics.paired_difference(ours, theirs, alpha=0.05, rng=generator())


# the mean


def test_mean_interval_is_scipys_bca():
    values = generator(4).random(12)
    expected = stats.bootstrap(
        (values,), np.mean, confidence_level=0.9, n_resamples=9_999, method="BCa", rng=generator(9)
    ).confidence_interval
    found = statistics.mean_with_interval(values, confidence=0.9, rng=generator(9))
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), expected.low, expected.high))


def test_same_generator_state_gives_the_same_interval():
    values = generator(4).random(25)
    assert statistics.mean_with_interval(values, confidence=0.95, rng=generator(1)) == (
        statistics.mean_with_interval(values, confidence=0.95, rng=generator(1))
    )
    assert statistics.mean_with_interval(values, confidence=0.95, rng=generator(1)) != (
        statistics.mean_with_interval(values, confidence=0.95, rng=generator(2))
    )
    pair = [
        statistics.paired_difference(values, values[::-1] ** 2, alpha=0.05, rng=generator(seed)) for seed in (1, 1, 2)
    ]
    assert pair[0] == pair[1]
    assert pair[0] != pair[2]


@pytest.mark.filterwarnings("error")
@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 360), min_size=1, max_size=8))
def test_mean_interval_is_finite_and_around_the_mean(counts):
    found = statistics.mean_with_interval(np.array(counts) / 360, confidence=0.95, rng=generator())
    assert found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high
    assert math.isfinite(found.low)
    assert math.isfinite(found.high)


def test_equal_values_give_the_point():
    found = statistics.mean_with_interval([0.1 + 0.2, 0.3, 0.3], confidence=0.95, rng=generator())
    assert (found.low, found.high) == (found.value, found.value)


def test_bca_intervals_agree_with_scipy_on_another_stream():
    rng = np.random.default_rng(0)
    scores, baseline = rng.normal(0.02, 0.05, 30), np.zeros(30)
    found = statistics.paired_difference(scores, baseline, alpha=0.05, rng=rng)
    for statistic, low, high in (
        (np.mean, found.bca_low, found.bca_high),
        (np.median, found.median_low, found.median_high),
    ):
        oracle = stats.bootstrap(
            (scores,), statistic, n_resamples=20_000, method="BCa", rng=np.random.default_rng(9)
        ).confidence_interval
        assert low == pytest.approx(oracle.low, abs=0.004)
        assert high == pytest.approx(oracle.high, abs=0.004)


def test_a_median_without_jackknife_spread_has_an_interval():
    found = statistics.median_with_interval([0.0] * 9 + [0.1], confidence=0.95, rng=np.random.default_rng(0))
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_wilson_interval_agrees_with_statsmodels():
    from statsmodels.stats.proportion import proportion_confint

    for wins, blocks in ((0, 7), (0, 8), (3, 8), (6, 6), (7, 7), (8, 8), (11, 16)):
        oracle = proportion_confint(wins, blocks, alpha=0.05, method="wilson")
        low, high = statistics.wilson_interval(wins / blocks, blocks, confidence=0.95)
        assert (low, high) == pytest.approx(oracle)
        # The bounds of no win and of nothing but wins are exact, not what rounding leaves of them.
        assert (low == 0.0, high == 1.0) == (wins == 0, wins == blocks)


def test_effect_size_is_hedges_g():
    differences = np.array([0.1, 0.2, 0.3, 0.4, 0.1])
    exact = math.gamma(2.0) / (math.sqrt(2.0) * math.gamma(1.5))  # Hedges's J for 4 degrees of freedom
    d = differences.mean() / differences.std(ddof=1)
    assert statistics.effect_size(differences) == pytest.approx(exact * d, rel=0.01)
    assert statistics.effect_size([0.1, 0.1]) is None
