from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from losstune.statistics import Order, allocate, deleted_weights, jackknife_form, search_weights


def by_enumeration(rank_T, is_default_T, size):
    """The share of searches that each trial wins: every training of the defaults with every subset of the draws."""
    defaults = [trial for trial, is_default in enumerate(is_default_T) if is_default]
    draws = [trial for trial, is_default in enumerate(is_default_T) if not is_default]
    wins = np.zeros(len(rank_T))
    for default in defaults:
        for subset in itertools.combinations(draws, size - 1):
            wins[min((default, *subset), key=lambda trial: rank_T[trial])] += 1
    return wins / wins.sum()


def smaller(rank_T, is_default_T, trial):
    """The pool without a trial, its ranks counted anew."""
    ranks = [rank for number, rank in enumerate(rank_T) if number != trial]
    return [sorted(ranks).index(rank) for rank in ranks], [d for n, d in enumerate(is_default_T) if n != trial]


@st.composite
def pools(draw, most_draws=6, spare=0):
    """Ranks, defaults and the size of a search that leaves `spare` draws of the pool."""
    num_defaults, num_draws = draw(st.integers(1, 3)), draw(st.integers(spare, most_draws))
    rank_T = draw(st.permutations(range(num_defaults + num_draws)))
    is_default_T = draw(st.permutations([True] * num_defaults + [False] * num_draws))
    return rank_T, is_default_T, draw(st.integers(1, num_draws + 1 - spare))


def pool_of(rng, num_searches, size):
    """A pool of searches that each start with the defaults."""
    number = num_searches * size
    return Order.of(rng.permutation(number), np.arange(number) % size == 0)


@given(pools())
@settings(deadline=None)
def test_the_weights_are_the_shares_of_all_searches_that_a_trial_wins(pool):
    rank_T, is_default_T, size = pool
    weights = search_weights(Order.of(rank_T, is_default_T), size)
    assert weights == pytest.approx(by_enumeration(rank_T, is_default_T, size), abs=1e-12)


def test_a_search_of_the_defaults_alone_ends_at_them():
    order = Order.of([1, 0, 3, 2], [True, False, True, False])
    assert search_weights(order, 1).tolist() == [0.5, 0.0, 0.5, 0.0]


def test_a_search_of_the_whole_pool_ends_at_its_best_trial():
    order = Order.of([2, 3, 0, 1], [True, False, False, False])
    assert search_weights(order, 4).tolist() == [0.0, 0.0, 1.0, 0.0]


def test_one_draw_wins_as_often_as_it_beats_the_defaults():
    # Five draws, two of them better than the defaults: each of them is the only draw in a fifth of the searches.
    order = Order.of([2, 0, 1, 3, 4, 5], [True, False, False, False, False, False])
    assert search_weights(order, 2) == pytest.approx([0.6, 0.2, 0.2, 0.0, 0.0, 0.0])


@given(pools(most_draws=6, spare=1))
@settings(deadline=None)
def test_the_rows_are_the_weights_of_the_pools_without_a_trial(pool):
    rank_T, is_default_T, size = pool
    rows = deleted_weights(Order.of(rank_T, is_default_T), size)
    for trial, row in enumerate(rows):
        others = [number for number in range(len(rank_T)) if number != trial]
        if is_default_T[trial] and sum(is_default_T) == 1:
            expected = by_enumeration(rank_T, is_default_T, size)
        else:
            expected = np.zeros(len(rank_T))
            expected[others] = by_enumeration(*smaller(rank_T, is_default_T, trial), size)
        assert row == pytest.approx(expected, abs=1e-12)


@given(pools(most_draws=6, spare=1), st.integers(0, 100))
@settings(deadline=None)
def test_the_form_gives_the_jackknife_of_both_strata(pool, seed):
    rank_T, is_default_T, size = pool
    score_T = np.random.default_rng(seed).normal(size=len(rank_T))

    def estimate(kept):
        ranks, defaults = [rank_T[trial] for trial in kept], [is_default_T[trial] for trial in kept]
        return by_enumeration(ranks, defaults, size) @ score_T[kept]

    variance = 0.0
    for stratum in (True, False):
        members = [trial for trial, is_default in enumerate(is_default_T) if is_default is stratum]
        if len(members) < 2:
            continue
        deleted = [estimate([t for t in range(len(rank_T)) if t != trial]) for trial in members]
        variance += (len(members) - 1) * np.var(deleted)
    order = Order.of(rank_T, is_default_T)
    form = jackknife_form(deleted_weights(order, size), order)
    assert ((form @ score_T) ** 2).sum() == pytest.approx(variance, abs=1e-12)


