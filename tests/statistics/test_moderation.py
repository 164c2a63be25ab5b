from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, special, stats

from losstune.statistics import Variance, moderated
from losstune.statistics.moderation import MOST_PRIOR_FREEDOM, OUTLIER_LEVEL


def groups(values, freedom):
    freedoms = [freedom] * len(values) if np.isscalar(freedom) else freedom
    return [Variance(float(value), float(free)) for value, free in zip(values, freedoms, strict=True)]


def squeeze(values, freedoms):
    """limma's fitFDist and squeezeVar: Smyth 2004, section 6.2. Return the moderated variances, d_0 and s_0^2."""
    values, freedoms = np.array(values), np.array(freedoms)
    number = values.size
    # E[e] and the excess of Var[e], for e = z - digamma(d / 2) + log(d / 2) and z = log s^2
    e = np.log(values) - special.digamma(freedoms / 2) + np.log(freedoms / 2)
    excess = ((e - e.mean()) ** 2 * number / (number - 1) - special.polygamma(1, freedoms / 2)).mean()
    # trigamma(d_0 / 2) = excess, solved on the log scale
    log_half = optimize.brentq(lambda x: math.log(special.polygamma(1, math.exp(x))) - math.log(excess), -20, 20)
    prior = 2 * math.exp(log_half)
    location = math.exp(e.mean() + special.digamma(prior / 2) - math.log(prior / 2))
    return (prior * location + freedoms * values) / (prior + freedoms), prior, location


VALUES, FREEDOMS = (0.4, 3.9, 1.0, 1.7, 0.15, 2.5, 0.9), (4.0, 3.0, 6.0, 4.5, 5.0, 3.0, 8.0)


def test_the_variances_are_those_of_limma():
    expected, prior, _ = squeeze(VALUES, FREEDOMS)
    assert 1 < prior < MOST_PRIOR_FREEDOM
    found = moderated(groups(VALUES, FREEDOMS))
    assert [variance.value for variance in found] == pytest.approx(expected, rel=1e-6)
    assert [variance.freedom for variance in found] == pytest.approx([prior + d for d in FREEDOMS], rel=1e-6)


def test_a_group_borrows_no_more_than_allowed():
    _, _, location = squeeze(VALUES, FREEDOMS)
    found = moderated(groups(VALUES, FREEDOMS), most_prior=0.5)
    for variance, value, freedom in zip(found, VALUES, FREEDOMS, strict=True):
        assert variance.value == pytest.approx((0.5 * location + freedom * value) / (0.5 + freedom))
        assert variance.freedom == pytest.approx(0.5 + freedom)


def test_variances_that_differ_by_less_than_chance_count_as_equal():
    values, freedoms = (1.0, 1.1, 0.9, 1.05), (3.0, 4.0, 5.0, 6.0)
    common = np.average(values, weights=freedoms)
    for variance in moderated(groups(values, freedoms), most_prior=math.inf):
        assert variance == Variance(pytest.approx(common), pytest.approx(18.0))
    capped = moderated(groups(values, freedoms))[0]
    assert capped.freedom == pytest.approx(MOST_PRIOR_FREEDOM + 3.0)
    assert capped.value == pytest.approx((MOST_PRIOR_FREEDOM * common + 3.0 * 1.0) / (MOST_PRIOR_FREEDOM + 3.0))


def test_a_single_group_keeps_its_variance_and_its_degrees_of_freedom():
    assert moderated([Variance(2.0, 3.0)]) == [Variance(pytest.approx(2.0), pytest.approx(3.0))]


def test_no_group_has_more_degrees_of_freedom_than_all_together():
    for variance in moderated(groups((1.0, 1.2), 2.0)):
        assert variance.freedom == pytest.approx(4.0)


def test_a_group_without_degrees_of_freedom_gets_the_common_variance():
    known = moderated(groups((1.0, 1.1, 0.9), 4.0))
    found = moderated([Variance(123.0, 0.0), *groups((1.0, 1.1, 0.9), 4.0)])
    assert found[1:] == known
    assert found[0] == Variance(pytest.approx(1.0), pytest.approx(MOST_PRIOR_FREEDOM))


