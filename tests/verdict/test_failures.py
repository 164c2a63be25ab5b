"""What the report says of trainings that were lost."""

from losstune.verdict.failures import Failures, failures_of
from tests.factories import make_record


def lost(loss, index, status, cause, **placed):
    record = make_record(loss=loss, index=index, accuracy=0.0, status=status, **placed)
    return record.model_copy(update={"cause": cause})


def test_what_was_lost_in_the_same_way_is_told_once():
    trials = [
        lost("focal", 0, "diverged", "the training loss became nan in epoch 3"),
        lost("focal", 1, "diverged", "the training loss became nan in epoch 12"),
        lost("square", 0, "failed", "RuntimeError: in epoch 3 of nothing"),
        make_record(loss="square", index=1, accuracy=0.5),
    ]
    blocks = [
        lost("focal", 0, "diverged", "the training loss became nan in epoch 1", stage="confirm"),
        lost("focal", 1, "diverged", "the training loss became inf in epoch 1", stage="confirm"),
    ]
    assert failures_of(trials, blocks) == [
        Failures(
            loss="square", status="failed", cause="RuntimeError: in epoch 3 of nothing", num_trials=1, num_blocks=0
        ),
        Failures(loss="focal", status="diverged", cause="the training loss became nan", num_trials=2, num_blocks=1),
        Failures(loss="focal", status="diverged", cause="the training loss became inf", num_trials=0, num_blocks=1),
    ]


def test_nothing_lost_is_nothing_told():
    assert failures_of([make_record(loss="focal", index=0, accuracy=0.5)], []) == []


def test_failures_come_first_and_then_what_was_lost_most_often():
    cause = "the training loss became nan"
    trials = [lost("a", index, "diverged", cause) for index in range(2)]
    trials += [lost("b", 0, "diverged", cause), lost("d", 0, "diverged", cause), lost("c", 0, "diverged", cause)]
    trials += [lost("c", 1, "diverged", "another"), lost("z", 0, "failed", "out of memory")]
    blocks = [lost("b", index, "diverged", cause, stage="confirm") for index in range(2)]
    found = [
        (failure.loss, failure.cause, failure.num_trials, failure.num_blocks) for failure in failures_of(trials, blocks)
    ]
    assert found == [
        ("z", "out of memory", 1, 0),
        ("b", cause, 1, 2),
        ("a", cause, 2, 0),
        ("c", "another", 1, 0),
        ("c", cause, 1, 0),
        ("d", cause, 1, 0),
    ]


def test_a_loss_without_a_cause_has_none_recorded():
    (found,) = failures_of([lost("focal", 0, "failed", None)], [])
    assert found.cause == "no cause recorded"
