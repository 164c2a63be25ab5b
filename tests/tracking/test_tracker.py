import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest
from mlflow import MlflowClient

from losstune.config.schema import TrackingSettings
from losstune.tracking import open_tracker, sync, tracker
from losstune.tracking.address import locate
from losstune.tracking.runs import child_of, stage_tags
from losstune.tracking.store import Store
from tests.paths import REPOSITORY
from tests.tracking.conftest import make_entry, make_run


def make_entries():
    return [
        make_entry(loss="focal", index=0, hyperparameters={"gamma": 2.0}),
        make_entry(loss="focal", index=1, hyperparameters={"gamma": 3.5}, learning_rate=3e-4, accuracy=0.8),
        make_entry(loss="gce", index=0, status="diverged"),
    ]


def track(settings, root, entries, *, run=None, status="FINISHED", **ending):
    following = open_tracker(settings, "digits-cnn", root, run or make_run())
    for entry in entries:
        following.log(entry)
    return following.finish(status, **ending)


def name_without_values(run):
    return " ".join(part for part in run.info.run_name.split() if "=" not in part)


class Shown:
    """What MLflow shows of an experiment, read through its own client."""

    def __init__(self, root, name="digits-cnn"):
        self.client = MlflowClient(tracking_uri=f"sqlite:///{root}/mlflow.db")
        self.experiment = self.client.get_experiment_by_name(name)
        runs = self.client.search_runs([self.experiment.experiment_id]) if self.experiment else []
        self.parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        self.children = {name_without_values(run): run for run in runs if run not in self.parents}
        self.num_runs = len(runs)

    @property
    def parent(self):
        (parent,) = self.parents
        return parent


def test_opening_and_logging_take_no_time(settings, root):
    start = time.perf_counter()
    following = open_tracker(settings, "digits-cnn", root, make_run())
    for entry in make_entries():
        following.log(entry)
    assert time.perf_counter() - start < 0.2
    assert following.finish("FINISHED").num_logged == 3


def test_a_stage_and_its_trainings(settings, root):
    report = root / "report.html"
    report.write_text("<p>verdict</p>")
    plots = root / "plots"
    plots.mkdir()
    (plots / "a.png").write_bytes(b"png")
    summary = track(
        settings,
        root,
        make_entries(),
        metrics={"num_finished": 2.0},
        note="All is *well*.",
        artifacts={report: "", plots: "plots"},
    )
    shown = Shown(root)
    parent, focal = shown.parent, shown.children["focal #0.1"]
    assert (summary.problem, summary.num_missing, summary.run_id) == (None, 0, parent.info.run_id)
    assert shown.experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert (parent.info.run_name, parent.info.status) == ("tune digits cnn", "FINISHED")
    assert parent.data.params == {"model": "cnn", "epochs": "3", "label_noise": "0.0"}
    assert parent.data.metrics == {"num_finished": 2.0}
    assert parent.data.tags["mlflow.note.content"] == "All is *well*."
    assert shown.children.keys() == {"focal #0.0", "focal #0.1", "gce #0.0"}
    assert {child.data.tags["mlflow.parentRunId"] for child in shown.children.values()} == {parent.info.run_id}
    assert (focal.info.status, shown.children["gce #0.0"].info.status) == ("FINISHED", "FAILED")
    assert (focal.info.start_time, focal.info.end_time) == (1_700_000_000_000, 1_700_000_002_000)
    assert focal.data.params["focal.gamma"] == "3.5"
    assert focal.data.metrics["val_accuracy"] == 0.8
    history = shown.client.get_metric_history(focal.info.run_id, "val_accuracy")
    assert [(point.step, round(point.value, 3)) for point in history] == [(1, 0.7), (2, 0.75), (3, 0.8)]
    for run in (parent, focal):
        (dataset_input,) = run.inputs.dataset_inputs
        assert (dataset_input.dataset.name, dataset_input.dataset.digest) == ("digits", "d" * 16)
    artifacts = root / "mlruns" / "digits-cnn" / parent.info.run_id / "artifacts"
    assert Path(parent.info.artifact_uri) == artifacts
    assert (artifacts / "report.html").read_text() == "<p>verdict</p>"
    assert (artifacts / "plots" / "a.png").exists()


