from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from losstune.statistics import (
    Order,
    Pool,
    PooledDifference,
    PooledStudy,
    Variance,
    allocate,
    fit_blocks,
    search_weights,
)
from losstune.statistics.pooled import LEAST_SEARCH_SHARE


def order_of(validation_T, size):
    """The order of trials, better ones first, of searches that each start with the defaults."""
    return Order.of(np.argsort(np.argsort(-np.asarray(validation_T))), np.arange(len(validation_T)) % size == 0)


def pool_of(validation_T, size, trial_K, score_K, failed_T=None):
    number = len(validation_T)
    return Pool(
        order=order_of(validation_T, size),
        configuration_T=np.where(np.arange(number) % size == 0, 0, np.arange(number)),
        validation_T=np.asarray(validation_T, float),
        failed_T=np.zeros(number, bool) if failed_T is None else np.asarray(failed_T),
        trial_K=np.asarray(trial_K),
        block_K=np.arange(len(trial_K)),
        score_K=np.asarray(score_K, float),
    )


def allocated(validation_T, size, num_blocks):
    """The trials whose configurations the blocks retrain, by their weight."""
    pool = pool_of(validation_T, size, [0], [0.0])
    weights = np.bincount(pool.configuration_T, search_weights(pool.order, size), minlength=len(validation_T))
    return np.array(allocate(weights, np.zeros(weights.size), num_blocks))


def drawn(rng, *, size=4, num_searches=4, num_blocks=12, spread=1.0, noise=0.5, block_sd=0.5, num_losses=2, names=None):
    """Pools of losses that are equal in truth: each has configurations of its own, from the same distribution."""
    blocks, pools = block_sd * rng.normal(size=num_blocks), []
    for _ in range(num_losses):
        true_T = spread * rng.normal(size=num_searches * size)
        true_T[::size] = 0.0
        validation_T = true_T + noise * rng.normal(size=true_T.size)
        trial_K = allocated(validation_T, size, num_blocks)
        score_K = true_T[trial_K] + blocks + noise * rng.normal(size=num_blocks)
        pools.append(pool_of(validation_T, size, trial_K, score_K))
    return pools


def means_of(study):
    return [expected.mean for expected in study.expected]


def fit_of(pools):
    """The fit of all blocks, and the number of each block's configuration in it."""
    names = ("trial_K", "block_K", "score_K")
    trials, blocks, scores = (np.concatenate([getattr(pool, name) for pool in pools]) for name in names)
    groups = np.repeat(np.arange(len(pools)), [pool.trial_K.size for pool in pools])
    configurations = np.unique(np.stack([groups, trials]), axis=1, return_inverse=True)[1].ravel()
    return fit_blocks(scores, configurations, groups, blocks), configurations


def searches(validation_T, size):
    """The trial at which each search that the pool holds ends."""
    defaults = range(0, len(validation_T), size)
    draws = [trial for trial in range(len(validation_T)) if trial % size]
    for default in defaults:
        for subset in itertools.combinations(draws, size - 1):
            yield max((default, *subset), key=lambda trial: validation_T[trial])


def noiseless(rng, size, num_searches, gap=0.0):
    """A pool whose blocks show the true score of a configuration, with all configurations that can win retrained."""
    true_T = rng.normal(size=num_searches * size)
    true_T[::size] = true_T[0]
    validation_T = true_T + rng.normal(size=true_T.size) if gap is None else true_T - gap
    winners = sorted({0 if trial % size == 0 else trial for trial in searches(validation_T, size)})
    trial_K = np.array(winners * 2)
    return true_T, pool_of(validation_T, size, trial_K, true_T[trial_K])


def test_one_search_a_loss_is_a_paired_comparison_of_its_winners():
    rng = np.random.default_rng(0)
    base = pool_of([0.5, 0.9, 0.4], 3, [1] * 8, rng.normal(size=8))
    other = pool_of([0.5, 0.2, 0.4], 3, [0] * 8, rng.normal(size=8))
    study = PooledStudy([base, other], 3, None)
    assert [search_weights(pool.order, 3).tolist() for pool in (base, other)] == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    assert means_of(study) == pytest.approx([base.score_K.mean(), other.score_K.mean()])
    (found,) = study.without_search_error(0, [1])
    paired = other.score_K - base.score_K
    assert found.mean == pytest.approx(paired.mean())
    assert found.error == pytest.approx(stats.sem(paired))
    assert found.search == Variance(0.0, math.inf)
    with pytest.raises(ValueError, match="more than 2 draws"):
        study.differences(0, [1])


