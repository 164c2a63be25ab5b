from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from losstune.statistics import (
    anytime_difference,
    e_value_one_sided,
    e_value_two_sided,
    first_decision,
    num_control_blocks,
    paired_difference,
    sign_bounds,
)

PAIRS = [(0, 0), (1, 0), (8, 0), (0, 8), (5, 3), (12, 20), (40, 10)]


@pytest.mark.parametrize(("higher", "lower"), PAIRS)
def test_e_values_are_mean_likelihood_ratios(higher, lower):
    def ratio(p):
        return p**higher * (1 - p) ** lower * 2.0 ** (higher + lower)

    assert e_value_two_sided(higher, lower) == pytest.approx(integrate.quad(ratio, 0, 1)[0], rel=1e-8)
    assert e_value_one_sided(higher, lower) == pytest.approx(2 * integrate.quad(ratio, 0.5, 1)[0], rel=1e-8)


@pytest.mark.parametrize("num_blocks", [1, 5, 17])
def test_e_values_are_fair_bets(num_blocks):
    # Under the null the expectation after any number of blocks is exactly 1; for p below 1/2 the one-sided is less.
    higher = np.arange(num_blocks + 1)
    two = [e_value_two_sided(h, num_blocks - h) for h in higher]
    one = [e_value_one_sided(h, num_blocks - h) for h in higher]
    assert stats.binom.pmf(higher, num_blocks, 0.5) @ two == pytest.approx(1.0)
    assert stats.binom.pmf(higher, num_blocks, 0.5) @ one == pytest.approx(1.0)
    assert stats.binom.pmf(higher, num_blocks, 0.4) @ one < 1.0


def test_straight_wins_to_a_decision():
    # By hand: 2^8 / 9 = 28.4 >= 20 > 2^7 / 8 = 16; 2^14 / 15 = 1092 >= 13 * 20 = 260, and 2^12 / 13 = 315.
    assert num_control_blocks(0.05) == 8
    wins = [0.02] * 30
    assert first_decision(wins, alpha=0.05, num_candidates=1, rope=0.0) == ("higher", 8)
    assert first_decision(wins, alpha=0.05, num_candidates=13, rope=0.0) == ("higher", 12)
    assert first_decision(np.negative(wins), alpha=0.05, num_candidates=1, rope=0.0) == ("lower", 8)
    assert first_decision(wins[:7], alpha=0.05, num_candidates=1, rope=0.0) == (None, 7)
    assert first_decision([0.0] * 30, alpha=0.05, num_candidates=1, rope=0.0) == (None, 30)
    decision, blocks = first_decision([0.0] * 30, alpha=0.05, num_candidates=13, rope=0.005)
    assert (decision, blocks) == ("equivalent", 7)


def test_the_number_of_control_blocks_is_the_first_that_can_decide():
    for blocks in range(2, 40):
        for alpha in ((blocks + 1) / 2**blocks, 1.0 / e_value_two_sided(0, blocks), 0.7**blocks):
            expected = next(found for found in range(1, 99) if e_value_two_sided(0, found) >= 1.0 / alpha)
            assert num_control_blocks(alpha) == expected


def test_it_looks_only_after_every_so_many_blocks():
    wins = [0.02] * 30
    for every, blocks in ((1, 8), (3, 9), (5, 10), (7, 14)):
        found = first_decision(wins, alpha=0.05, num_candidates=1, rope=0.0, every=every)
        assert found == ("higher", blocks)
    # Ties tell nothing: eight wins among them are still eight.
    assert first_decision([0.0, 0.02] * 10, alpha=0.05, num_candidates=1, rope=0.0) == ("higher", 16)
    # Rounding to twelve digits makes ties of what arithmetic left apart.
    assert first_decision([0.1 + 0.2 - 0.3] * 30, alpha=0.05, num_candidates=1, rope=0.0) == (None, 30)
    # On the ROPE's border a block speaks for neither side. 2^19 / 20 = 26,214 >= 1000 * 20 > 2^18 / 19.
    assert first_decision([0.005] * 30, alpha=0.05, num_candidates=1000, rope=0.005) == ("higher", 19)
    assert first_decision([-0.005] * 30, alpha=0.05, num_candidates=1000, rope=0.005) == ("lower", 19)