def test_a_training_is_found_by_its_settings(settings, root):
    track(settings, root, make_entries())
    shown = Shown(root)
    found = shown.client.search_runs(
        [shown.experiment.experiment_id],
        "params.model = 'cnn' and params.`focal.gamma` = '3.5' and metrics.val_accuracy > 0.7"
        " and tags.`losstune.stage` = 'tune'",
    )
    assert [run.info.run_name for run in found] == ["focal #0.1 lr=0.0003 gamma=3.5"]


def test_logging_twice_shows_once(settings, root):
    entries = make_entries()
    track(settings, root, [*entries, *entries])
    shown = Shown(root)
    assert shown.num_runs == 4
    history = shown.client.get_metric_history(shown.children["focal #0.0"].info.run_id, "val_accuracy")
    assert len(history) == 3


def test_the_duration_of_a_stage_that_went_on_is_its_time_at_work(settings, root):
    client = MlflowClient(tracking_uri=locate(settings, root).uri)
    run_id = open_tracker(settings, "digits-cnn", root, make_run()).finish("FINISHED").run_id
    an_hour_ago = client.get_run(run_id).info.start_time - 3_600_000
    with closing(sqlite3.connect(root / "mlflow.db")) as database, database:
        database.execute(
            "update runs set start_time = ?, end_time = ? where run_uuid = ?",
            (an_hour_ago, an_hour_ago + 60_000, run_id),
        )
    assert open_tracker(settings, "digits-cnn", root, make_run()).finish("FINISHED").run_id == run_id
    info = client.get_run(run_id).info
    assert info.status == "FINISHED"
    assert 60_000 <= info.end_time - info.start_time < 120_000


def test_a_resumed_stage_goes_on_in_its_parent(settings, root):
    entries = make_entries()
    first = track(settings, root, entries[:1], status="KILLED")
    assert Shown(root).parent.info.status == "KILLED"
    second = track(settings, root, entries)
    shown = Shown(root)
    assert first.run_id == second.run_id == shown.parent.info.run_id
    assert shown.parent.info.status == "FINISHED"
    assert (second.num_logged, second.num_elsewhere) == (3, 0)
    assert shown.num_runs == 4


def test_a_parent_is_running_while_it_runs(settings, root):
    track(settings, root, [], status="FAILED")
    following = open_tracker(settings, "digits-cnn", root, make_run())
    following.log(make_entries()[0])
    deadline = time.monotonic() + 30
    while not Shown(root).children and time.monotonic() < deadline:
        time.sleep(0.05)
    assert Shown(root).parent.info.status == "RUNNING"
    following.finish("FINISHED")


@pytest.mark.parametrize("is_own", [True, False])
def test_a_stage_that_was_killed_under_other_settings_is_ended_by_the_next(settings, root, facts, is_own):
    if not is_own:  # others may be at work there
        settings = settings.model_copy(update={"uri": f"sqlite:///{root}/mlflow.db"})
    killed = make_run()
    Store(locate(settings, root), "digits-cnn", killed, stage_tags(killed, facts))
    track(settings, root, [], run=make_run(key="b" * 64))
    statuses = {run.data.tags["losstune.key"][0]: run.info.status for run in Shown(root).parents}
    assert statuses == {"a": "KILLED" if is_own else "RUNNING", "b": "FINISHED"}


