import pytest

from losstune.core.errors import LosstuneError, UnfinishedStudyError, did_you_mean

LOSSES = ["cross_entropy", "kl_divergence", "focal", "poly1", "gce", "MNIST"]


@pytest.mark.parametrize(
    ("found", "nearest"),
    [
        ("crossentropy", "cross_entropy"),
        ("cross-entropy", "cross_entropy"),
        ("CROSS_ENTROPY", "cross_entropy"),
        ("fokal", "focal"),
        ("poly", "poly1"),
        ("mnist", "MNIST"),
    ],
)
def test_near_misses(found, nearest):
    assert did_you_mean(found, LOSSES) == f"; did you mean '{nearest}'?"


@pytest.mark.parametrize("found", ["", "hinge", "x", "12"])
def test_nothing_near_is_nothing_said(found):
    assert did_you_mean(found, LOSSES) == ""


def test_nothing_allowed_is_nothing_said():
    assert did_you_mean("focal", []) == ""


def test_an_unfinished_study_is_not_the_user_s_mistake():
    # The two end with different exit codes, so that neither may be caught as the other.
    assert not issubclass(UnfinishedStudyError, LosstuneError)
    assert not issubclass(LosstuneError, UnfinishedStudyError)
