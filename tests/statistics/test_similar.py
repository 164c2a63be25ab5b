"""Predictions from similar studies: against scikit-learn's Gaussian process, a textbook formula and brute force."""

import itertools
import math

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from losstune.statistics import Effects, Spread, cover_best, fit_spread, predict
from losstune.statistics.similar import OWN, POWER, SHARED

LENGTH = 0.7


def similar(ones, others):
    return np.exp(-np.abs(np.subtract.outer(ones, others)) / LENGTH)


def effects(rng, num_studies):
    places = rng.uniform(0, 3, num_studies)
    values, errors = rng.normal(0, 1.5, num_studies), rng.uniform(0.1, 1.0, num_studies)
    return places, Effects(values, errors, similar(places, places))


def process(spread, errors):
    # This kernel is exp(-distance / length), and a power of it is one with another length.
    kernel = ConstantKernel(spread.shared**2) * Matern(LENGTH / spread.power, nu=0.5)
    return GaussianProcessRegressor(kernel, alpha=spread.own**2 + errors**2, optimizer=None)


@pytest.mark.parametrize("num_studies", [1, 2, 9])
@pytest.mark.parametrize("power", [1.0, 0.25])
def test_a_prediction_is_that_of_a_gaussian_process(num_studies, power):
    places, found = effects(np.random.default_rng(num_studies), num_studies)
    spread = Spread(shared=1.3, own=0.4, power=power)
    oracle = process(spread, found.errors_S).fit(places[:, None], found.values_S)
    mean, sd = oracle.predict([[1.0]], return_std=True)
    ours = predict(found, similar([1.0], places)[0], spread)
    assert ours.mean == pytest.approx(mean[0], rel=1e-9)
    assert ours.sd == pytest.approx(math.hypot(sd[0], spread.own), rel=1e-6)  # a new study has a part of its own


def test_equal_studies_are_averaged_and_shrunk_to_0():
    values, errors = np.array([1.0, 3.0]), np.array([0.5, 1.0])
    ours = predict(Effects(values, errors, np.ones((2, 2))), [1.0, 1.0], Spread(shared=2.0, own=0.0))
    precision = 1 / errors**2
    assert ours.mean == pytest.approx(precision @ values / (precision.sum() + 1 / 2.0**2))
    assert ours.sd == pytest.approx((precision.sum() + 1 / 2.0**2) ** -0.5)


@pytest.mark.parametrize("num_studies", [0, 3])
def test_without_a_similar_study_nothing_is_known(num_studies):
    _, found = effects(np.random.default_rng(0), num_studies)
    ours = predict(found, np.zeros(num_studies), Spread(shared=3.0, own=4.0))
    assert (ours.mean, ours.sd) == (0.0, pytest.approx(5.0))


def test_the_spread_has_the_highest_likelihood():
    rng = np.random.default_rng(3)
    found = [effects(rng, num_studies) for num_studies in (4, 7, 1)]

    def likelihood(spread):
        fits = [process(spread, one.errors_S).fit(places[:, None], one.values_S) for places, one in found]
        return sum(fit.log_marginal_likelihood(fit.kernel_.theta) for fit in fits)

    best = max((Spread(*three) for three in itertools.product(SHARED, OWN, POWER)), key=likelihood)
    assert fit_spread([one for _, one in found], Spread(9.0, 9.0)) == best


def test_the_spread_is_found_again():
    rng, truth, found = np.random.default_rng(4), Spread(shared=2.0, own=0.3, power=0.5), []
    for _ in range(40):
        places = rng.uniform(0, 3, 15)
        covariance = truth.shared**2 * similar(places, places) ** truth.power + np.diag(
            np.full(15, truth.own**2 + 0.1**2)
        )
        values = rng.multivariate_normal(np.zeros(15), covariance)
        found.append(Effects(values, np.full(15, 0.1), similar(places, places)))
    assert fit_spread(found, Spread(9.0, 9.0)) == truth


def test_without_effects_the_spread_is_the_default():
    empty = Effects(np.empty(0), np.empty(0), np.empty((0, 0)))
    assert fit_spread([], Spread(1.0, 2.0)) == fit_spread([empty], Spread(1.0, 2.0)) == Spread(1.0, 2.0)


def share_covered(draws, columns, margin):
    return np.mean([row[list(columns)].max() >= row.max() - margin for row in draws])


@pytest.mark.parametrize("seed", range(5))
def test_the_choice_covers_nearly_as_much_as_the_best_set(seed):
    rng = np.random.default_rng(seed)
    draws = rng.normal(rng.normal(0, 1, 8), rng.uniform(0.1, 3, 8), (400, 8))
    ours = share_covered(draws, cover_best(draws, range(8), 3, 0.5), 0.5)
    best = max(share_covered(draws, columns, 0.5) for columns in itertools.combinations(range(8), 3))
    assert best * (1 - 1 / math.e) <= ours <= best
    assert ours > 0.97 * best


def test_the_choice_is_diverse():
    # The first two columns are the best together; the third alone is the best in the rest of the draws.
    draws = np.array([[3.0, 3.0, 0.0], [3.0, 3.0, 0.0], [0.0, 0.0, 1.0]])
    assert cover_best(draws, range(3), 2, 0.5) == [0, 2]


def test_a_rival_is_not_chosen_but_counts():
    draws = np.array([[1.0, 0.0, 5.0], [1.0, 0.0, 5.0], [0.0, 1.0, 0.0]])
    assert cover_best(draws, [0, 1], 1, 0.5) == [1]  # the first is far below the rival
    assert cover_best(draws, [0, 1], 6, 0.5) == [1, 0]


def test_what_is_given_needs_no_other():
    draws = np.array([[3.0, 2.9, 0.0], [3.0, 2.9, 0.0], [0.0, 0.1, 1.0]])
    assert cover_best(draws, [1, 2], 1, 0.5) == [1]
    assert cover_best(draws, [1, 2], 1, 0.5, given=[0]) == [2]
    assert cover_best(draws, [0, 1], 2, 0.5, given=[0, 2]) == [0, 1], "all is covered: the higher means are next"
