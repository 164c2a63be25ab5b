"""Ranges narrowed by past winners."""

import numpy as np
import pytest

from losstune.advice.prior import FEWEST_STUDIES, narrowed, narrowed_range
from losstune.config.schema import SearchSpaceSettings
from losstune.config.tune import TuneSettings
from losstune.losses.ranges import Choice, FloatRange
from losstune.losses.registry import get, registry
from losstune.study.search import centred, propose_shared, space_of
from tests.advice.made_up import data, noise, verdict, winner

RATES = FloatRange(1e-5, 1e-1, "log")
OWN = data("mine")


def spaces_of(*losses):
    return {loss: space_of(get(loss), SearchSpaceSettings()) for loss in losses}


def winners(loss, rates, **changes):
    return [
        verdict(loss, f"study {number}", **{"data": data(f"set{number}"), "winner": winner(rate)} | changes)
        for number, rate in enumerate(rates)
    ]


def ranges(verdicts, *losses, mine=OWN, optimizer="adamw"):
    found, _ = narrowed(spaces_of(*losses), mine, optimizer, verdicts)
    return {loss: space.ranges for loss, space in found.items()}


def test_equal_winners_leave_a_factor_of_ten():
    found = narrowed_range(RATES, [1e-3] * 5)
    assert (found.low, found.high) == (pytest.approx(1e-3 / 10**0.5, rel=0.01), pytest.approx(1e-3 * 10**0.5, rel=0.01))
    assert found.scale == "log"


def test_the_central_winners_count():
    values = 10.0 ** np.linspace(-4, -2, 101)
    found = narrowed_range(RATES, [*values])
    assert found.low == pytest.approx(10 ** (-3.8 - 0.5), rel=0.01)
    assert found.high == pytest.approx(10 ** (-2.2 + 0.5), rel=0.01)


@pytest.mark.parametrize("rate", [1e-9, 1e-5, 1e-1, 5.0])
def test_at_a_bound_the_range_keeps_its_width(rate):
    found = narrowed_range(RATES, [rate] * 3)
    assert RATES.low <= found.low < found.high <= RATES.high
    assert found.high / found.low == pytest.approx(10, rel=0.02)


def test_a_narrow_range_stays():
    span = FloatRange(1e-3, 5e-3, "log")
    assert narrowed_range(span, [2e-3] * 9) == span


def test_a_linear_range_keeps_a_quarter():
    found = narrowed_range(FloatRange(0.0, 1.0), [0.7] * 4)
    assert (found.low, found.high) == (pytest.approx(0.575), pytest.approx(0.825))


@pytest.mark.parametrize("seed", range(20))
def test_the_range_has_most_winners_and_lies_in_the_old_one(seed):
    rng = np.random.default_rng(seed)
    values = 10 ** rng.uniform(-5, -1, rng.integers(3, 30))
    found = narrowed_range(RATES, [*values])
    assert RATES.low <= found.low < found.high <= RATES.high
    assert found.high / found.low > 9.9
    assert np.mean([found.low <= value <= found.high for value in values]) >= 0.79 - 1 / len(values)


def test_a_loss_with_enough_winners_is_narrowed_and_another_is_not():
    found = ranges(winners("gce", [1e-3] * FEWEST_STUDIES), "gce", "focal")
    before = spaces_of("gce", "focal")
    assert found["gce"]["learning_rate"].high < 1e-2
    assert found["focal"] == before["focal"].ranges
    assert ranges(winners("gce", [1e-3] * (FEWEST_STUDIES - 1)), "gce")["gce"] == before["gce"].ranges


def test_one_study_counts_once():
    twice = [verdict("gce", "a study", data=data("other"), winner=winner(1e-3)) for _ in range(9)]
    assert ranges(twice, "gce")["gce"] == spaces_of("gce")["gce"].ranges


def test_its_own_hyperparameters_are_narrowed_and_a_choice_stays():
    found = ranges(winners("gce", [1e-3] * 4, winner=winner(q=0.5)), "gce")["gce"]
    assert (found["q"].low, found["q"].high) == (pytest.approx(0.375), pytest.approx(0.625))
    apl = winners("apl", [1e-3] * 4, winner=winner(alpha=1, beta=10))
    assert isinstance(ranges(apl, "apl")["apl"]["alpha"], Choice)
    assert ranges(apl, "apl")["apl"]["alpha"] == spaces_of("apl")["apl"].ranges["alpha"]


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "sgd"},
        {"data": data("noisy", noise=noise(0.4))},
        {"data": OWN},
        {"data": data("mine", digest="of other splits")},
        {"data": data("other", digest=OWN.digest)},
        {"winner": None},
    ],
)
def test_what_does_not_count(changes):
    # Another optimiser, unlike data, the study's own data set, and a loss that never won.
    assert ranges(winners("gce", [1e-3] * 5, **changes), "gce")["gce"] == spaces_of("gce")["gce"].ranges


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_identical_losses_search_the_same_ranges(optimizer):
    # Or the A/A control would compare two searches. Every pair of the catalogue, with winners of one, or of both.
    rng = np.random.default_rng(0)
    pairs = [(name, spec.equals) for name, spec in registry().items() if spec.equals]
    assert ("kl_divergence", "cross_entropy") in pairs
    for pair in pairs:
        for with_winners in (pair[:1], pair[1:], pair):
            past = [
                one for loss in with_winners for one in winners(loss, 10 ** rng.uniform(-4, -2, 5), optimizer=optimizer)
            ]
            found = ranges(past, *pair, optimizer=optimizer)
            assert found[pair[0]] == found[pair[1]]
            assert found[pair[0]] != spaces_of(*pair)[pair[0]].ranges
            spaces, lines = narrowed(spaces_of(*pair), OWN, optimizer, past)
            assert {line.name for line in lines} == {"learning_rate", "weight_decay"}
            for index in range(9):
                points = [propose_shared(spaces[loss], index, TuneSettings(), 7, 0) for loss in pair]
                assert points[0].values == points[1].values


def test_the_first_trial_is_that_of_the_defaults():
    before = spaces_of("gce")
    found, _ = narrowed(before, OWN, "adamw", winners("gce", [5e-2] * 5))
    assert found["gce"].defaults == before["gce"].defaults
    assert propose_shared(found["gce"], 0, TuneSettings(), 7, 0) == propose_shared(
        before["gce"], 0, TuneSettings(), 7, 0
    )


def test_scores_have_no_part_in_the_ranges():
    # So the ranges depend on no test split: winners were selected on validation.
    rng, rates = np.random.default_rng(0), [1e-3, 3e-3, 1e-2, 2e-3]
    shuffled = [
        one.model_copy(update={"difference": float(rng.normal()), "error": 0.1, "decision": "worse"})
        for one in winners("gce", rates)
    ]
    assert ranges(shuffled, "gce") == ranges(winners("gce", rates), "gce")


def test_a_centred_range_is_narrowed_within_itself():
    scaled = {"square": centred(spaces_of("square")["square"], 10.0)}
    found, lines = narrowed(scaled, OWN, "sgd", winners("square", [1e-3] * 3, optimizer="sgd"))
    span, before = found["square"].ranges["learning_rate"], scaled["square"].ranges["learning_rate"]
    assert before.low <= span.low < span.high <= before.high
    assert {(line.loss, line.num_studies) for line in lines} == {("square", 3)}
