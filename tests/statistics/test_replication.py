from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.power import TTestIndPower

from losstune.statistics import (
    SearchError,
    search_errors,
    search_interval,
    search_p_value,
    searches_to_differ,
    searches_to_match,
)
from losstune.statistics.replication import OUTLIER_LEVEL
from tests.statistics.layouts import two_way_layout


def with_baseline(scores_LS):
    """Differences (L - 1, S) of the rows below the first from the first."""
    return scores_LS[1:] - scores_LS[0]


def test_the_error_is_the_residual_of_a_two_way_anova_and_the_test_its_contrast():
    scores = np.random.default_rng(0).normal(0, 1, (5, 3)) + np.arange(3)
    long = pd.DataFrame(
        [(f"l{loss}", f"s{search}", value) for (loss, search), value in np.ndenumerate(scores)],
        columns=["loss", "search", "y"],
    )
    fit = smf.ols("y ~ loss + search", data=long).fit()
    errors = search_errors(with_baseline(scores))
    for number, error in enumerate(errors, start=1):
        assert error.variance == pytest.approx(anova_lm(fit)["mean_sq"]["Residual"])
        assert error.freedom == 8
        mean = scores[number].mean() - scores[0].mean()
        contrast = fit.t_test(f"loss[T.l{number}] = 0")
        assert mean == pytest.approx(contrast.effect[0])
        assert search_p_value(mean, error, 3) == pytest.approx(float(contrast.pvalue))
        expected = contrast.conf_int(alpha=0.1)[0]
        assert search_interval(mean, error, 3, confidence=0.9) == pytest.approx(tuple(expected))


def test_one_loss_is_a_paired_t_test():
    differences = np.array([[0.3, 0.1, 0.4, 0.2]])
    (error,) = search_errors(differences)
    expected = stats.ttest_1samp(differences[0], 0.0).pvalue
    assert search_p_value(differences.mean(), error, 4) == pytest.approx(expected)


def test_levels_hold_whatever_luck_the_searches_have():
    rng, false_claims = np.random.default_rng(1), 0
    for _ in range(1000):
        differences = with_baseline(rng.normal(0, 0.4, (8, 2)) + rng.normal(0, 3, (1, 2)))
        (error, *_) = search_errors(differences)
        false_claims += search_p_value(differences[0].mean(), error, 2) <= 0.05
    assert stats.binomtest(false_claims, 1000, 0.05).pvalue > 0.01


def test_a_loss_whose_searches_are_a_gamble_leaves_the_others_alone():
    rng = np.random.default_rng(2)
    scores = rng.normal(0, 1, (15, 2))
    calm = search_errors(with_baseline(scores))
    scores[7] += [40.0, -40.0]
    scores[9] += [-30.0, 30.0]
    wild = search_errors(with_baseline(scores))
    others = [error for row, error in enumerate(wild, start=1) if row not in (7, 9)]
    assert len({error.variance for error in others}) == 1
    assert others[0].freedom == 12
    assert others[0].variance < 2.0 * calm[0].variance
    # Its own variance about the others, and theirs for the baseline, with Satterthwaite's degrees of freedom.
    alike = np.delete(scores, [7, 9], axis=0).mean(0)
    own = np.var(scores[7] - alike, ddof=1)
    assert wild[6].variance == pytest.approx((own + others[0].variance) / 2)
    assert 1.0 <= wild[6].freedom < 1.1