def test_a_training_left_half_written_is_completed(settings, root, facts):
    (entry, *_) = make_entries()
    run = make_run()
    store = Store(locate(settings, root), "digits-cnn", run, stage_tags(run, facts))
    child = child_of(entry, run, facts)
    tags = {**child.tags, "mlflow.parentRunId": store.parent_id}
    client = MlflowClient(tracking_uri=f"sqlite:///{root}/mlflow.db")
    experiment = client.get_experiment_by_name("digits-cnn").experiment_id
    client.create_run(experiment, start_time=child.started_ms, tags=tags, run_name=child.name)
    track(settings, root, [entry])
    shown = Shown(root)
    assert shown.num_runs == 2
    assert shown.children["focal #0.0"].info.status == "FINISHED"
    assert shown.children["focal #0.0"].data.metrics["val_accuracy"] == 0.9


def test_a_failure_that_is_tried_again_gives_way_to_what_comes_of_it(settings, root):
    failed = make_entry(loss="focal", status="failed")
    finished = make_entry(loss="focal")
    retried = finished.model_copy(
        update={
            "record": finished.record.model_copy(update={"key": failed.record.key}),
            "execution": finished.execution.model_copy(update={"key": failed.record.key}),
        }
    )
    track(settings, root, [failed])
    assert Shown(root).children["focal #0.0"].info.status == "FAILED"
    for _ in range(2):
        summary = track(settings, root, [retried])
    shown = Shown(root)
    assert (summary.num_logged, shown.num_runs) == (1, 2)
    assert shown.children["focal #0.0"].info.status == "FINISHED"
    assert shown.children["focal #0.0"].data.metrics["val_accuracy"] == 0.9


def test_the_verdict_stands_above_every_stage_of_its_study(settings, root):
    tags = {"protocol_hash": "e" * 64}
    track(settings, root, make_entries(), run=make_run(tags=tags), note="180 trials.")
    track(settings, root, [], run=make_run(key="b" * 64, name="other", tags={"protocol_hash": "f" * 64}), note="x")
    report = make_run(stage="report", key="c" * 64, name="report", tags=tags)
    for sentence in ("Keep it.", "Use focal.", "Use focal."):
        track(settings, root, [], run=report, note=sentence, tags={"verdict": "use"})
    parents = {run.info.run_name: run for run in Shown(root).parents}
    notes = {name: run.data.tags["mlflow.note.content"] for name, run in parents.items()}
    assert notes.keys() == {"tune digits cnn", "other", "report"}
    assert notes["report"] == "Use focal."
    assert notes["other"] == "x"
    where = f"runs/{parents['report'].info.run_id}/artifacts/report.html?workflowType=machine_learning"
    assert notes["tune digits cnn"].startswith("Verdict: Use focal. [The report](#/experiments/")
    assert notes["tune digits cnn"].endswith(f"{where})\n\n180 trials.")
    assert parents["report"].data.tags["losstune.verdict"] == "use"


def test_views_are_offered_and_what_a_person_changes_stays(settings, root):
    track(settings, root, [])
    shown = Shown(root)
    views = {tag: value for tag, value in shown.experiment.tags.items() if tag.startswith("mlflow.sharedViewState.")}
    assert {json.loads(value)["name"] for value in views.values()} == {
        "Stages and verdict",
        "All runs, nested",
        "Search: all trials",
        "Confirmation: all blocks",
    }
    for value in views.values():
        assert (
            shown.client.search_runs(
                [shown.experiment.experiment_id], json.loads(json.loads(value)["state"])["searchFilter"]
            )
            is not None
        )
    tag = next(iter(views))
    shown.client.set_experiment_tag(shown.experiment.experiment_id, tag, "mine")
    track(settings, root, [])
    assert Shown(root).experiment.tags[tag] == "mine"


