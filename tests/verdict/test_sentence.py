from __future__ import annotations

import math

import pytest

from losstune.verdict.sentence import draw_verdict
from losstune.verdict.wording import Units
from tests.report.pooled import LEVELS, make_pooled
from tests.report.studies import make_study
from tests.verdict import rows
from tests.verdict.test_pipeline import CROSS_ENTROPY, GATED, shifted


def sentence(scores, **settings):
    return make_study(scores, **settings).results().verdict.sentence


def test_sentence_for_a_winner():
    assert sentence(GATED) == (
        "On digits with the cnn, use focal: it beats cross_entropy by 2.00 ± 0.00 points of accuracy, "
        "higher in 10 of 10 blocks. Noise floor: kl_divergence and cross_entropy are identical losses and differ by "
        "0.02 points here when tuned separately."
    )


def test_sentence_for_several_winners_names_the_highest_first():
    more = GATED | {"gce": shifted(0.03), "poly1": shifted(0.01)}
    assert sentence(more).startswith("On digits with the cnn, use gce: it beats cross_entropy by 3.00")
    assert "higher in 10 of 10 blocks; focal and poly1 beat it too. Noise floor:" in sentence(more)


def test_sentence_for_the_baseline():
    scores = {"cross_entropy": CROSS_ENTROPY, "focal": shifted(0.002, (0.02, -0.02)), "square": shifted(-0.03)}
    text = sentence(scores)
    assert text.startswith(
        "On digits with the cnn, keep cross_entropy: no loss of 2 was ahead by more than 0.60 points in accuracy "
        "(1 worse, 1 undecided); focal is ahead by 0.60 ± "
    )
    assert text.endswith("more blocks could settle it.")


def test_sentence_for_one_rival():
    assert sentence({"cross_entropy": CROSS_ENTROPY, "square": shifted(-0.03)}) == (
        "On digits with the cnn, keep cross_entropy: square is not shown to beat it; "
        "square is behind by 3.00 ± 0.00 points, which is worse."
    )
    assert sentence({"cross_entropy": CROSS_ENTROPY, "gce": CROSS_ENTROPY}).endswith(
        "gce differs by 0.00 ± 0.00 points, which is equivalent, within ±0.50."
    )


UNITS = Units("accuracy", rope=0.005)


def drawn(losses, control=None, **settings):
    values = {"place": "digits with the cnn", "units": UNITS, "baseline": "cross_entropy"}
    return draw_verdict(losses, control or rows.control(), **(values | settings))


NO_WINNER = {"scores": {}, "difference": None, "winner": None}


@pytest.mark.parametrize(
    ("losses", "control", "reason"),
    [
        (
            [rows.candidate("focal", None), rows.baseline(scores={})],
            rows.control(identity=False),
            "every trial of the baseline cross_entropy diverged or failed",
        ),
        (
            [rows.baseline(), rows.candidate("focal", None)],
            rows.control(identity=False, detected=False),
            "twin equals cross_entropy and was trained on the same seeds, but gave a different model (a detail), "
            "so no difference between losses can be trusted",
        ),
        (
            [rows.baseline()],
            rows.control(identity=True, detected=False),
            "cross_entropy at a hundredth of its learning rate was not found worse than cross_entropy itself "
            "(-0.40 points [-2.00, +1.00]), so this study could not detect a bad loss either",
        ),
        (
            [rows.baseline(), rows.candidate("twin", None, part="control")],
            rows.control(positive=False),
            "there is no loss to compare with cross_entropy",
        ),
        (
            [rows.baseline(), rows.candidate("focal", None, **NO_WINNER), rows.candidate("twin", None, part="control")],
            rows.control(identity=True),
            "every trial of every loss but cross_entropy diverged or failed",
        ),
    ],
)
def test_no_verdict_says_why(losses, control, reason):
    found = drawn(losses, control, is_amended=True)
    assert (found.action, found.loss) == ("none", None)
    assert found.sentence == f"No verdict on digits with the cnn: {reason}."


def test_few_blocks_and_a_control_that_is_switched_off_stop_no_verdict():
    losses = [rows.baseline(), rows.candidate("focal", "better")]
    for control in (rows.control(detected=None), rows.control(positive=False)):
        assert drawn(losses, control).loss == "focal"