def test_the_jackknife_of_a_mean_is_the_variance_of_the_mean():
    # Searches of one draw that always beats the defaults: the estimate is the mean of the draws.
    rng, num_draws = np.random.default_rng(0), 7
    order = Order.of([7, *range(7)], [True] + [False] * num_draws)
    score_T = rng.normal(size=8)
    form = jackknife_form(deleted_weights(order, 2), order)
    assert ((form @ score_T) ** 2).sum() == pytest.approx(score_T[1:].var(ddof=1) / num_draws)


def test_the_estimate_is_unbiased_and_the_jackknife_is_not_too_small():
    size, num_searches, repeats = 4, 3, 4000
    rng, is_default_T = np.random.default_rng(0), np.arange(size * num_searches) % size == 0
    default = 0.3

    def validated(true, rng):
        # The rank depends on the true score, but not on it alone.
        return true + 0.5 * rng.normal(size=true.shape)

    found, variances = [], []
    for _ in range(repeats):
        true_T = np.where(is_default_T, default, rng.normal(size=is_default_T.size))
        order = Order.of((-validated(true_T, rng)).argsort().argsort(), is_default_T)
        found.append(search_weights(order, size) @ true_T)
        variances.append(((jackknife_form(deleted_weights(order, size), order) @ true_T) ** 2).sum())
    true_RK = np.concatenate([np.full((200_000, 1), default), rng.normal(size=(200_000, size - 1))], axis=1)
    best_R = validated(true_RK, rng).argmax(1)
    expected = true_RK[np.arange(200_000), best_R].mean()
    assert np.mean(found) == pytest.approx(expected, abs=5 * np.std(found) / math.sqrt(repeats) + 0.01)
    assert np.var(found) < np.mean(variances) < 2.0 * np.var(found)


def test_a_pool_that_is_too_small_is_refused():
    order = Order.of([0, 1, 2], [True, False, False])
    with pytest.raises(ValueError, match="3 draws needs as many, found 2"):
        search_weights(order, 4)
    with pytest.raises(ValueError, match="2 draws needs as many, found 1"):
        deleted_weights(order, 3)


@pytest.mark.parametrize(
    ("ranks", "defaults", "message"),
    [
        ([0, 2], [True, False], "each once"),
        ([0, 0], [True, False], "each once"),
        ([0, 1], [True], "each once"),
        ([[0, 1]], [[True, False]], "each once"),
        ([0, 1], [False, False], "training of the defaults, found none"),
    ],
)
def test_an_order_is_a_permutation_with_the_defaults(ranks, defaults, message):
    with pytest.raises(ValueError, match=message):
        Order.of(ranks, defaults)


def sainte_lague(weights, seats):
    """Seats by the largest quotients w / 1, w / 3, w / 5, ... of the divisor method."""
    quotients = [
        (weight / (2 * seat + 1), -party) for party, weight in enumerate(weights) for seat in range(seats) if weight
    ]
    won = [-party for _, party in sorted(quotients, reverse=True)[:seats]]
    return [won.count(party) for party in range(len(weights))]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=6).filter(any), st.integers(0, 30))
@settings(deadline=None)
def test_seeds_are_allocated_as_seats_by_sainte_lague(weights, number):
    chosen = allocate(weights, [0] * len(weights), number)
    assert [chosen.count(party) for party in range(len(weights))] == sainte_lague(weights, number)


@given(
    st.lists(st.floats(0.01, 1.0), min_size=1, max_size=6),
    st.lists(st.integers(0, 5), min_size=6, max_size=6),
    st.integers(0, 20),
    st.integers(0, 20),
)
@settings(deadline=None)
def test_an_allocation_grows(weights, counts, first, more):
    counts = np.array(counts[: len(weights)])
    before = allocate(weights, counts, first)
    after = counts + np.bincount(np.array(before, np.int64), minlength=len(weights))
    assert before + allocate(weights, after, more) == allocate(weights, counts, first + more)


def test_seeds_are_in_proportion_to_the_weights_and_ties_go_to_the_first():
    chosen = allocate([0.6, 0.3, 0.1], [0, 0, 0], 200)
    assert [chosen.count(configuration) for configuration in range(3)] == [120, 60, 20]
    assert allocate([0.1 + 0.2, 0.3], [0, 0], 4) == [0, 1, 0, 1]


def test_a_configuration_that_has_too_many_seeds_gets_none():
    assert allocate([0.5, 0.5], [6, 0], 6) == [1] * 6
