from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from losstune.statistics import PooledDifference, Variance
from losstune.verdict.course import Course, Judged, Size
from losstune.verdict.round_sizes import (
    BLOCKS_OF_A_SEARCH,
    FIRST_BLOCKS,
    FUTILITY,
    GROWTH,
    grown_size,
    is_out_of_reach,
    largest_size,
    next_size,
)
from tests.verdict.pooled_studies import rules_with


def size_of(searches, blocks):
    return Size(searches=searches, blocks=blocks)


def judged_at(size, mean=0.0, search=1e-4, seed=1e-4, look=0):
    difference = PooledDifference(mean, Variance(search, 10.0), Variance(seed, 10.0))
    return Judged(look=look, level=0.01, size=size, difference=difference)


def course_at(rules, size, **changes):
    """A course whose losses are all equally far."""
    course = Course(dict.fromkeys(rules.losses, size), looks=[rules.losses])
    for loss in rules.candidates:
        course.judged[loss] = judged_at(size, **changes)
    return course


def variance(at, start, search, seed):
    """The variance of a difference with more searches and blocks."""
    return search * start.searches / at.searches + seed * start.blocks / at.blocks


@given(st.floats(1e-6, 1.0), st.floats(1e-6, 1.0), st.integers(2, 15), st.integers(2, 10), st.integers(4, 40))
@settings(deadline=None)
def test_a_round_grows_as_little_as_allowed_and_nearly_as_well_as_possible(search, seed, size, searches, blocks):
    rules, at = rules_with(size=size, most_searches=1000, most_blocks=1000), size_of(searches, blocks)
    grown = grown_size(rules, at, search, seed, at)
    cost = grown.trainings(size) - at.trainings(size)
    assert cost >= GROWTH * at.trainings(size)
    # The last step is at most one search with its blocks, or a quarter more blocks.
    assert cost < GROWTH * at.trainings(size) + max(size + BLOCKS_OF_A_SEARCH, grown.blocks // 4)
    best = min(
        variance(size_of(more, at.blocks + cost - (more - at.searches) * size), at, search, seed)
        for more in range(at.searches, at.searches + cost // (size + BLOCKS_OF_A_SEARCH) + 1)
    )
    assert variance(grown, at, search, seed) <= 1.25 * best


def test_a_round_grows_up_to_the_limits():
    rules = rules_with(most_searches=4, most_blocks=24)
    at = size_of(4, 23)
    assert grown_size(rules, at, 1.0, 1.0, at) == size_of(4, 24)
    at = size_of(3, 24)
    assert grown_size(rules, at, 0.0, 1.0, at) == size_of(4, 24)
    at = size_of(4, 24)
    assert grown_size(rules, at, 1.0, 1.0, at) is None


@given(
    st.integers(0, 500), st.integers(1, 4), st.integers(0, 3), st.integers(2, 15), st.integers(2, 8), st.integers(4, 40)
)
@settings(deadline=None)
def test_what_is_left_is_spent_but_not_more(left, num_active, num_over, size, searches, blocks):
    rules = rules_with("abcd", size=size, most_searches=40, most_blocks=50)
    searches = max(searches, rules.fewest_searches)
    course = course_at(rules, size_of(searches, blocks))
    rules = rules_with("abcd", size=size, most_searches=40, most_blocks=50, budget=course.num_trainings(rules) + left)
    at, each = size_of(searches, blocks), left // (2 + num_active)
    found = next_size(rules, course, num_active)
    unlimited = next_size(rules, course, num_active, ignore_budget=True)
    if found is None:
        # Not enough for two blocks, or for a search where all blocks are there.
        assert each < 2 or (blocks == 50 and each < size)
        return
    spent = found.trainings(size) - at.trainings(size)
    assert 0 < spent <= each
    assert found.searches >= at.searches
    assert found.blocks >= at.blocks
    if unlimited.trainings(size) - at.trainings(size) <= each:
        assert found == unlimited
    else:
        assert spent == each or found.blocks == 50


def test_the_second_look_has_the_fewest_searches_and_blocks_for_a_claim():
    rules = rules_with(size=3, most_searches=20, most_blocks=50)
    found = next_size(rules, course_at(rules, size_of(1, FIRST_BLOCKS)), 3)
    assert found.searches == rules.fewest_searches
    assert found.blocks >= max(rules.fewest_blocks, 2 * FIRST_BLOCKS)
    poor = rules_with(size=3, most_searches=20, most_blocks=50, budget=5 * 7 + 5 * 17)
    assert next_size(poor, course_at(poor, size_of(1, FIRST_BLOCKS)), 3) is None


def test_a_loss_alone_gets_all_that_is_left():
    at = size_of(2, 10)
    rules = rules_with(most_searches=100, most_blocks=100)
    course = course_at(rules, at)
    rules = rules_with(most_searches=100, most_blocks=100, budget=course.num_trainings(rules) + 300)
    largest = largest_size(rules, course, course.judged["a"])
    cost = 3 * (largest.trainings(8) - at.trainings(8))
    assert 300 - 3 * 8 < cost <= 300
    # Nearly as good as the best use of the money.
    best = min(
        variance(size_of(2 + more, 10 + blocks), at, 1e-4, 1e-4)
        for more, blocks in itertools.product(range(13), range(101))
        if 3 * (8 * more + blocks) <= 300
    )
    assert variance(largest, at, 1e-4, 1e-4) <= 1.25 * best
    limited = rules_with(most_searches=3, most_blocks=12)
    assert largest_size(limited, course, course.judged["a"]) == size_of(3, 12)


# At the limits nothing more can be spent: the error is what it is.
AT_LIMIT = size_of(4, 24)
ERROR = math.sqrt(2e-4)
TO_DIFFER = (stats.norm.ppf(1.0 - 0.05 / 6) - FUTILITY) * ERROR


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize(("factor", "is_out"), [(0.99, True), (1.01, False)])
def test_a_difference_is_out_of_reach_if_luck_would_not_show_it(sign, factor, is_out):
    rules = rules_with()
    course = course_at(rules, AT_LIMIT)
    assert is_out_of_reach(rules, course, judged_at(AT_LIMIT, sign * factor * TO_DIFFER)) is is_out


@pytest.mark.parametrize("mean", [0.0, -0.5 * ERROR, 0.3 * ERROR])
@pytest.mark.parametrize(("factor", "is_out"), [(0.99, True), (1.01, False)])
def test_equivalence_is_out_of_reach_if_luck_would_not_show_it(mean, factor, is_out):
    to_match = stats.norm.ppf(0.95) * ERROR + max(0.0, abs(mean) - FUTILITY * ERROR)
    rules = rules_with(rope=factor * to_match)
    assert is_out_of_reach(rules, course_at(rules, AT_LIMIT), judged_at(AT_LIMIT, mean)) is is_out


def test_what_is_still_to_come_counts():
    # The same numbers are within reach while the limits are far.
    rules, at = rules_with(most_searches=100, most_blocks=1000), AT_LIMIT
    assert not is_out_of_reach(rules, course_at(rules, at), judged_at(at, 0.5 * TO_DIFFER))


def test_fewer_candidates_are_left_once_some_are_shown_to_differ():
    rules = rules_with()
    course = course_at(rules, AT_LIMIT)
    mean = (stats.norm.ppf(1.0 - 0.05 / 3) - FUTILITY) * ERROR
    assert is_out_of_reach(rules, course, judged_at(AT_LIMIT, mean))
    for loss in "bc":
        course.judged[loss] = Judged(
            look=0, level=0.01, size=AT_LIMIT, difference=course.judged[loss].difference, decision="better"
        )
    assert not is_out_of_reach(rules, course, judged_at(AT_LIMIT, mean))
