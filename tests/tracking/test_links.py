"""Run by run, against a real database of MLflow's."""

from mlflow import MlflowClient

from losstune.config.schema import TrackingSettings
from losstune.tracking.links import find_runs

PROTOCOL = "ab" * 32


def settings(uri=None):
    return TrackingSettings(enabled=True, uri=uri, experiment=None)


def test_without_a_database_none_is_made(tmp_path):
    runs, problem = find_runs(settings(), tmp_path, PROTOCOL)
    assert runs == []
    assert problem == "mlflow.db: no such database; `losstune track sync` fills it"
    assert list(tmp_path.iterdir()) == []


def test_stages_of_this_protocol_and_no_other_run(tmp_path):
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.create_experiment("study", artifact_location=str(tmp_path / "mlruns"))

    def run(name, **tags):
        named = {f"losstune.{key}": value for key, value in tags.items()}
        return client.create_run(experiment, run_name=name, tags=named).info.run_id

    wanted = run("report digits", role="stage", protocol_hash=PROTOCOL, commit="3f2a1bc")
    client.set_tag(wanted, "losstune.version.torch", "2.15.0")
    run("a training", role="block", protocol_hash=PROTOCOL)
    run("another study", role="stage", protocol_hash="cd" * 32)
    (found,), problem = find_runs(settings(), tmp_path, PROTOCOL)
    assert problem is None
    assert found.name == "report digits"
    assert found.url == f"http://127.0.0.1:5000/#/experiments/{experiment}/runs/{wanted}"
    assert (found.commit, found.versions) == ("3f2a1bc", {"torch": "2.15.0"})
    assert find_runs(settings(), tmp_path, "00" * 32) == ([], "no run has the protocol 000000000000")
