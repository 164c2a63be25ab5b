from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from losstune.verdict.course import RoundRules
from losstune.verdict.round_sizes import FIRST_BLOCKS
from losstune.verdict.rounds import follow
from tests.verdict.pooled_studies import Results, World, courses, missing_of, rules_with, summary

DIFFERENT = {"a": 0.06, "b": -0.06}


def decisions(course):
    return {loss: judged.decision for loss, judged in course.judged.items()}


def test_a_study_starts_with_one_search_of_every_loss():
    rules = rules_with()
    course = follow(Results(World(rules)), rules)
    assert course.missing_trials == [(loss, 0) for loss in ("base", "twin", "a", "b", "c")]
    assert course.missing_blocks == []
    assert not course.is_complete
    assert course.looks == []


def test_the_winner_of_the_first_search_is_retrained_in_the_first_blocks():
    rules = rules_with()
    results = Results(World(rules), searches={(loss, 0) for loss in rules.losses})
    course = follow(results, rules)
    winners = {loss: int(np.argmax(results.world.validation[loss][: rules.size])) for loss in rules.losses}
    assert course.missing_trials == []
    assert sorted(course.missing_blocks) == sorted(
        (loss, winners[loss], block) for loss in rules.losses for block in range(FIRST_BLOCKS)
    )


def test_only_what_is_missing_is_listed():
    world = World(rules_with())
    results = Results(world)
    for _ in range(2):
        for missing in missing_of(follow(results, world.rules)):
            results.add(missing)
    course = follow(results, world.rules)
    (first, *others), looks = missing_of(course), course.looks
    for missing in others:
        results.add(missing)
    course = follow(results, world.rules)
    # The blocks of a loss are known once all of its searches are there.
    assert course.missing_trials == [first]
    assert all(loss != first[0] for loss, _, _ in course.missing_blocks)
    assert course.looks == looks


def test_a_search_that_is_missing_before_others_is_listed_with_them():
    rules = rules_with(size=3, most_searches=8)
    results = Results(World(rules))
    for _ in range(2):
        for missing in missing_of(follow(results, rules)):
            results.add(missing)
    wanted = [search for loss, search in follow(results, rules).missing_trials if loss == "a"]
    results.add(("a", wanted[-1]))
    assert ("a", wanted[0]) in follow(results, rules).missing_trials


@given(st.randoms(use_true_random=False), st.integers(0, 20))
@settings(deadline=None, max_examples=15)
def test_the_course_depends_neither_on_the_order_of_arrival_nor_on_interruptions(random, seed):
    world = World(rules_with(rope=0.004, budget=400), seed, DIFFERENT)
    expected, results = summary(courses(world)[-1]), Results(world)
    while not (course := follow(results, world.rules)).is_complete:
        missing = missing_of(course)
        random.shuffle(missing)
        for result in missing[: random.randint(1, len(missing))]:
            results.add(result)
    assert summary(course) == expected
    # Nothing was trained that the course does not use.
    assert len(results.blocks) == sum(len(blocks) for blocks in course.allocation.values())
    # Results that are there already change nothing.
    assert summary(follow(world, world.rules)) == expected


def test_an_earlier_course_is_the_beginning_of_a_later_one():
    found = courses(World(rules_with(), gains=DIFFERENT))
    for earlier, later in itertools.pairwise(found):
        assert later.looks[: len(earlier.looks)] == earlier.looks
        for loss, blocks in earlier.allocation.items():
            assert later.allocation[loss][: len(blocks)] == blocks
        for loss, judged in earlier.judged.items():
            if judged.reason is not None:
                assert later.judged[loss] == judged


@pytest.mark.parametrize("minimize", [False, True])
def test_losses_that_differ_much_are_settled_early(minimize):
    rules = rules_with(minimize=minimize)
    course = courses(World(rules, gains=DIFFERENT))[-1]
    assert decisions(course) == {"a": "better", "b": "worse", "c": "undecided"}
    for loss in ("a", "b"):
        judged = course.judged[loss]
        assert judged.reason == "settled"
        assert judged.p_holm <= rules.alpha
        assert judged.size == course.sizes[loss]
        assert (judged.difference.mean > 0.0) == ((loss == "a") != minimize)
        assert judged.size.blocks < rules.most_blocks
    assert course.judged["c"].reason in ("out of reach", "limit")