def test_evidence_beyond_the_largest_number_stays_one():
    assert math.isfinite(e_value_two_sided(5000, 0))
    assert math.isfinite(e_value_one_sided(5000, 0))
    assert e_value_two_sided(5000, 0) == pytest.approx(math.exp(700))


def test_looking_after_every_block_keeps_the_level():
    rng = np.random.default_rng(5)
    studies = 2000
    wrong = sum(
        first_decision(rng.normal(0.0, 1.0, 60), alpha=0.05, num_candidates=1, rope=0.0)[0] is not None
        for _ in range(studies)
    )
    assert wrong <= stats.binom.ppf(0.9999, studies, 0.05)
    edge = sum(
        first_decision(rng.normal(1.0, 1.0, 60), alpha=0.05, num_candidates=1000, rope=1.0)[0] == "equivalent"
        for _ in range(500)
    )
    assert edge <= stats.binom.ppf(0.9999, 500, 0.05)


def test_bounds_hold_what_the_e_value_does_not_reject():
    rng = np.random.default_rng(6)
    differences = rng.normal(0.3, 1.0, 25).round(2)
    low, high, one_low, one_high = sign_bounds(differences, alpha=0.05)
    assert low < np.median(differences) < high
    assert low <= one_low <= one_high <= high
    for median in np.linspace(-3, 3, 601):
        higher, lower = int((differences > median).sum()), int((differences < median).sum())
        if median < low or median > high:
            assert e_value_two_sided(higher, lower) >= 20
        elif low < median < high and median not in differences:
            assert e_value_two_sided(higher, lower) < 20
    assert sign_bounds(differences[:3], alpha=0.05) == (-math.inf, math.inf, -math.inf, math.inf)


@pytest.mark.parametrize("num_blocks", [3, 8, 9, 25, 40])
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_bounds_are_the_order_statistics_of_the_evidence(num_blocks, alpha):
    differences = np.random.default_rng(num_blocks).permutation(np.arange(num_blocks) / 8 - 1)
    values = sorted(differences.tolist())

    def bounds(evidence):
        """The values with the most blocks on one side that still speak against a median there."""
        most = [below for below in range(num_blocks // 2) if evidence(num_blocks - below, below) >= 1 / alpha]
        return (values[max(most)], values[-1 - max(most)]) if most else (-math.inf, math.inf)

    def two_sided(above, below):
        return 2**num_blocks / ((num_blocks + 1) * math.comb(num_blocks, below))

    def one_sided(above, below):
        mean = integrate.quad(lambda p: p**above * (1 - p) ** below, 0.5, 1)[0]
        return 2 ** (num_blocks + 1) * mean

    assert sign_bounds(differences, alpha=alpha) == (*bounds(two_sided), *bounds(one_sided))


def test_the_sequence_of_bounds_covers_at_every_look():
    rng = np.random.default_rng(7)
    missed = 0
    for _ in range(400):
        differences = rng.normal(0.5, 1.0, 40)
        looks = (sign_bounds(differences[:n], alpha=0.1)[:2] for n in range(4, 41, 2))
        missed += any(not low <= 0.5 <= high for low, high in looks)
    assert missed <= stats.binom.ppf(0.9999, 400, 0.1)


def test_anytime_difference_uses_the_largest_evidence():
    rng = np.random.default_rng(8)
    scores = np.array([1.0] * 8 + [-1.0] * 8)
    found = anytime_difference(scores, np.zeros(16), alpha=0.05, rng=rng)
    assert found.p_value == pytest.approx(9 / 2**8)
    assert (found.mean, found.median) == (0.0, 0.0)
    low, high, equivalence_low, equivalence_high = sign_bounds(scores, alpha=0.05)
    assert (found.low, found.high) == (low, high)
    assert (found.equivalence_low, found.equivalence_high) == (equivalence_low, equivalence_high)
    fixed = paired_difference(scores, np.zeros(16), alpha=0.05, rng=np.random.default_rng(8))
    assert (found.bca_low, found.bca_high, found.p_wilcoxon) == (fixed.bca_low, fixed.bca_high, fixed.p_wilcoxon)
    # Before the first win or loss there is no evidence, and a p-value is at most one.
    assert anytime_difference([1.0, 1.0], [1.0, 1.0], alpha=0.05, rng=rng).p_value == 1.0