@pytest.mark.parametrize(("num_losses", "num_searches"), [(3, 2), (4, 3), (5, 4)])
def test_the_outward_test_is_the_f_test_of_nested_models(num_losses, num_searches):
    """Whether one loss more is set apart, against statsmodels: the two-way layout with and without that loss's rows."""
    scores = np.random.default_rng(6).normal(0, 1, (num_losses + 1, num_searches))
    wild = np.random.default_rng(7).normal(0, 1, num_searches)

    decisions = []
    for scale in np.geomspace(1, 300, 120):
        values = scores.copy()
        values[1] += scale * wild
        # The outlier is the loss without which the rest fit best, never the baseline.
        without = [two_way_layout(np.delete(values, loss, axis=0)) for loss in range(1, num_losses + 1)]
        rest = min(without, key=lambda fit: fit.ssr)
        extra = (two_way_layout(values).ssr - rest.ssr) / (num_searches - 1)
        p_value = stats.f.sf(extra / (rest.ssr / rest.df_resid), num_searches - 1, rest.df_resid)
        errors = search_errors(with_baseline(values))
        is_apart = len({error.variance for error in errors}) > 1
        assert is_apart == (p_value * num_losses < OUTLIER_LEVEL), scale
        decisions.append(is_apart)
        if is_apart and rest is without[0]:
            own = np.var(values[1] - np.delete(values, 1, axis=0).mean(0), ddof=1)
            parts = own, rest.mse_resid
            assert errors[0].variance == pytest.approx(sum(parts) / 2)
            # Welch's and Satterthwaite's degrees of freedom.
            expected = sum(parts) ** 2 / (parts[0] ** 2 / (num_searches - 1) + parts[1] ** 2 / rest.df_resid)
            assert errors[0].freedom == pytest.approx(expected)
    assert {*decisions} == {False, True}


def test_losses_that_vary_alike_are_seldom_set_apart():
    rng = np.random.default_rng(3)
    apart = sum(len({error.variance for error in search_errors(rng.normal(0, 1, (13, 3)))}) > 1 for _ in range(300))
    assert apart <= 0.1 * 300


def test_the_baseline_is_never_set_apart():
    scores = np.random.default_rng(4).normal(0, 1, (9, 2))
    scores[0] += [40.0, -40.0]
    errors = search_errors(with_baseline(scores))
    assert min(error.variance for error in errors) > 100


def test_no_spread_at_all_decides_by_the_mean_alone():
    (error,) = search_errors([[0.25, 0.25]])
    assert error.variance == 0.0
    assert (search_p_value(0.25, error, 2), search_p_value(0.0, error, 2)) == (0.0, 1.0)
    assert search_interval(0.25, error, 2, confidence=0.95) == (0.25, 0.25)
    assert searches_to_differ(0.25, error, 2, alpha=0.05, power=0.8) == 2


def test_searches_to_differ_against_the_power_of_statsmodels():
    # With two losses and freedom 2 (S - 1), it is the t test of two samples of S each.
    error = SearchError(1.0, 2)
    for mean, alpha, power in ((1.0, 0.05, 0.8), (0.4, 0.05, 0.9), (2.0, 0.01, 0.8)):
        expected = TTestIndPower().solve_power(effect_size=mean, alpha=alpha, power=power)
        found = searches_to_differ(mean, error, 2, alpha=alpha, power=power)
        assert found == math.ceil(expected)
    assert searches_to_differ(0.0, error, 2, alpha=0.05, power=0.8) == math.inf


def test_searches_to_match_keep_their_promise():
    error = SearchError(1.0, 4)
    num_searches = searches_to_match(0.2, error, 2, rope=1.0, alpha=0.05, power=0.8)
    rng, matched = np.random.default_rng(5), 0
    for _ in range(2000):
        variance = rng.chisquare(4 * (num_searches - 1)) / (4 * (num_searches - 1))
        mean = rng.normal(0.2, math.sqrt(2 / num_searches))
        found = SearchError(variance, 4 * (num_searches - 1))
        low, high = search_interval(mean, found, num_searches, confidence=0.9)
        matched += low > -1.0 and high < 1.0
    assert 0.78 < matched / 2000 < 0.86
    assert searches_to_match(1.0, error, 2, rope=1.0, alpha=0.05, power=0.8) == math.inf


@pytest.mark.parametrize("differences", [[0.1, 0.2], [[0.1]], [[0.1, float("nan")]], np.ones((0, 2))])
def test_what_is_no_layout_is_refused(differences):
    with pytest.raises(ValueError, match="expected"):
        search_errors(differences)
