"""Advice from made-up studies whose truth is known."""

import runpy

import numpy as np
import pytest

from losstune.advice.choice import FEWEST_STUDIES, NUMBER, advise
from tests.advice.made_up import data, noise, verdict
from tests.paths import REPOSITORY

BENCHMARK = runpy.run_path(str(REPOSITORY / "benchmarks" / "advice.py"))
LOSSES = [f"loss{number}" for number in range(9)]
NOISY = noise(0.4)


def studies(gains, number=6, changes=(), start=0):
    """Verdicts of several studies, each on data of its own, with these gains of `LOSSES`."""
    return [
        verdict(loss, f"study {start + study}", points=gain, data=data(f"set{start + study}", **dict(changes)))
        for study in range(number)
        for loss, gain in zip(LOSSES, gains, strict=True)
    ]


def test_what_won_before_is_advised_first():
    advice = advise(data(), studies([0, 0, 3, 0, 0, 0, 0, 0, -5]))
    assert advice.chosen[0] == "loss2"
    assert advice.is_enough
    best = advice.losses[0]
    assert (best.loss, best.decisions, best.num_like) == ("loss2", {"better": 6}, 6)
    assert 2.0 < 0.5 * best.gain <= 3.0, "shrunk to 0"
    assert best.low < best.gain < best.high
    assert best.better > 0.95
    assert best.best > 0.95
    assert best.is_worth_a_trial
    worst = advice.losses[-1]
    assert (worst.loss, worst.decisions) == ("loss8", {"worse": 6})
    assert not worst.is_worth_a_trial
    assert "loss8" not in advice.chosen


def test_similar_data_decides():
    noisy_first = studies([0, 0, 0, 0, 0, 0, 0, 0, 4], changes=[("noise", NOISY)])
    clean_first = studies([4, 0, 0, 0, 0, 0, 0, 0, -4], start=10)
    both = [*noisy_first, *clean_first]
    assert advise(data(noise=NOISY), both).chosen[0] == "loss8"
    assert advise(data(), both).chosen[0] == "loss0"


def test_evidence_is_counted_among_similar_studies():
    found = [*studies([0] * 9, 3), *studies([0] * 9, 4, [("noise", NOISY)], start=10)]
    advice = advise(data(), found)
    assert (advice.num_studies, advice.num_like, advice.names_like) == (7, 3, ("set0", "set1", "set2"))
    assert not advice.is_enough
    assert advise(data(noise=NOISY), found).num_like == 4


def test_studies_of_one_data_set_are_not_enough():
    same = [
        verdict(loss, f"study {number}", data=data(num_train=1000 + number))
        for number in range(FEWEST_STUDIES)
        for loss in LOSSES
    ]
    assert not advise(data(), same).is_enough
    assert advise(data(), [*same, *studies([0] * 9, 1)]).is_enough


def test_a_loss_of_few_studies_is_not_advised():
    found = [*studies([0] * 9), verdict("luck", "study 0", points=9.0)]
    assert "luck" not in {one.loss for one in advise(data(), found).losses}


def test_controls_are_not_advised():
    twin = {"points": 5.0, "part": "control", "decision": None}
    twins = [verdict("twin", f"study {number}", data=data(f"set{number}"), **twin) for number in range(6)]
    assert advise(data(), [*studies([0] * 9), *twins]) == advise(data(), studies([0] * 9))


def test_without_a_database_there_is_no_advice():
    advice = advise(data(), [])
    assert (advice.chosen, advice.losses, advice.num_like, advice.is_enough) == ((), (), 0, False)


def test_the_order_of_the_database_does_not_matter():
    found = studies([0.3, 0, 1, 0.8, -1, 0, 0.2, 0, 0])
    shuffled = [found[place] for place in np.random.default_rng(0).permutation(len(found))]
    ours, theirs = advise(data(), found), advise(data(), shuffled)
    assert ours.chosen == theirs.chosen
    assert [one.best for one in ours.losses] == pytest.approx([one.best for one in theirs.losses])


def test_predictions_are_calibrated():
    # On invented studies, 95% of the predictions for data that was left out cover the truth.
    covered = []
    rng = np.random.default_rng(1)
    for _ in range(3):
        database, truth = BENCHMARK["invented"](rng)
        for study, gains in truth.items():
            found = next(one for one in database if (one.source, one.protocol) == study)
            rest = [one for one in database if one.data.name != found.data.name]
            for one in advise(found.data, rest, among=sorted(gains)).losses:
                covered.append(0.5 * one.low <= gains[one.loss] <= 0.5 * one.high)
    assert 0.90 <= np.mean(covered) <= 1.0


def hits(common):
    """How often advice, and six losses at random, have the best one on invented data that was left out."""
    rng, trials = np.random.default_rng(2), []
    for _ in range(2):
        database, truth = BENCHMARK["invented"](rng, common=common)
        trials += BENCHMARK["held_out"](database, lambda one: one.data.name, truth)
    return [np.mean([trial[choice].hit for trial in trials]) for choice in ("the advice", "six at random")]


def test_advice_is_better_than_chance_where_studies_are_alike():
    advised, at_random = hits(common=0.8)
    assert advised > at_random + 0.2


def test_advice_is_as_good_as_chance_where_they_have_nothing_in_common():
    # Or the benchmark would leak.
    advised, at_random = hits(common=0.0)
    assert abs(advised - at_random) < 0.25


def test_chance_is_that_of_drawing_six_losses():
    gains = dict(zip(LOSSES, [0.0, 1.0, 1.2, 0.1, -1.0, 0.3, 0.2, 0.0, 0.1], strict=True))
    found = BENCHMARK["at_random"](gains, LOSSES, ["loss1", "loss2"], 1.2)
    rng = np.random.default_rng(0)
    draws = [rng.choice(LOSSES, NUMBER, replace=False) for _ in range(4000)]
    assert found.hit == pytest.approx(np.mean([{"loss1", "loss2"} & {*draw} != set() for draw in draws]), abs=0.02)
    missed = [1.2 - max(gains[loss] for loss in draw) for draw in draws]
    assert found.missed == pytest.approx(np.mean(missed), abs=0.02)


def test_losses_for_unequal_classes_are_advised_where_classes_are_unequal():
    found = [
        verdict(loss, f"study {study}", points=1.0, data=data(f"set{study}", imbalance=imbalance))
        for study, imbalance in enumerate([1.0, 1.1, 2.0, 10.0, 50.0, 50.0])
        for loss in ("logit_adjusted", "ldam", "gce")
    ]
    assert advise(data(imbalance=1.05), found).chosen == ("gce",)
    assert set(advise(data(imbalance=20.0), found).chosen) == {"logit_adjusted", "ldam", "gce"}