@given(st.integers(2, 4), st.integers(2, 3), st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_the_mean_is_that_of_all_searches_which_the_pool_holds(size, num_searches, seed):
    true_T, pool = noiseless(np.random.default_rng(seed), size, num_searches, gap=None)
    study = PooledStudy([pool], size, None)
    ends = list(searches(pool.validation_T, size))
    assert means_of(study)[0] == pytest.approx(true_T[ends].mean())
    fit, configurations = fit_of([pool])
    assert fit.mean_C[configurations] == pytest.approx(true_T[pool.trial_K])


def test_a_configuration_that_was_not_retrained_counts_with_its_validation_score_and_the_gap():
    size, rng = 3, np.random.default_rng(1)
    true_T, pool = noiseless(rng, size, 3, gap=0.2)
    best = int(np.argmax(true_T))
    few = replace(pool, trial_K=np.array([best] * 4), block_K=np.arange(4), score_K=true_T[[best] * 4])
    study = PooledStudy([few], size, None)
    assert means_of(study)[0] == pytest.approx(true_T[list(searches(pool.validation_T, size))].mean())


def test_a_failed_trial_counts_with_the_worst_score():
    # Searches of two trials: the first draw ends its searches, the second fails and ends none.
    validation_T, size = [0.5, 0.9, 0.5, -1.0], 2
    failed_T = [False, False, False, True]
    pool = pool_of(validation_T, size, [1, 0, 1, 0], [0.9, 0.5, 0.9, 0.5], failed_T)
    assert means_of(PooledStudy([pool], size, 0.0))[0] == pytest.approx(0.5 * 0.9 + 0.5 * 0.5)
    # If the defaults fail as well, the search of both ends at a failure.
    failed_T = [True, False, True, True]
    pool = pool_of([-1.0, 0.9, -1.1, -1.2], size, [1] * 4, [0.9] * 4, failed_T)
    study = PooledStudy([pool], size, 0.1)
    assert means_of(study)[0] == pytest.approx(0.5 * 0.9 + 0.5 * 0.1)
    # The worst score is no estimate: the seeds of the blocks move the estimate by the weight of the rest.
    moved = PooledStudy([replace(pool, score_K=pool.score_K + 0.2)], size, 0.1)
    assert means_of(moved)[0] - means_of(study)[0] == pytest.approx(0.5 * 0.2)


def test_identical_losses_differ_by_nothing():
    pools = drawn(np.random.default_rng(2), num_losses=5)
    study = PooledStudy([*pools, pools[0], pools[0]], 4, None)
    for found in (*study.differences(0, [5, 6]), *study.without_search_error(5, [0, 6])):
        assert found.mean == 0.0
        assert found.p_value == 1.0


def test_the_order_of_losses_does_not_matter():
    pools = drawn(np.random.default_rng(3), num_losses=5)
    turned = [3, 1, 4, 0, 2]
    study, other = PooledStudy(pools, 4, None), PooledStudy([pools[number] for number in turned], 4, None)
    assert means_of(other) == pytest.approx([means_of(study)[number] for number in turned])
    for number in (1, 2, 3, 4):
        (found,), (same,) = study.differences(0, [number]), other.differences(3, [turned.index(number)])
        assert (found.mean, found.error, found.p_value) == pytest.approx((same.mean, same.error, same.p_value))
    together = other.differences(3, [turned.index(number) for number in (1, 2, 3, 4)])
    for found, same in zip(study.differences(0, [1, 2, 3, 4]), together, strict=True):
        assert (found.error, found.freedom) == pytest.approx((same.error, same.freedom))


def test_a_constant_shifts_a_loss_and_no_error():
    pools = drawn(np.random.default_rng(4), num_losses=3)
    shifted = replace(pools[1], validation_T=pools[1].validation_T + 3.0, score_K=pools[1].score_K + 3.0)
    study, moved = PooledStudy(pools, 4, None), PooledStudy([pools[0], shifted, pools[2]], 4, None)
    assert means_of(moved) == pytest.approx([means_of(study)[0], means_of(study)[1] + 3.0, means_of(study)[2]])
    for found, before in zip(moved.differences(0, [1, 2]), study.differences(0, [1, 2]), strict=True):
        assert (found.error, found.freedom) == pytest.approx((before.error, before.freedom))


def test_the_variance_of_the_seeds_is_that_of_a_linear_function_of_the_scores():
    pools = drawn(np.random.default_rng(5), num_losses=3, num_blocks=6)
    study = PooledStudy(pools, 4, None)

    def difference(moved, position):
        changed = [replace(pool, score_K=pool.score_K.copy()) for pool in pools]
        changed[moved].score_K[position] += 1.0
        means = means_of(PooledStudy(changed, 4, None))
        return (means[2] - means[1]) - (means_of(study)[2] - means_of(study)[1])

    a_N = np.array([difference(*place) for place in itertools.product(range(3), range(6))])
    fit, _ = fit_of(pools)
    own_N = np.repeat([own.value for own in fit.own_G], 6)
    z_NB = np.tile(np.eye(6), (3, 1))
    covariance = np.diag(own_N) + fit.shared * z_NB @ z_NB.T
    (found,) = study.differences(1, [2])
    assert found.seed.value == pytest.approx(a_N @ covariance @ a_N)
    assert study.without_search_error(1, [2])[0].seed == found.seed


def test_the_variance_of_the_search_is_in_proportion_to_the_jackknife():
    size, num_searches = 3, 3

    def jackknife(pools, truths):
        """Leave a trial out of both pools."""
        total = 0.0
        defaults, draws = [0, 3, 6], [1, 2, 4, 5, 7, 8]
        for stratum in (defaults, draws):
            values = []
            for gone in stratum:
                means = []
                for pool, true_T in zip(pools, truths, strict=True):
                    ends = [
                        max((default, *subset), key=lambda trial: pool.validation_T[trial])
                        for default in defaults
                        for subset in itertools.combinations([draw for draw in draws if draw != gone], size - 1)
                        if default != gone
                    ]
                    means.append(true_T[ends].mean())
                values.append(means[1] - means[0])
            total += (len(stratum) - 1) * np.var(values)
        return total

    ratios = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        (true_base, base), (true_other, other) = (noiseless(rng, size, num_searches, gap=None) for _ in range(2))
        # All configurations are retrained, so that the means are the true scores in each pool without a trial, too.
        trial_K = np.array([0, 1, 2, 4, 5, 7, 8] * 2)
        pools = [
            replace(pool, trial_K=trial_K, block_K=np.arange(14), score_K=true_T[trial_K])
            for pool, true_T in ((base, true_base), (other, true_other))
        ]
        (found,) = PooledStudy(pools, size, None).differences(0, [1])
        ratios.append(found.search.value / jackknife(pools, (true_base, true_other)))
    assert ratios == pytest.approx([ratios[0]] * 4, rel=1e-6)
    assert 0.5 < ratios[0] <= 1.0


def test_the_noise_of_the_seeds_is_subtracted_from_the_jackknife_but_never_all_of_it():
    # Configurations that are equal in truth: what differs in a pool is the noise of the seeds.
    kept = []
    for seed in range(60):
        pools = drawn(np.random.default_rng(seed), spread=0.0, block_sd=0.0)
        (found,) = PooledStudy(pools, 4, None).differences(0, [1])
        # The same means, known without error.
        fit, configurations = fit_of(pools)
        means = np.split(fit.mean_C[configurations], len(pools))
        exact = [replace(pool, score_K=mean_K) for pool, mean_K in zip(pools, means, strict=True)]
        (whole,) = PooledStudy(exact, 4, None).differences(0, [1])
        assert LEAST_SEARCH_SHARE * whole.search.value <= found.search.value * (1.0 + 1e-6)
        assert found.search.value <= whole.search.value * (1.0 + 1e-6)
        kept.append(found.search.value / whole.search.value)
        # What remains is less certain.
        assert found.search.freedom == pytest.approx(kept[-1] * whole.search.freedom, rel=1e-6)
    assert min(kept) == pytest.approx(LEAST_SEARCH_SHARE, rel=1e-6)
    assert np.mean(kept) < 0.8


KINDS = {
    "usual": {},
    "no differences": {"spread": 0.0},
    "lucky searches": {"spread": 5.0},
    "few long searches": {"size": 8, "num_searches": 2},
    "long searches": {"size": 8},
    "same seed, same luck": {"block_sd": 5.0},
    "no luck of blocks": {"block_sd": 0.0},
    "many losses": {"num_losses": 6},
    "many blocks": {"num_blocks": 32},
}


@pytest.mark.parametrize("kind", KINDS)
def test_equal_losses_are_rarely_called_different(kind):
    rng, p_values, means, variances = np.random.default_rng(6), [], [], []
    for _ in range(400):
        pools = drawn(rng, **KINDS[kind])
        for found in PooledStudy(pools, KINDS[kind].get("size", 4), None).differences(0, range(1, len(pools))):
            p_values.append(found.p_value)
            means.append(found.mean)
            variances.append(found.error**2)
    # Bounds are three standard errors wide.
    assert np.mean(np.array(p_values) < 0.05) <= 0.05 + 0.033
    assert np.mean(means) == pytest.approx(0.0, abs=4 * np.std(means) / 20)
    assert np.mean(variances) / np.mean(np.square(means)) > 0.75


@pytest.mark.parametrize("kind", ["usual", "lucky searches", "long searches", "many losses"])
def test_the_error_is_not_much_larger_than_the_truth(kind):
    rng, means, variances = np.random.default_rng(7), [], []
    for _ in range(300):
        pools = drawn(rng, **KINDS[kind])
        for found in PooledStudy(pools, KINDS[kind].get("size", 4), None).differences(0, range(1, len(pools))):
            means.append(found.mean)
            variances.append(found.error**2)
    assert np.mean(variances) / np.mean(np.square(means)) < 1.6


def test_a_true_difference_is_found():
    rng, p_values = np.random.default_rng(8), []
    for _ in range(100):
        pools = drawn(rng)
        better = replace(pools[1], validation_T=pools[1].validation_T + 3.0, score_K=pools[1].score_K + 3.0)
        (found,) = PooledStudy([pools[0], better], 4, None).differences(0, [1])
        p_values.append(found.p_value)
        assert found.mean > 0.0
    assert np.mean(np.array(p_values) < 0.05) > 0.8


def test_a_study_without_repeated_configurations_says_that_nothing_shows_its_noise():
    pools = drawn(np.random.default_rng(9), num_blocks=2)
    with pytest.raises(ValueError, match="degrees of freedom, found none"):
        PooledStudy([replace(pool, trial_K=np.array([1, 2])) for pool in pools], 4, None)


def test_an_error_combines_the_search_and_the_seeds():
    found = PooledDifference(0.5, Variance(0.04, 6.0), Variance(0.05, 20.0))
    assert found.error == pytest.approx(0.3)
    assert found.freedom == pytest.approx(0.09**2 / (0.04**2 / 6 + 0.05**2 / 20))
    assert found.p_value == pytest.approx(2 * stats.t.sf(0.5 / 0.3, found.freedom))
    low, high = found.interval(1.0 - found.p_value)
    assert low == pytest.approx(0.0, abs=1e-9)
    assert high == pytest.approx(1.0)
    assert found.interval(0.9) == pytest.approx(stats.t.interval(0.9, found.freedom, 0.5, 0.3))


def test_a_difference_without_error_is_known():
    nothing = Variance(0.0, math.inf)
    assert PooledDifference(0.0, nothing, nothing).p_value == 1.0
    assert PooledDifference(0.1, nothing, nothing).p_value == 0.0
    assert PooledDifference(0.1, nothing, nothing).interval(0.95) == (0.1, 0.1)


def test_a_single_loss_borrows_degrees_of_freedom_from_the_variances_that_are_known():
    study = PooledStudy(drawn(np.random.default_rng(0), num_searches=3), 4, None)
    (alone,) = study.differences(0, [1])
    known = [Variance(alone.jackknife.value, 6.0)] * 4
    (helped,) = study.differences(0, [1], known)
    assert alone.search.freedom <= 2.0  # three disjoint searches
    assert helped.search.freedom > 2.0 * alone.search.freedom
    assert (helped.mean, helped.jackknife) == (alone.mean, alone.jackknife)
    # A loss that is as reliable as the others keeps its variance.
    assert helped.search.value == pytest.approx(alone.search.value)