def test_what_is_not_committed_is_kept_and_no_secret_with_it(settings, root, monkeypatch):
    work = root / "work tree"
    work.mkdir()
    monkeypatch.chdir(work)
    (work / "params.yaml").write_text("uri: null\n")
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], check=True)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "planted-in-environment")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "planted-too")
    (work / "params.yaml").write_text(
        "uri: https://me:planted-in-address@example.com\npassword: planted-in-environment\n"
    )
    (work / ".env").write_text("PASSWORD=planted-in-a-new-file\n")
    track(settings, root, make_entries())
    (kept,) = (root / "mlruns").rglob("uncommitted.diff")
    assert "+uri: https://example.com\n+password: ***\n" in kept.read_text()
    assert Shown(root).parent.data.tags["losstune.dirty"] == "true"
    for path in root.rglob("*"):
        if path.is_file() and work not in path.parents:
            assert b"planted" not in path.read_bytes(), path


def test_a_larger_study_names_what_an_earlier_run_shows(settings, root):
    entries = make_entries()
    track(settings, root, entries[:2])
    summary = track(settings, root, entries, run=make_run(key="b" * 64, name="tune again"))
    shown = Shown(root)
    assert (summary.num_logged, summary.num_elsewhere) == (1, 2)
    assert shown.num_runs == 5
    newer = next(run for run in shown.parents if run.info.run_name == "tune again")
    assert newer.data.tags["mlflow.note.content"].startswith("2 of 3 trainings were finished before")


def test_children_of_a_deleted_parent_come_to_the_new_one(settings, root):
    entries = make_entries()
    track(settings, root, entries)
    shown = Shown(root)
    shown.client.delete_run(shown.parent.info.run_id)
    summary = track(settings, root, entries)
    shown = Shown(root)
    assert summary.num_logged == 3
    assert {child.data.tags["mlflow.parentRunId"] for child in shown.children.values()} == {shown.parent.info.run_id}
    assert len(shown.children) == 3


def test_a_deleted_experiment_is_restored(settings, root):
    track(settings, root, make_entries()[:1])
    shown = Shown(root)
    shown.client.delete_experiment(shown.experiment.experiment_id)
    summary = track(settings, root, make_entries())
    assert summary.problem is None
    shown = Shown(root)
    assert shown.experiment.lifecycle_stage == "active"
    assert len(shown.children) == 3


def test_settings_that_differ_on_resuming_raise_nothing(settings, root):
    track(settings, root, [])
    summary = track(settings, root, make_entries(), run=make_run(params={"model": "cnn", "epochs": 4, "new": 1}))
    assert summary.problem is None
    assert Shown(root).parent.data.params["new"] == "1"
    assert Shown(root).parent.data.params["epochs"] == "3"


def test_long_curves_and_many_settings_pass_the_limits_of_a_batch(settings, root):
    entry = make_entry(num_epochs=400)
    run = make_run(params={f"setting_{number}": number for number in range(150)})
    assert track(settings, root, [entry], run=run).problem is None
    shown = Shown(root)
    child = shown.children["cross_entropy #0.0"]
    assert len(shown.client.get_metric_history(child.info.run_id, "train_loss")) == 400
    assert child.data.params["setting_149"] == "149"


def test_what_mlflow_rejects_does_not_stop_the_rest(settings, root):
    bad = make_entry(loss="focal", index=9, hyperparameters={"not&allowed": 1.0})
    summary = track(settings, root, [bad, *make_entries()])
    assert summary.num_missing == 1
    assert summary.num_logged == 3
    assert "focal #0.9" in summary.problem
    assert Shown(root).parent.info.status == "FINISHED"


def test_an_artifact_that_is_missing_is_told(settings, root):
    summary = track(settings, root, [], artifacts={root / "none.html": ""})
    assert "none.html: no such file" in summary.problem
    assert Shown(root).parent.info.status == "FINISHED"


def test_a_disabled_tracker_does_nothing(root):
    off = TrackingSettings(enabled=False, uri=None, experiment=None)
    before = (root / "mlflow.db").stat().st_mtime_ns
    summary = track(off, root, make_entries(), metrics={"x": 1.0})
    assert (summary.address, summary.problem, summary.num_missing) == (None, None, 0)
    assert (root / "mlflow.db").stat().st_mtime_ns == before
    assert not (root / "mlruns").exists()


