"""How many blocks: closed forms worked out by hand, and the power that studies of that size have."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from scipy import integrate, stats

from losstune import statistics


@pytest.mark.parametrize(("alpha", "effect"), [(0.05, 0.7), (0.05 / 13, 1.0)])
def test_planned_blocks_have_the_power_that_was_asked_for(alpha, effect):
    rng, num_studies = np.random.default_rng(11), 250
    num_blocks = int(statistics.blocks_to_differ(effect, 1.0, alpha=alpha, power=0.8))
    # Student's t stands in for the sign flips, which are slow at this many studies and as powerful here.
    found = sum(stats.ttest_1samp(rng.normal(effect, 1.0, num_blocks), 0.0).pvalue <= alpha for _ in range(num_studies))
    assert stats.binomtest(found, num_studies, 0.8).pvalue > 1e-3


def test_blocks_to_differ_in_closed_form():
    # (1.959964 + 0.841621)^2 * 4 + 1.959964^2 / 2 = 31.396 + 1.921
    assert statistics.blocks_to_differ(0.5, 1.0, alpha=0.05, power=0.8) == 34
    assert statistics.blocks_to_differ(-0.5, 1.0, alpha=0.05, power=0.8) == 34
    # However clear the difference, 6 blocks are the fewest whose sign flips reach 5%, and 10 for 5% / 13.
    assert statistics.blocks_to_differ(9.0, 1e-9, alpha=0.05, power=0.8) == 6
    # 2 / 2^5 = 0.0625 is enough for five blocks, and 0.0624 isn't.
    assert statistics.blocks_to_differ(9.0, 1e-9, alpha=0.0625, power=0.8) == 5
    assert statistics.blocks_to_differ(9.0, 1e-9, alpha=0.0624, power=0.8) == 6
    assert statistics.blocks_to_differ(9.0, 1e-9, alpha=0.05 / 13, power=0.8) == 10
    assert statistics.blocks_to_differ(0.0, 1.0, alpha=0.05, power=0.8) == math.inf


def test_blocks_to_match_in_closed_form():
    # (1.644854 + 0.841621)^2 / 0.25 + 1.644854^2 / 2 = 24.730 + 1.353
    assert statistics.blocks_to_match(0.5, 1.0, rope=1.0, alpha=0.05, power=0.8) == 27
    # At zero both bounds must hold: (1.644854 + 1.281552)^2 + 1.353 = 8.564 + 1.353
    assert statistics.blocks_to_match(0.0, 1.0, rope=1.0, alpha=0.05, power=0.8) == 10
    assert statistics.blocks_to_match(0.0, 0.0, rope=1.0, alpha=0.05, power=0.8) == 5
    # 1 / 2^4 = 0.0625, one-sided.
    assert statistics.blocks_to_match(0.0, 0.0, rope=1.0, alpha=0.0625, power=0.8) == 4
    assert statistics.blocks_to_match(0.0, 0.0, rope=1.0, alpha=0.0624, power=0.8) == 5
    assert statistics.blocks_to_match(-0.5, 1.0, rope=1.0, alpha=0.05, power=0.8) == 27
    assert statistics.blocks_to_match(1.0, 1.0, rope=1.0, alpha=0.05, power=0.8) == math.inf


@pytest.mark.parametrize("alpha", [0.2, 0.01, 0.001])
@pytest.mark.parametrize("mean", [0.3, 0.9, -0.2])
def test_the_formulas_at_other_levels(mean, alpha):
    """With quantiles of the standard library's normal distribution."""
    z = NormalDist().inv_cdf
    differ = ((z(1 - alpha / 2) + z(0.9)) * 1.3 / mean) ** 2 + z(1 - alpha / 2) ** 2 / 2
    assert statistics.blocks_to_differ(mean, 1.3, alpha=alpha, power=0.9) == max(
        math.ceil(differ), math.ceil(math.log2(2 / alpha))
    )
    match = ((z(1 - alpha) + z(0.9)) * 1.3 / (2 - abs(mean))) ** 2 + z(1 - alpha) ** 2 / 2
    assert statistics.blocks_to_match(mean, 1.3, rope=2.0, alpha=alpha, power=0.9) == max(
        math.ceil(match), math.ceil(math.log2(1 / alpha))
    )


@pytest.mark.parametrize("freedom", [2.5, 8.0, 25.0, math.inf])
@pytest.mark.parametrize(("alpha", "power"), [(0.05, 0.8), (0.05 / 13, 0.8), (0.01, 0.95)])
def test_the_smallest_difference_has_its_power_by_the_noncentral_t(freedom, alpha, power):
    found = statistics.smallest_difference([0.3], [freedom], alpha=alpha, power=power)
    if math.isinf(freedom):
        normal = NormalDist()
        expected = 0.3 * (normal.inv_cdf(1.0 - alpha / 2.0) + normal.inv_cdf(power))
        assert found == pytest.approx(expected, rel=1e-4)
    else:
        # The density of nct is integrated, because its distribution function is what was inverted.
        critical = stats.t.ppf(1.0 - alpha / 2.0, freedom)
        below, _ = integrate.quad(stats.nct(freedom, found / 0.3).pdf, -30.0, critical, limit=200)
        assert 1.0 - below == pytest.approx(power, abs=1e-5)


@pytest.mark.parametrize("freedom", [6, 20])
def test_a_simulated_study_finds_the_smallest_difference_and_the_smallest_margin_as_often_as_promised(freedom):
    rng, num, alpha, power = np.random.default_rng(5), 40_000, 0.05, 0.8
    errors = np.sqrt(rng.chisquare(freedom, num) / freedom)
    difference = statistics.smallest_difference([1.0], [freedom], alpha=alpha, power=power)
    found = (rng.normal(difference, 1.0, num) / errors > stats.t.ppf(1.0 - alpha / 2.0, freedom)).mean()
    assert found == pytest.approx(power, abs=0.01)
    margin = statistics.smallest_margin([1.0], [freedom], alpha=alpha, power=power)
    within = (np.abs(rng.normal(0.0, 1.0, num)) <= margin - stats.t.ppf(1.0 - alpha, freedom) * errors).mean()
    assert within == pytest.approx(power, abs=0.04)


def test_comparisons_with_unequal_errors_find_what_is_promised_on_average():
    rng, num, alpha = np.random.default_rng(6), 400_000, 0.01
    errors, freedom = np.array([0.2, 1.0, 1.0, 5.0]), np.array([math.inf, 4.0, 30.0, 12.0])
    for power in (0.3, 0.8):
        drawn = rng.integers(0, 4, num)
        known = np.minimum(freedom, 1e5)[drawn]
        scale = errors[drawn] * np.sqrt(rng.chisquare(known) / known)
        difference = statistics.smallest_difference(errors, freedom, alpha=alpha, power=power)
        found = rng.normal(difference, errors[drawn]) / scale > stats.t.isf(alpha / 2.0, known)
        assert found.mean() == pytest.approx(power, abs=0.004)
        margin = statistics.smallest_margin(errors, freedom, alpha=alpha, power=power)
        # By Student's distribution of each, which is what the approximation says.
        shown = 2.0 * stats.t.cdf(margin / errors - stats.t.isf(alpha, freedom), freedom) - 1.0
        assert shown.mean() == pytest.approx(power, abs=1e-6)
