"""Two revisions and their runs in MLflow, against a real database."""

import pytest
from mlflow import MlflowClient

from losstune.stages.compare import compare_revisions, with_links


@pytest.fixture
def comparison(history_repo):
    return compare_revisions(history_repo.folder, "base", "range", force=False)


def test_runs_of_both_sides_and_what_their_versions_differ_in(comparison, history_repo, tmp_path, monkeypatch):
    monkeypatch.chdir(history_repo.folder)
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.create_experiment("study", artifact_location=str(tmp_path / "mlruns"))
    for revision, torch in ((comparison.a, "2.15.0"), (comparison.b, "2.16.0")):
        tags = {
            "losstune.role": "stage",
            "losstune.protocol_hash": revision.protocol,
            "losstune.version.torch": torch,
            "losstune.version.ray": "2.60",
        }
        client.create_run(experiment, run_name=f"report {revision.name}", tags=tags)
    linked = with_links(comparison, tmp_path)
    assert [(link.revision, link.run) for link in linked.links] == [("base", "report base"), ("range", "report range")]
    assert "The versions of the runs differ: torch 2.15.0 → 2.16.0." in linked.notes