def test_any_name_of_an_experiment_gives_a_folder_within_mlruns(settings, root):
    following = open_tracker(settings, "ours/../losses: 2026", root, make_run())
    for entry in make_entries():
        following.log(entry)
    assert following.finish("FINISHED").problem is None
    shown = Shown(root, "ours/../losses: 2026")
    assert len(shown.children) == 3
    assert Path(shown.experiment.artifact_location).parent == root / "mlruns"


def test_sync_restores_a_deleted_database(settings, root, empty_database):
    entries = make_entries()
    track(settings, root, entries)
    before = Shown(root)
    (root / "mlflow.db").unlink()
    shutil.rmtree(root / "mlruns", ignore_errors=True)
    moved = root.with_name("elsewhere")  # MLflow keeps a file that it has opened open
    root.rename(moved)
    shutil.copy(empty_database, moved / "mlflow.db")
    summary = sync(settings, "digits-cnn", moved, make_run(), entries, metrics={"num_finished": 2.0})
    after = Shown(moved)
    assert (summary.num_logged, summary.num_missing, summary.problem) == (3, 0, None)
    assert after.children.keys() == before.children.keys()
    for name, child in after.children.items():
        old = before.children[name]
        assert child.data.metrics == old.data.metrics
        assert child.data.params == old.data.params
        assert child.data.tags == old.data.tags | {"mlflow.parentRunId": after.parent.info.run_id}
        assert (child.info.status, child.info.start_time, child.info.end_time) == (
            old.info.status,
            old.info.start_time,
            old.info.end_time,
        )
    assert (after.parent.info.start_time, after.parent.info.end_time) == (1_700_000_000_000, 1_700_000_002_000)
    assert after.parent.data.metrics == {"num_finished": 2.0}
    # The commit is the trainings', not that of whoever fills MLflow in.
    assert after.parent.data.tags["losstune.commit"] == "0" * 7


def test_sync_adds_nothing_to_what_is_shown(settings, root):
    entries = make_entries()
    track(settings, root, entries, metrics={"num_finished": 2.0})
    before = Shown(root)
    sync(settings, "digits-cnn", root, make_run(), entries, metrics={"num_finished": 2.0}, status="KILLED")
    after = Shown(root)
    assert (after.parent.info.status, after.parent.info.end_time) == ("FINISHED", before.parent.info.end_time)
    assert after.num_runs == before.num_runs
    assert after.parent.data.tags == before.parent.data.tags
    assert len(after.client.get_metric_history(after.parent.info.run_id, "num_finished")) == 1


def test_sync_ends_a_parent_whose_execution_lost_the_server(settings, root):
    track(settings, root, make_entries()[:1], status="FAILED")
    sync(settings, "digits-cnn", root, make_run(), make_entries())
    assert Shown(root).parent.info.status == "FINISHED"


def test_sync_with_tracking_off_says_so(root):
    off = TrackingSettings(enabled=False, uri=None, experiment=None)
    assert "tracking.enabled is false" in sync(off, "x", root, make_run(), []).problem


def test_deleted_artifacts_come_back(settings, root):
    report = root / "report.html"
    report.write_text("verdict")
    track(settings, root, make_entries(), artifacts={report: ""})
    shutil.rmtree(root / "mlruns")
    sync(settings, "digits-cnn", root, make_run(), make_entries(), artifacts={report: ""})
    parent = Shown(root).parent
    assert (Path(parent.info.artifact_uri) / "report.html").read_text() == "verdict"


def test_a_moved_folder_is_explained(settings, root):
    report = root / "report.html"
    report.write_text("verdict")
    track(settings, root, make_entries(), artifacts={report: ""})
    moved = root.with_name("moved")
    root.rename(moved)
    summary = track(settings, moved, make_entries(), artifacts={moved / "report.html": ""})
    assert "was it moved?" in summary.problem
    assert summary.num_missing == 0
    assert not root.exists()


