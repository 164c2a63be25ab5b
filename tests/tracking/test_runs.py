import math

import pytest

from losstune.core.records import Entry, Execution
from losstune.tracking.runs import child_of, name_of, stage_tags
from tests.factories import make_record
from tests.tracking.conftest import make_entry, make_run


def points_of(child, name):
    return [(point.step, point.value) for point in child.points if point.name == name]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"loss": "focal", "index": 3, "hyperparameters": {"gamma": 2.5}}, "focal #0.3 lr=0.001 gamma=2.5"),
        ({"loss": "focal", "stage": "confirm", "index": 3}, "focal · block 0.3 lr=0.001"),
        ({"loss": "kl_divergence", "stage": "confirm", "role": "control"}, "kl_divergence · control lr=0.001"),
    ],
)
def test_names(arguments, name):
    assert name_of(make_record(**arguments)) == name


def test_a_finished_trial(facts):
    entry = make_entry(loss="focal", index=3, hyperparameters={"gamma": 2.5}, accuracy=0.9, seed=7)
    child = child_of(entry, make_run(), facts)
    assert child.status == "FINISHED"
    assert (child.started_ms, child.ended_ms) == (1_700_000_000_000, 1_700_000_002_000)
    assert child.params == {
        "model": "cnn",
        "epochs": "3",
        "label_noise": "0.0",
        "loss": "focal",
        "learning_rate": "0.001",
        "weight_decay": "0.01",
        "focal.gamma": "2.5",
        "num_parameters": "1234",
    }
    expected = {
        "losstune.key": entry.record.key,
        "losstune.stage": "tune",
        "losstune.loss": "focal",
        "losstune.role": "trial",
        "losstune.index": "3",
        "losstune.seed": "7",
        "losstune.status": "finished",
        "losstune.device": "cpu",
        "losstune.data_digest": "d" * 64,
        "losstune.protocol_hash": "e" * 64,
        "losstune.commit": "0" * 40,
        "losstune.dirty": "false",
        "mlflow.source.git.commit": "0" * 40,
        "mlflow.source.name": "losstune tune",
        "mlflow.source.type": "LOCAL",
    }
    assert expected.items() <= child.tags.items()
    assert "losstune.cause" not in child.tags


def test_searched_settings_are_parameters(facts):
    entry = make_entry(loss="focal", hyperparameters={"gamma": 2.5})
    configuration = entry.record.configuration.model_copy(update={"settings": {"momentum": 0.75}})
    record = entry.record.model_copy(update={"configuration": configuration})
    assert child_of(entry.model_copy(update={"record": record}), make_run(), facts).params["momentum"] == "0.75"
    assert name_of(record) == "focal #0.0 lr=0.001 momentum=0.75 gamma=2.5"


def test_curves_and_final_values(facts):
    entry = make_entry(curve=[0.5, 0.7, 0.8], accuracy=0.8, stage="confirm", test={"accuracy": 0.75})
    child = child_of(entry, make_run(stage="confirm"), facts)
    assert points_of(child, "val_accuracy") == [(1, 0.5), (2, 0.7), (3, 0.8)]
    assert points_of(child, "train_loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert points_of(child, "learning_rate") == [(1, 1e-3), (2, 1e-3), (3, 1e-3)]
    assert points_of(child, "val_ece") == [(3, entry.record.validation["ece"])]
    assert points_of(child, "test_accuracy") == [(3, 0.75)]
    assert points_of(child, "duration_sec") == [(3, 2.0)]
    assert points_of(child, "epochs_done") == [(3, 3.0)]


def test_times_follow_the_epochs(facts):
    child = child_of(make_entry(num_epochs=4), make_run(), facts)
    times = {point.step: point.timestamp_ms - child.started_ms for point in child.points}
    assert times == {1: 500, 2: 1000, 3: 1500, 4: 2000}


@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_what_is_lost_failed_and_ends_at_the_worst_score(facts, status):
    child = child_of(make_entry(status=status, curve=[0.5, 0.6]), make_run(), facts)
    assert child.status == "FAILED"
    assert child.tags["losstune.status"] == status
    assert child.tags["mlflow.note.content"] == f"{status}: a gradient became NaN at epoch 1"
    assert points_of(child, "val_accuracy") == [(1, 0.5), (2, 0.6), (3, 0.0)]
    # An infinity would flatten MLflow's charts.
    assert all(math.isfinite(point.value) for point in child.points)
    assert points_of(child, "val_nll")[-1][0] == 2


def test_a_trial_lost_before_its_first_epoch(facts):
    child = child_of(make_entry(status="failed"), make_run(), facts)
    assert points_of(child, "val_accuracy") == [(1, 0.0)]


def test_stopping_early_is_no_failure(facts):
    child = child_of(make_entry(status="stopped"), make_run(), facts)
    assert child.status == "FINISHED"
    assert child.tags["losstune.status"] == "stopped"
    assert child.tags["mlflow.note.content"] == "stopped by ASHA: after 3 epochs other trials of its search were better"


def test_the_commit_is_the_one_that_trained(facts):
    record = make_record()
    execution = Execution(key=record.key, started_at=1.0, duration_sec=1.0, device="cpu", commit="abcdef0-dirty")
    here = facts.model_copy(
        update={
            "git": facts.git.model_copy(update={"commit": "abcdef0123" + "0" * 30, "branch": "topic", "dirty": False})
        }
    )
    tags = child_of(Entry(record=record, execution=execution), make_run(), here).tags
    assert tags["losstune.commit"] == "abcdef0-dirty"
    assert tags["losstune.dirty"] == tags["mlflow.source.git.dirty"] == "true"
    assert tags["mlflow.source.git.commit"] == "abcdef0123" + "0" * 30
    assert tags["mlflow.source.git.branch"] == "topic"
    elsewhere = here.model_copy(update={"git": here.git.model_copy(update={"commit": "1" * 40})})
    tags = child_of(Entry(record=record, execution=execution), make_run(), elsewhere).tags
    assert tags["mlflow.source.git.commit"] == "abcdef0"
    assert "mlflow.source.git.branch" not in tags


def test_tags_to_filter_by(facts):
    run = make_run(stage="confirm", families={"focal": "true-class"})
    entry = make_entry(loss="focal", stage="confirm", search=1, index=3)
    tags = child_of(entry, run, facts).tags
    assert (tags["losstune.family"], tags["losstune.block"], tags["losstune.search"]) == ("true-class", "1.3", "1")
    assert "losstune.block" not in child_of(make_entry(), make_run(), facts).tags


def test_outside_git_there_is_no_commit(facts):
    record = make_record()
    execution = Execution(key=record.key, started_at=1.0, duration_sec=1.0, device="cpu", commit=None)
    tags = child_of(Entry(record=record, execution=execution), make_run(), facts).tags
    assert not [name for name in tags if "commit" in name or "git" in name]


def test_the_dvc_experiment_is_on_parent_and_children(facts):
    facts = facts.model_copy(update={"dvc_experiment": "puny-axle", "dvc_baseline": "f" * 40})
    for tags in (child_of(make_entry(), make_run(), facts).tags, stage_tags(make_run(), facts)):
        assert tags["losstune.dvc_exp_name"] == "puny-axle"
        assert tags["losstune.dvc_exp_rev"] == "f" * 40


def test_the_parent_says_what_it_ran_on(facts):
    tags = stage_tags(make_run(), facts)
    assert tags["losstune.key"] == "a" * 64
    assert tags["losstune.version.torch"] == facts.versions["torch"]
    assert facts.hardware.cpu in tags["losstune.hardware"]
