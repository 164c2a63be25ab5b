"""What a study can decide: the course without early ends, followed by hand, and power as simulated studies have it."""

import math

import numpy as np
import pytest
from scipy import stats

from losstune.statistics import PooledDifference, Variance
from losstune.verdict.course import Course, Judged, RoundRules, Size
from losstune.verdict.forecast import LEAST_FREEDOM, TYPICAL, Spread, first_claim, forecast, spreads_of
from losstune.verdict.round_sizes import LOOK_SHARE, grown_size

LOSSES = tuple("bcdefgh")
SPREAD = Spread(search=2e-5, seed=4e-5)


def rules(budget=None, *, size=8, candidates=LOSSES, searches=10**6, blocks=10**6, controls=9):
    return RoundRules(
        alpha=0.05,
        rope=0.005,
        minimize=False,
        size=size,
        most_searches=searches,
        most_blocks=blocks,
        budget=budget,
        baseline="a",
        candidates=candidates,
        num_controls=controls,
    )


def reach(found, *, alone=False, spreads=(SPREAD,), power=0.8, course=None):
    return forecast(found, course, spreads, power=power, alone=alone)


def test_the_first_claim_needs_a_second_search_and_enough_blocks_of_every_loss():
    # 14 random configurations: 2 searches of 8. log2(2 * 7 / 0.05) = 8.1: 9 blocks.
    assert first_claim(rules(400)) == 8 * (2 * 8 + 9) + 9
    assert reach(rules(8 * (2 * 8 + 9) + 9)).size == Size(searches=2, blocks=9)
    assert first_claim(rules(400, size=3)) == 8 * (7 * 3 + 9) + 9


def test_a_budget_that_ends_before_decides_nothing_unless_losses_are_set_aside():
    found = rules(150)  # 105 for the first look
    assert reach(found) is None
    assert reach(found, alone=True).size.searches >= 2


def test_with_explicit_numbers_every_loss_reaches_them():
    found = rules(searches=3, blocks=20)
    assert reach(found).size == reach(found, alone=True).size == Size(searches=3, blocks=20)


def test_the_whole_budget_is_spent_and_no_more():
    for budget in (250, 400, 1000, 5000):
        size = reach(rules(budget)).size
        spent = 8 * size.trainings(8) + 9
        assert spent <= budget
        assert reach(rules(budget), alone=True).size.trainings(8) >= size.trainings(8)


def test_the_promise_is_that_of_students_test_at_the_last_look_for_the_first_step_of_holm():
    found = rules(8 * (2 * 8 + 9) + 9)  # one look may decide, and spends all
    result = reach(found)
    error = math.sqrt(2e-5 / 2 + 4e-5 / 9)
    rng, num = np.random.default_rng(3), 200_000
    scale = np.sqrt(rng.chisquare(LEAST_FREEDOM, num) / LEAST_FREEDOM) * error
    estimate = rng.normal(result.difference, error, num)
    claimed = 2 * stats.t.sf(estimate / scale, LEAST_FREEDOM) <= 0.05 / 7
    assert claimed.mean() == pytest.approx(0.8, abs=0.01)
    reached = np.abs(rng.normal(0.0, error, num)) + stats.t.ppf(0.95, LEAST_FREEDOM) * scale
    assert (reached <= result.margin).mean() == pytest.approx(0.8, abs=0.03)


def test_the_last_of_several_looks_has_the_level_that_they_leave():
    spread = Spread(search=2e-5, seed=4e-5, freedom=math.inf, size=Size(searches=2, blocks=8))
    found = rules(searches=8, blocks=32)
    result = reach(found, spreads=(spread,), power=0.5)
    assert result.size == Size(searches=8, blocks=32)
    at, looks = Size(searches=2, blocks=9), 0
    while at != result.size:
        at, looks = grown_size(found, at, 2e-5 / at.searches, 4e-5 / at.blocks, at), looks + 1
    level = found.alpha * (1.0 - LOOK_SHARE) ** looks / len(LOSSES)
    assert looks > 3
    expected = stats.norm.isf(level / 2.0) * math.sqrt(2e-5 / 8 + 4e-5 / 32)
    assert result.difference == pytest.approx(expected, rel=1e-4)


def test_more_power_and_more_variance_need_larger_differences_and_more_budget_smaller_ones():
    differences = [reach(rules(budget)).difference for budget in (250, 500, 1000, 2000, 4000)]
    assert differences == sorted(differences, reverse=True)
    assert reach(rules(500), power=0.95).difference > reach(rules(500)).difference
    low, high = (reach(rules(500), spreads=spreads).difference for spreads in TYPICAL)
    assert low < high


def test_too_few_blocks_for_any_difference_leave_equivalence():
    result = reach(rules(searches=2, blocks=16, candidates=LOSSES[:1]))
    assert result.difference is not None
    found = rules(8 * (2 * 8 + 5) + 9)  # pays for the second search, but for 5 blocks only
    assert reach(found).difference is None
    assert reach(found).margin > 0


def course(*, look, level, reason=None):
    size = Size(searches=1 if look == 0 else 2, blocks=4 if look == 0 else 9)
    known = PooledDifference(0.001, Variance(3e-5, 12.0), Variance(1e-5, 30.0))
    judged = {loss: Judged(look=look, level=level, size=size, difference=known) for loss in LOSSES}
    judged["b"] = Judged(look=look, level=level, size=size, difference=known, reason=reason)
    return Course(dict.fromkeys(("a", *LOSSES), size), judged=judged, looks=[("a", *LOSSES) for _ in range(look + 1)])


def test_the_spreads_of_a_look_are_those_of_one_search_and_one_block():
    assert spreads_of(Course({"a": Size(searches=1, blocks=4)})) == ()
    first, *others = spreads_of(course(look=0, level=0.0))
    assert len(others) == len(LOSSES) - 1
    assert (first.search, first.seed, first.freedom) == (pytest.approx(3e-5), pytest.approx(4e-5), LEAST_FREEDOM)
    second, *_ = spreads_of(course(look=1, level=0.015))
    assert (second.search, second.seed) == (pytest.approx(6e-5), pytest.approx(9e-5))
    known = PooledDifference(0.001, Variance(3e-5, 12.0), Variance(1e-5, 30.0))
    assert second.freedom == pytest.approx(known.freedom)


def test_losses_with_large_errors_count_in_the_promise():
    found = rules(searches=3, blocks=20)
    one, other = Spread(search=2e-5, seed=4e-5), Spread(search=8e-5, seed=16e-5)
    alone = [reach(found, spreads=(spread,)).difference for spread in (one, other)]
    assert alone[1] == pytest.approx(2.0 * alone[0])
    assert alone[0] < reach(found, spreads=(one, one, other)).difference < alone[1]


def test_a_study_that_runs_goes_on_from_its_latest_look_with_the_losses_in_the_race():
    found = rules(1000)
    every, fewer = (
        reach(found, course=course(look=1, level=0.015, reason=reason)) for reason in (None, "out of reach")
    )
    assert every.size.trainings(8) > 25
    assert fewer.size.trainings(8) >= every.size.trainings(8)
    ended = course(look=1, level=0.015)
    ended.judged = {
        loss: Judged(look=1, level=0.015, size=one.size, difference=one.difference, reason="settled")
        for loss, one in ended.judged.items()
    }
    assert reach(found, course=ended) is None