@pytest.fixture
def closed_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def test_a_dead_server_is_reported_once_and_loses_nothing(root, closed_port, monkeypatch, settings):
    monkeypatch.setattr(tracker, "FIRST_RETRY_SEC", 0.05)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    dead = TrackingSettings(enabled=True, uri=f"http://me:secret@127.0.0.1:{closed_port}", experiment=None)
    told = []
    following = open_tracker(dead, "digits-cnn", root, make_run(), on_problem=told.append)
    for entry in make_entries():
        following.log(entry)
    time.sleep(0.5)
    start = time.monotonic()
    summary = following.finish("FINISHED")
    assert time.monotonic() - start < 20
    assert len(told) == 1
    assert told[0] == summary.problem
    assert summary.problem == (
        f"MLflow at http://127.0.0.1:{closed_port}: it could not be reached; the records are kept, and "
        "`losstune track sync` adds them to MLflow later"
    )
    assert (summary.num_missing, summary.num_logged, summary.run_id) == (3, 0, None)
    assert sync(settings, "digits-cnn", root, make_run(), make_entries()).num_logged == 3


def test_a_server_that_never_answers_is_waited_for_a_bounded_time(root, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        slow = TrackingSettings(enabled=True, uri=uri, experiment=None)
        following = open_tracker(slow, "digits-cnn", root, make_run())
        following.log(make_entries()[0])
        start = time.monotonic()
        summary = following.finish("FINISHED", timeout_sec=0.5)
        assert time.monotonic() - start < 2
    following._worker.join(30)  # its thread would otherwise reach into the next test
    assert not following._worker.is_alive()
    assert summary.num_missing == 1
    assert "losstune track sync" in summary.problem


class Flaky(Store):
    """A store whose server is away at first, and goes away again before the second training."""

    outages: ClassVar = []

    def __init__(self, *arguments, **keywords):
        self.stumble("opening")
        super().__init__(*arguments, **keywords)

    def log_child(self, child):
        if child.name.startswith("focal #0.1 "):
            self.stumble("logging")
        return super().log_child(child)

    def stumble(self, when):
        if when not in self.outages:
            self.outages.append(when)
            raise ConnectionError(f"{when} failed")


def test_a_server_that_comes_back_gets_everything(settings, root, monkeypatch):
    monkeypatch.setattr(tracker, "FIRST_RETRY_SEC", 0.05)
    monkeypatch.setattr(tracker, "Store", Flaky)
    told = []
    following = open_tracker(settings, "digits-cnn", root, make_run(), on_problem=told.append)
    for entry in make_entries():
        following.log(entry)
    deadline = time.monotonic() + 30
    while len(Shown(root).children) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    summary = following.finish("FINISHED")
    assert Flaky.outages == ["opening", "logging"]
    assert [text.split(": ")[1].split(";")[0] for text in told] == ["opening failed"]
    assert (summary.problem, summary.num_missing, summary.num_logged) == (None, 0, 3)
    shown = Shown(root)
    assert len(shown.children) == 3
    assert shown.parent.info.status == "FINISHED"


QUIET = """
import sys
from losstune.config.schema import TrackingSettings
from losstune.tracking import open_tracker
from tests.tracking.conftest import make_entry, make_run
from contextlib import closing
from pathlib import Path
assert "mlflow" not in sys.modules
for uri in (None, sys.argv[2]):
    settings = TrackingSettings(enabled=True, uri=uri, experiment=None)
    following = open_tracker(settings, "digits-cnn", Path(sys.argv[1]), make_run())
    following.log(make_entry())
    following.finish("FINISHED")
"""


def test_not_a_word_reaches_the_user_from_a_fresh_database_or_a_dead_server(tmp_path, closed_port, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    done = subprocess.run(
        [sys.executable, "-c", QUIET, str(tmp_path), f"http://127.0.0.1:{closed_port}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
    assert len(Shown(tmp_path).children) == 1