def test_without_any_degrees_of_freedom_nothing_is_known():
    with pytest.raises(ValueError, match="degrees of freedom, found none"):
        moderated([Variance(1.0, 0.0)])


def test_an_outlier_keeps_its_variance_and_raises_no_other():
    alike = groups((1.0, 1.1, 0.9, 1.05), 5.0)
    found = moderated([*alike, Variance(500.0, 5.0)])
    assert found[-1] == Variance(500.0, 5.0)
    assert found[:-1] == moderated(alike)


@pytest.mark.parametrize(("factor", "is_apart"), [(1.02, True), (0.98, False)])
def test_an_outlier_is_found_by_the_f_test_of_the_largest_variance(factor, is_apart):
    # Bonferroni over the groups, against the pooled variance of the others, here 1.
    limit = stats.f.ppf(1.0 - OUTLIER_LEVEL / 4, 5, 15)
    found = moderated(groups((1.0, 1.0, 1.0, factor * limit), 5.0))[-1]
    assert (found.freedom == 5.0) == is_apart


def test_outliers_that_hide_each_other_are_found_up_to_a_third_of_the_groups():
    alike = [1.0, 1.1, 0.9, 1.05, 0.95, 1.0]
    found = moderated(groups([*alike, 400.0, 500.0], 4.0))
    assert [variance.value for variance in found[6:]] == [400.0, 500.0]
    assert all(variance.value < 1.5 for variance in found[:6])
    # Two of three groups can't both be outliers.
    assert all(variance.value < 500.0 for variance in moderated(groups([1.0, 500.0, 500.0], 4.0)))


def test_variances_of_zero_are_possible():
    found = moderated(groups((0.0, 0.0, 0.0), 3.0))
    assert all(0.0 < variance.value < 1e-10 for variance in found)


@pytest.mark.parametrize("prior", [4.0, math.inf])
def test_t_tests_hold_their_level_on_average_over_the_groups(prior):
    rng, freedom, rejected = np.random.default_rng(0), 3.0, []
    for _ in range(400):
        true = prior * 2.0 / rng.chisquare(prior, 8) if math.isfinite(prior) else np.full(8, 2.0)
        found = moderated(groups(true * rng.chisquare(freedom, 8) / freedom, freedom))
        t = np.sqrt(true) * rng.normal(size=8) / np.sqrt([variance.value for variance in found])
        rejected += (2 * stats.t.sf(np.abs(t), [variance.freedom for variance in found]) < 0.05).tolist()
    assert np.mean(rejected) == pytest.approx(0.05, abs=0.02)


def test_no_group_is_lowered_if_that_is_not_allowed():
    lowered = moderated(groups(VALUES, FREEDOMS))
    found = moderated(groups(VALUES, FREEDOMS), may_lower=False)
    assert any(variance.value < value for variance, value in zip(lowered, VALUES, strict=True))
    for variance, shrunk, value in zip(found, lowered, VALUES, strict=True):
        assert variance.value == pytest.approx(max(shrunk.value, value))
        assert variance.freedom <= shrunk.freedom + 1e-9


def test_without_lowering_the_degrees_of_freedom_are_satterthwaites():
    _, prior, location = squeeze(VALUES, FREEDOMS)
    found = moderated(groups(VALUES, FREEDOMS), most_own=2.0, may_lower=False)
    for variance, value, own in zip(found, VALUES, FREEDOMS, strict=True):
        borrowed = min(prior, MOST_PRIOR_FREEDOM, sum(FREEDOMS) - own)
        parts = borrowed * location / (borrowed + own), own * value / (borrowed + own)
        expected = sum(parts) ** 2 / (parts[0] ** 2 / borrowed + parts[1] ** 2 / min(own, 2.0))
        assert variance.freedom == pytest.approx(expected, rel=1e-6)


def test_a_variance_far_above_the_others_counts_with_no_more_than_its_own_degrees_of_freedom():
    found = moderated(groups((1.0, 1.1, 0.9, 30.0), 6.0), most_own=2.0, may_lower=False)[-1]
    assert found.freedom == pytest.approx(2.0, rel=0.1)
    assert moderated(groups((1.0,), 6.0), most_own=2.0, may_lower=False) == [Variance(1.0, 2.0)]
