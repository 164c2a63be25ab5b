from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from losstune.config.protocol import FEWEST_DRAWS
from losstune.statistics import PooledDifference, Variance
from losstune.verdict.course import Course, Judged, Size
from tests.verdict.pooled_studies import World, courses, rules_with


@pytest.mark.parametrize("number", [1, 2, 5, 13, 40])
def test_a_sign_test_of_the_fewest_blocks_can_show_a_difference(number):
    rules = rules_with([f"loss {index}" for index in range(number)], most_blocks=100)
    blocks = rules.fewest_blocks
    assert stats.binomtest(blocks, blocks).pvalue * number <= rules.alpha
    assert stats.binomtest(blocks - 1, blocks - 1).pvalue * number > rules.alpha


@pytest.mark.parametrize("size", [2, 3, 8, 12, 15, 100])
def test_the_fewest_searches_have_enough_draws(size):
    searches = rules_with(size=size, most_searches=1000).fewest_searches
    assert searches >= 2
    assert searches * (size - 1) >= FEWEST_DRAWS
    assert searches == 2 or (searches - 1) * (size - 1) < FEWEST_DRAWS


def test_limits_come_before_the_fewest():
    rules = rules_with(size=2, most_searches=3, most_blocks=4)
    assert (rules.fewest_searches, rules.fewest_blocks) == (3, 4)


def test_a_study_without_limits_keeps_the_other_rules():
    rules = rules_with(budget=100, rope=0.01).without_limits()
    assert (rules.budget, rules.rope, rules.candidates) == (None, 0.01, ("a", "b", "c"))
    assert min(rules.most_searches, rules.most_blocks) >= 1_000_000


def test_yardsticks_are_the_baseline_and_all_of_the_pairs():
    rules = rules_with("ab", pairs=(("twin", "base"), ("double", "a")))
    assert rules.yardsticks == ("base", "twin", "double", "a")
    assert rules.losses == ("base", "twin", "double", "a", "b")


def test_the_trainings_of_a_course_are_those_of_all_losses_and_the_controls():
    course = Course({"base": Size(searches=3, blocks=8), "a": Size(searches=1, blocks=4)})
    assert course.num_trainings(rules_with(size=10, num_controls=5)) == 30 + 8 + 10 + 4 + 5


def test_the_noise_floor_is_the_largest_difference_of_identical_losses():
    course = Course({})
    assert course.noise_floor is None
    for loss, mean in (("x", 0.1), ("y", -0.3), ("z", 0.2)):
        difference = PooledDifference(mean, Variance(1.0, 5.0), Variance(1.0, 5.0))
        course.floors[loss] = Judged(look=0, level=0.0, size=Size(searches=1, blocks=4), difference=difference)
    assert course.noise_floor == 0.3


def test_an_interval_is_at_the_level_of_its_look():
    difference = PooledDifference(0.5, Variance(1.0, 5.0), Variance(1.0, 5.0))
    judged = Judged(look=1, level=0.01, size=Size(searches=1, blocks=4), difference=difference)
    expected = stats.t.interval(0.99, 10, 0.5, 2**0.5)
    assert judged.interval(0.05) == pytest.approx(expected)
    first = Judged(look=0, level=0.0, size=judged.size, difference=difference)
    assert first.interval(0.05) == pytest.approx(stats.t.interval(0.95, 10, 0.5, 2**0.5))


@pytest.mark.parametrize("size", [3, 8])
@pytest.mark.parametrize("default_gain", [0.0, 0.008, 0.015])
def test_the_winner_always_has_a_block_whose_weights_are_kept(size, default_gain):
    changed = 0
    for seed in range(25):
        world = World(
            rules_with("ab", size=size, most_searches=14 if size == 3 else 6, most_blocks=30), seed, noise=0.01
        )
        for loss, scores in world.validation.items():
            world.validation[loss] = scores + default_gain * (np.arange(scores.size) % size == 0)
        kept, found = dict[str, set[int]](), courses(world)
        for course in found:
            for loss, trial, block in course.missing_blocks:
                if course.keeps_weights(loss, trial, block):
                    kept.setdefault(loss, set()).add(trial)
        for loss in world.rules.losses:
            assert found[-1].winner(loss) in kept[loss]
            changed += len(kept[loss]) > 1
    assert changed > 10