def test_the_best_of_the_better_losses_is_used_with_the_blocks_it_won():
    losses = [
        rows.candidate("gce", "better", 0.02, accuracies=(0.91, 0.90, 0.92)),
        rows.baseline((0.90, 0.90, 0.90, 0.99)),
        rows.candidate("ahead_by_luck", "undecided", 0.05),
        rows.candidate("focal", "better", 0.03, difference=rows.difference(0.03, 0.01, 0.04)),
        rows.candidate("twin", "better", 0.9, part="alias"),
    ]
    control = rows.control(pairs=[("a", "b", 0.001), ("c", "d", -0.012), ("e", "f", 0.011)])
    assert drawn(losses, control, is_amended=True).sentence == (
        "On digits with the cnn, use focal: it beats cross_entropy by 3.00 ± 2.00 points of accuracy, higher in 2 of "
        "3 blocks; gce beats it too. Noise floor: c and d are identical losses and differ by 1.20 points here when "
        "tuned separately. The rules were changed after the test split was read."
    )
    found = drawn([losses[0], rows.baseline()])
    assert (found.action, found.loss) == ("use", "gce")
    assert found.sentence == (
        "On digits with the cnn, use gce: it beats cross_entropy by 2.00 ± 0.10 points of accuracy, higher in 2 of "
        "3 blocks."
    )


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        (
            [rows.candidate("focal", "undecided", -0.01), rows.candidate("gce", "worse", -0.02)],
            "no loss of 2 was ahead in accuracy (1 worse, 1 undecided); focal is behind by 1.00 ± 0.10 points, "
            "undecided: no number of blocks would settle it.",
        ),
        (
            [
                rows.candidate("focal", "equivalent", 0.00004),
                rows.candidate("gce", "worse", -0.02),
                rows.candidate("js", "equivalent", -0.001),
            ],
            "no loss of 3 was ahead in accuracy (2 equivalent, 1 worse); focal differs by 0.00 ± 0.10 points, which is "
            "equivalent, within ±0.50.",
        ),
        (
            [
                rows.candidate("gce", "worse", -0.02),
                rows.candidate("focal", "undecided", 0.012, blocks_needed=15),
                rows.candidate("lost", None, **NO_WINNER),
            ],
            "no loss of 2 was ahead by more than 1.20 points in accuracy (1 worse, 1 undecided); focal is ahead by "
            "1.20 ± 0.10 points, within the noise floor, undecided: about 15 more blocks could settle it. Noise floor: "
            "a and b are identical losses and differ by 1.20 points here when tuned separately.",
        ),
        (
            [
                rows.candidate(
                    "focal", "undecided", 0.0121, difference=rows.difference(0.0121, -math.inf, 0.02), blocks_needed=1
                )
            ],
            "focal is not shown to beat it; focal is ahead by 1.21 (unbounded) points, undecided: about 1 more block "
            "could settle it. Noise floor: a and b are identical losses and differ by 1.20 points here when tuned "
            "separately.",
        ),
    ],
)
def test_keeping_the_baseline_says_how_close_it_was(losses, told):
    control = rows.control(pairs=[("a", "b", 0.012)] if told.endswith("separately.") else [])
    found = drawn([rows.baseline(), *losses], control)
    assert (found.action, found.loss) == ("keep", "cross_entropy")
    assert found.sentence == f"On digits with the cnn, keep cross_entropy: {told}"


def pooled(decision, mean=0.002, **replaced):
    loss = rows.candidate("focal", decision, mean, **({"reason": "budget"} | replaced))
    units = Units("accuracy", rope=0.005)
    return draw_verdict(
        [rows.baseline(), loss], rows.control(), place="x", units=units, baseline="cross_entropy", pooled_trials=12
    ).sentence


def test_a_pooled_winner_is_one_of_searches_and_not_of_blocks():
    assert pooled("better") == (
        "On x, use focal: it beats cross_entropy by 0.20 ± 0.10 points of accuracy, each tuned with 12 trials."
    )
    whole = make_pooled(LEVELS | {"gce": 0.92}).results().verdict
    assert whole.loss == "focal"
    assert "each tuned with 8 trials; gce beats it too. Noise floor:" in whole.sentence


def test_what_would_settle_a_loss_of_a_pooled_study():
    assert pooled("undecided", trainings_needed=123).endswith(
        "focal is ahead by 0.20 ± 0.10 points, undecided: about 120 more trainings could settle it."
    )
    assert pooled("undecided").endswith("undecided: no affordable number of trainings would settle it.")
    unbounded = rows.difference(0.002, -math.inf, math.inf)
    assert "is ahead by 0.20 (unbounded) points, undecided" in pooled("undecided", difference=unbounded)
