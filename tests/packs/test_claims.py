"""Claims are judged by hand-written rules."""

import math

import pytest

from losstune.packs.claims import judge, outcome_of
from losstune.packs.schema import Claim
from tests.report.pooled import make_example

# By hand: rows are what is claimed, columns what the study decides.
DECISIONS = ("better", "equivalent", "worse", "undecided", None)
TABLE = {
    "better": ("agrees", "disagrees", "disagrees", "undecided", "undecided"),
    "worse": ("disagrees", "disagrees", "agrees", "undecided", "undecided"),
    "equivalent": ("disagrees", "agrees", "disagrees", "undecided", "undecided"),
    "not worse": ("agrees", "agrees", "disagrees", "undecided", "undecided"),
}


@pytest.mark.parametrize("direction", TABLE)
def test_every_decision_has_its_outcome(direction):
    assert tuple(outcome_of(direction, decision) for decision in DECISIONS) == TABLE[direction]


@pytest.fixture(scope="module")
def results():
    return make_example().results()


def claim(loss, direction="better"):
    return Claim(id="a", text="A claim.", place="abstract", cells=("digits",), loss=loss, direction=direction)


def with_loss(results, name, **changes):
    losses = [loss.model_copy(update=changes) if loss.loss == name else loss for loss in results.losses]
    return results.model_copy(update={"losses": tuple(losses)})


def test_a_claim_is_judged_by_the_decision_on_its_loss(results):
    better = judge(claim("focal"), "digits", results)
    assert (better.outcome, better.decision, better.cell) == ("agrees", "better", "digits")
    difference = results.of("focal").difference
    assert (better.mean, better.low, better.high) == (difference.mean, difference.low, difference.high)
    assert (
        better.ours
        == f"+{100 * difference.mean:.2f} [+{100 * difference.low:.2f}, +{100 * difference.high:.2f}] points"
    )
    assert judge(claim("apl"), "digits", results).outcome == "disagrees"
    assert judge(claim("apl", "worse"), "digits", results).outcome == "agrees"


def test_an_undecided_claim_says_what_would_settle_it(results):
    found = judge(claim("gce"), "digits", results)
    assert found.outcome == "undecided"
    assert found.reason == "about 1,100 more trainings would settle it"


def test_an_interval_without_bounds_has_none(results):
    found = judge(claim("js"), "digits", results)
    assert (found.low, found.high) == (None, None)
    assert "unbounded" in found.ours


def test_a_loss_identical_to_the_baseline_is_equivalent_to_it(results):
    assert results.of("kl_divergence").part == "control"
    found = judge(claim("kl_divergence"), "digits", results)
    assert (found.outcome, found.decision) == ("disagrees", "equivalent")
    assert "identical to cross_entropy" in found.reason
    assert judge(claim("kl_divergence", "not worse"), "digits", results).outcome == "agrees"
    failed = results.control.model_copy(
        update={"identity": results.control.identity.model_copy(update={"passed": False})}
    )
    broken = judge(claim("kl_divergence"), "digits", results.model_copy(update={"control": failed}))
    assert (broken.outcome, broken.reason) == ("undecided", "the identity check failed")


def test_a_loss_identical_to_another_has_its_decision(results):
    found = judge(claim("apl"), "digits", with_loss(results, "apl", part="alias", equals="focal", decision=None))
    assert (found.outcome, found.decision) == ("agrees", "better")


def test_without_a_verdict_nothing_is_decided(results):
    found = judge(claim("focal"), "digits", with_loss(results, "focal", decision=None))
    assert (found.outcome, found.reason) == ("undecided", "no verdict: a control failed")
    found = judge(claim("focal"), "digits", with_loss(results, "focal", decision=None, winner=None, difference=None))
    assert (found.outcome, found.ours) == ("undecided", None)
    assert found.reason == "no training of this loss succeeded"


def test_a_cell_that_has_not_run_decides_nothing():
    found = judge(claim("focal"), "digits", None, "not run: needs CIFAR-10")
    assert (found.outcome, found.reason, found.ours) == ("undecided", "not run: needs CIFAR-10", None)


def test_no_number_of_a_judgement_is_infinite(results):
    for loss in results.losses:
        if loss.loss != results.baseline:
            found = judge(claim(loss.loss), "digits", results)
            assert all(math.isfinite(value) for value in (found.mean, found.low, found.high) if value is not None)