def test_losses_within_the_rope_are_equivalent():
    course = courses(World(rules_with(rope=0.02), gains={"b": 0.08}))[-1]
    assert decisions(course) == {"a": "equivalent", "b": "better", "c": "equivalent"}
    assert all(judged.reason == "settled" for judged in course.judged.values())
    low, high = course.judged["a"].difference.interval(1.0 - 2.0 * course.judged["a"].level)
    assert -0.02 < low < high < 0.02


def test_losses_with_the_results_of_the_baseline_are_never_called_different():
    rules = rules_with(budget=700)
    for course in courses(World(rules, twins=dict.fromkeys(rules.candidates, "base"))):
        assert set(decisions(course).values()) <= {"undecided"}
        assert all(judged.difference.mean == 0.0 for judged in (*course.judged.values(), *course.floors.values()))
        assert course.noise_floor in (None, 0.0)


def test_a_difference_below_that_of_identical_losses_is_no_claim():
    rules = rules_with(pairs=())
    world = World(rules, gains={"a": 0.02, "c": 0.06})
    assert decisions(courses(world)[-1])["a"] == "better"
    # The same results, but "twin" is said to be identical with the baseline and differs by more.
    paired = replace(rules, candidates=("a", "b"), pairs=(("c", "base"),))
    course = courses(world, paired)[-1]
    assert course.noise_floor > 0.04
    assert decisions(course)["a"] == "undecided"


