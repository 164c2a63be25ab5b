"""What limits a study, told word for word."""

from __future__ import annotations

import pytest

from losstune.config.load import load_params
from losstune.study.registration import Earlier
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


def notes(losses=(), control=CONTROL, settings=None, earlier=()):
    return list(notes_on([rows.baseline(), *losses], control, settings or params(), earlier))


def test_a_study_without_limits_has_no_notes():
    assert notes([rows.candidate("focal", "better")]) == []


def test_rules_that_were_changed_are_told_with_what_differs():
    earlier = [
        Earlier(protocol="0123456789abcdef", differs=("rope: 0.1", "alpha: 0.2")),
        Earlier(protocol="f" * 64, differs=()),
    ]
    assert notes(earlier=earlier) == [
        "The rules were changed after the test split had been read: registered first as 0123456789ab, where "
        "rope: 0.1; alpha: 0.2. No p-value here accounts for that.",
        "The rules were changed after the test split had been read: registered first as ffffffffffff, where "
        "nothing differs. No p-value here accounts for that.",
    ]


def test_a_positive_control_that_says_nothing_or_is_missing_is_told():
    assert notes(control=rows.control(identity=True, detected=None)) == [
        "Not even cross_entropy at a hundredth of its learning rate can be found worse on so few blocks, so the "
        "positive control says nothing."
    ]
    assert notes(control=rows.control(identity=True, positive=False)) == [
        "No positive control: nothing shows that a bad loss would be found (confirm.positive_control)."
    ]
    assert notes(control=rows.control(identity=True, detected=False)) == []


def test_no_equal_losses_are_told_unless_a_pair_stands_for_them():
    assert notes(control=rows.control()) == [
        "No control: the study has no loss that equals another, so nothing shows by how much the search alone makes "
        "two losses differ. Adding kl_divergence beside cross_entropy gives one."
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
            "With 5 blocks no p-value over 1 loss can reach 0.05: a loss can be found better or worse from 6 blocks "
            "on, and more easily from 8 (confirm.num_blocks).",
        ),
        (
            [FOCAL],
            params(6),
            "6 blocks are just enough for 1 loss: Holm's p-value is 0.031 at best, for a loss that is ahead or behind "
            "in every block, and one tie with cross_entropy doubles that, above 0.05. 8 or more leave room for ties "
            "(confirm.num_blocks).",
        ),
        ([FOCAL], params(7), None),
        (
            [FOCAL, GCE],
            params(6),
            "With 6 blocks no p-value over 2 losses can reach 0.05: a loss can be found better or worse from 7 blocks "
            "on, and more easily from 9 (confirm.num_blocks).",
        ),
        (
            [FOCAL, GCE],
            params(7, alpha=0.1),
            None,
        ),
        (
            [FOCAL],
            params(1, alpha=0.5),
            "With 1 block no p-value over 1 loss can reach 0.5: a loss can be found better or worse from 2 blocks "
            "on, and more easily from 4 (confirm.num_blocks).",
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
