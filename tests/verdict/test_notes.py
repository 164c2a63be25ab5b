"""What limits a study, told word for word."""

from __future__ import annotations

import pytest

from losstune.config.load import load_params
from losstune.study.registration import Earlier
from losstune.verdict.facts import Rounds
from losstune.verdict.notes import notes_on
from tests.paths import REPOSITORY
from tests.verdict import rows

CONTROL = rows.control(identity=True)


def params(num_blocks=20, alpha=0.05, stopping="fixed"):
    found = load_params(REPOSITORY / "params.yaml")
    return found.model_copy(
        update={
            "baseline": "cross_entropy",
            "confirm": found.confirm.model_copy(update={"num_blocks": num_blocks, "stopping": stopping}),
            "report": found.report.model_copy(update={"alpha": alpha}),
        }
    )


def notes(losses=(), control=CONTROL, settings=None, earlier=(), rounds=None):
    return list(notes_on([rows.baseline(), *losses], control, settings or params(), earlier, rounds=rounds))


def test_a_study_without_limits_has_no_notes():
    assert notes([rows.candidate("focal", "better")]) == []


def test_rules_that_were_changed_are_told_with_what_differs():
    earlier = [
        Earlier(protocol="0123456789abcdef", differs=("rope: 0.1", "alpha: 0.2")),
        Earlier(protocol="f" * 64, differs=()),
    ]
    assert notes(earlier=earlier) == [
        "The rules were changed after the test split was read: first registered as 0123456789ab, with these "
        "differences: rope: 0.1; alpha: 0.2. The p-values do not account for this.",
        "The rules were changed after the test split was read: first registered as ffffffffffff, with these "
        "differences: none. The p-values do not account for this.",
    ]


def test_a_positive_control_that_says_nothing_or_is_missing_is_told():
    assert notes(control=rows.control(identity=True, detected=None)) == [
        "There are too few blocks to find cross_entropy at a hundredth of its learning rate worse, so the positive "
        "control is not informative."
    ]
    assert notes(control=rows.control(identity=True, positive=False)) == [
        "No positive control: it is not known whether the study can detect a bad loss (confirm.positive_control)."
    ]
    assert notes(control=rows.control(identity=True, detected=False)) == []


def test_no_equal_losses_are_told_unless_a_pair_stands_for_them():
    assert notes(control=rows.control()) == [
        "No control: the study has no two identical losses, so it is not known how much two losses differ by the "
        "search alone. Add kl_divergence to a study with cross_entropy to get a control."
    ]
    assert notes(control=rows.control(pairs=[("a", "b", 0.01)])) == []
    assert notes(control=rows.control(identity=False)) == []


FOCAL, GCE = rows.candidate("focal", "undecided"), rows.candidate("gce", "undecided")


@pytest.mark.parametrize(
    ("losses", "settings", "told"),
    [
        # The smallest p-value of sign flips is 2 / 2^B, times the number of candidates by Holm.
        (
            [FOCAL],
            params(5),
            "With 5 blocks and 1 loss, no corrected p-value can reach 0.05. A loss can be found better or worse with "
            "6 blocks or more, and more easily with 8 (confirm.num_blocks).",
        ),
        (
            [FOCAL],
            params(6),
            "6 blocks are just enough for 1 loss: the smallest Holm p-value is 0.031, for a loss that is ahead or "
            "behind in every block. One tie with cross_entropy doubles it, to more than 0.05. 8 or more blocks allow "
            "ties (confirm.num_blocks).",
        ),
        ([FOCAL], params(7), None),
        (
            [FOCAL, GCE],
            params(6),
            "With 6 blocks and 2 losses, no corrected p-value can reach 0.05. A loss can be found better or worse "
            "with 7 blocks or more, and more easily with 9 (confirm.num_blocks).",
        ),
        (
            [FOCAL, GCE],
            params(7, alpha=0.1),
            None,
        ),
        (
            [FOCAL],
            params(1, alpha=0.5),
            "With 1 block and 1 loss, no corrected p-value can reach 0.5. A loss can be found better or worse with 2 "
            "blocks or more, and more easily with 4 (confirm.num_blocks).",
        ),
        ([FOCAL], params(2, stopping="anytime"), None),
        # Neither counts as a candidate that is tested.
        ([rows.candidate("twin", None, part="control")], params(2), None),
        ([rows.candidate("lost", None, difference=None)], params(2), None),
    ],
)  # fmt: skip
def test_blocks_that_are_too_few_or_just_enough_are_told(losses, settings, told):
    assert notes(losses, settings=settings) == ([] if told is None else [told])


def test_losses_without_a_winner_and_failed_blocks_are_told():
    losses = [
        rows.candidate("lost", None, winner=None, difference=None, num_failed_blocks=2),
        rows.candidate("focal", "worse", num_failed_blocks=1),
        rows.candidate("gce", "worse", num_failed_blocks=1, accuracies=(0.1,)),
    ]
    assert notes(losses) == [
        "lost has no winner: all trials of one of its searches diverged or failed.",
        "focal diverged or failed in 1 of 3 blocks, counted with the worst scores.",
        "gce diverged or failed in 1 of 1 block, counted with the worst scores.",
    ]


def rounds(budget=400):
    return Rounds(
        num_trainings=399, num_controls=9, budget=budget, fewest_searches=2, fewest_blocks=10, looks=(3, 2),
        yardsticks=("cross_entropy",),
    )  # fmt: skip


def undecided(name, reason, look=1):
    difference = rows.difference(0.001).model_copy(update={"look": look})
    return rows.candidate(name, "undecided", difference=difference, reason=reason)


def test_a_pooled_study_names_what_it_did_not_settle_and_why():
    losses = [
        rows.candidate("square", "better", reason="settled"),
        undecided("focal", "out of reach", look=0),
        undecided("gce", "out of reach", look=0),
        undecided("js", "out of reach"),
        undecided("apl", "budget"),
        undecided("poly1", "limit"),
    ]
    assert notes(losses, rounds=rounds()) == [
        "Set aside after the first search, because all trainings that were left would not have settled them: focal "
        "and gce. Their differences have no interval.",
        "Set aside, because all trainings that were left would not have settled them: js.",
        "Not settled when the budget of 400 trainings ended: apl.",
        "Not settled with all searches and blocks (tune.num_searches, confirm.num_blocks): poly1.",
    ]


def test_a_pooled_study_has_no_note_on_sign_tests():
    assert notes([rows.candidate("square", "better")], settings=params(num_blocks=3), rounds=rounds()) == []


def test_a_pool_without_a_winner_is_one_whose_first_search_failed():
    lost = rows.candidate("focal", None, winner=None)
    assert notes([lost], rounds=rounds()) == ["focal has no winner: all trials of its first search diverged or failed."]