@st.composite
def studies(draw) -> tuple[World, RoundRules]:
    """Small studies of all kinds."""
    candidates = tuple("abcde"[: draw(st.integers(1, 5))])
    size = draw(st.sampled_from([2, 3, 8, 15]))
    rules = rules_with(
        candidates,
        rope=draw(st.sampled_from([0.0, 0.005, 0.02])),
        size=size,
        most_searches=max(2, -(-14 // (size - 1))) + draw(st.integers(0, 6)),
        most_blocks=draw(st.integers(4, 40)),
        budget=draw(st.none() | st.integers(0, 1500)),
        num_controls=draw(st.integers(0, 20)),
        pairs=draw(st.sampled_from([(), (("twin", "base"),)])),
        minimize=draw(st.booleans()),
    )
    gains = draw(st.dictionaries(st.sampled_from(candidates), st.sampled_from([-0.05, -0.01, 0.01, 0.05])))
    return World(rules, draw(st.integers(0, 50)), gains), rules


@given(studies())
@settings(deadline=None, max_examples=60)
def test_every_course_keeps_the_rules(study):
    world, rules = study
    found, spent = courses(world), {}
    for course in found:
        # A study needs a first look; nothing beyond it exceeds the budget.
        first = len(rules.losses) * (rules.size + min(FIRST_BLOCKS, rules.most_blocks)) + rules.num_controls
        assert course.num_trainings(rules) <= (np.inf if rules.budget is None else max(rules.budget, first))
        # An equal chance: all losses that go on are equally far.
        going = [loss for loss in rules.candidates if loss not in course.judged or course.judged[loss].reason is None]
        assert len({(course.sizes[loss].searches, course.sizes[loss].blocks) for loss in (*going, "base")}) == 1
        for loss, size in course.sizes.items():
            assert size.searches <= rules.most_searches
            assert size.blocks <= rules.most_blocks
            assert len(course.allocation.get(loss, ())) <= size.blocks
        for judged in (*course.judged.values(), *course.floors.values()):
            spent[judged.look] = judged.level
            if judged.decision != "undecided":
                assert judged.reason == "settled"
                assert judged.size.searches >= rules.fewest_searches
                assert judged.level > 0.0
            if judged.decision in ("better", "worse"):
                assert judged.size.blocks >= rules.fewest_blocks
                assert judged.p_holm <= rules.alpha
    assert sum(spent.values()) <= rules.alpha * (1.0 + 1e-9)
    assert set(found[-1].judged) == set(rules.candidates)
    assert all(judged.reason is not None for judged in found[-1].judged.values())
    assert not missing_of(found[-1])


@pytest.mark.parametrize("seed", range(4))
def test_decisions_depend_neither_on_the_order_nor_on_the_names_of_losses(seed):
    rules = rules_with("abcdef", rope=0.01)
    world = World(rules, seed, DIFFERENT | {"c": 0.015})
    names = dict(zip("abcdef", "fzkaeb", strict=True))
    renamed = replace(rules, candidates=tuple(names[loss] for loss in "dfbace"))
    other = World(renamed, seed)
    for old, new in (names | {"base": "base", "twin": "twin"}).items():
        other.validation[new], other.test[new] = world.validation[old], world.test[old]
    course, same = courses(world)[-1], courses(other)[-1]
    assert [sorted(names.get(loss, loss) for loss in look) for look in course.looks] == [sorted(x) for x in same.looks]
    for old, new in names.items():
        judged, again = course.judged[old], same.judged[new]
        assert (judged.decision, judged.reason, judged.size, judged.look) == (
            again.decision, again.reason, again.size, again.look,
        )  # fmt: skip
        assert judged.difference.mean == pytest.approx(again.difference.mean, abs=1e-9)


def test_lower_scores_are_better_if_the_metric_is_minimised():
    for seed in range(3):
        course, mirrored = (
            courses(World(rules_with(rope=0.01, minimize=minimize), seed, DIFFERENT))[-1] for minimize in (False, True)
        )
        assert decisions(course) == decisions(mirrored)
        assert course.sizes == mirrored.sizes
        for loss, judged in course.judged.items():
            assert judged.difference.mean == pytest.approx(-mirrored.judged[loss].difference.mean, abs=1e-9)


def test_losses_out_of_reach_cost_nothing_more():
    rules = rules_with("abcdef", budget=420)
    found = courses(World(rules, seed=1, gains=DIFFERENT))
    for earlier, later in itertools.pairwise(found):
        for loss, judged in earlier.judged.items():
            if judged.reason is not None:
                assert later.sizes[loss] == earlier.sizes[loss]
    assert any(judged.reason == "out of reach" for judged in found[-1].judged.values())


def test_more_money_never_settles_less():
    settled = []
    for budget in (150, 300, 900):
        course = courses(World(rules_with(budget=budget, most_searches=20, most_blocks=100), gains=DIFFERENT))[-1]
        settled.append(sum(judged.reason == "settled" for judged in course.judged.values()))
    assert settled == sorted(settled)
    assert settled[-1] == 2


def test_a_budget_that_pays_for_no_claim_ends_after_the_first_look():
    course = courses(World(rules_with(budget=70), gains=DIFFERENT))[-1]
    assert len(course.looks) == 1
    assert {judged.reason for judged in course.judged.values()} == {"budget"}
    assert set(decisions(course).values()) == {"undecided"}


def test_a_study_of_the_baseline_alone_is_complete_after_its_noise_floor():
    course = courses(World(rules_with(())))[-1]
    assert course.judged == {}
    assert course.noise_floor == 0.0


def test_the_first_search_of_few_losses_sets_none_aside():
    found = courses(World(rules_with("abc", budget=200)))
    assert all(judged.reason is None for course in found if len(course.looks) == 1 for judged in course.judged.values())


@pytest.mark.parametrize(
    ("world", "rules"),
    [
        ({}, {}),
        ({"spread": 0.05}, {"size": 15, "most_searches": 3}),
        ({"spread": 0.0}, {"budget": 600, "most_searches": 50, "most_blocks": 100}),
        ({"spread": 0.03}, {"candidates": "abcdefghij", "size": 12, "most_searches": 8, "most_blocks": 64}),
    ],
)
def test_equal_losses_are_rarely_called_different_over_all_candidates_and_looks(world, rules):
    rules, false, repeats = rules_with(**{"candidates": "abcd"} | rules), 0, 100
    for seed in range(repeats):
        course = follow(World(rules, seed, **world), rules)
        false += any(judged.decision in ("better", "worse") for judged in course.judged.values())
    assert false / repeats <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / repeats)


def test_a_configuration_that_failed_is_not_retrained():
    rules = rules_with("ab")
    world = World(rules)

    class WithFailures(World):
        """Only the defaults of loss "a" have results; a failure is as bad as possible on validation."""

        def trials(self, loss, num_searches):
            trials = super().trials(loss, num_searches)
            if loss == "a":
                trials.failed_T[:] = ~trials.order.is_default_T
            return trials

    failing = WithFailures(rules)
    failing.validation["a"] = np.where(np.arange(32) % 8 == 0, world.validation["a"], 0.0)
    course = courses(failing)[-1]
    assert set(course.allocation["a"]) == {0}
    assert course.expected["a"].mean == pytest.approx(world.test["a"][0, : course.sizes["a"].blocks].mean(), abs=0.01)
