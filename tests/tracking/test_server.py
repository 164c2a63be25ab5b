"""A tracking server as a team has it: MLflow on PostgreSQL, artifacts through the server, chosen by the environment."""

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

from losstune.tracking import TrainedModel, open_tracker, promote, sync, tracker
from tests.paths import REPOSITORY
from tests.tracking.conftest import make_entry, make_run
from tests.tracking.test_model import Classifier, images, softmax

pytestmark = pytest.mark.slow

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or (
    [Path(found).parent] if (found := shutil.which("initdb")) else []
)
SECRET = "planted-4711-password"
NUM_TRAININGS = 25


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def postgres():
    """A PostgreSQL of its own on the loopback address; its URI."""
    if not BINARIES:
        pytest.skip("no PostgreSQL here (Debian: apt-get install postgresql)")
    if importlib.util.find_spec("psycopg2") is None:
        pytest.skip("MLflow's server needs psycopg2 for PostgreSQL (pip install psycopg2-binary)")
    as_user = []
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    folder = Path(tempfile.mkdtemp(prefix="losstune-postgres-"))
    folder.chmod(0o777)
    port, binaries = free_port(), BINARIES[-1]

    def run(*command):
        subprocess.run([*as_user, *map(str, command)], check=True, cwd="/", stdout=subprocess.DEVNULL)

    run(binaries / "initdb", "-D", folder / "data", "-U", "mlflow", "--auth", "trust", "--no-sync")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    run(binaries / "pg_ctl", "-D", folder / "data", "-o", options, "-l", folder / "log", "-w", "start")
    try:
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
    finally:
        run(binaries / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def serving(postgres, artifacts, port):
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "2"]
    command += ["--backend-store-uri", postgres, "--serve-artifacts", "--artifacts-destination", str(artifacts)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + 120
            while True:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                        break
                except (urllib.error.URLError, ConnectionError):
                    assert time.monotonic() < deadline, "the server did not start"
                    time.sleep(0.3)
            yield
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture
def environment(monkeypatch):
    """A server chosen by the environment, with credentials that are nobody's business."""
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "someone")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return port


STUDY = """
import sys
from pathlib import Path
from losstune.config.schema import TrackingSettings
from losstune.tracking import open_tracker
from tests.tracking.conftest import make_entry, make_run
root, name, num = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
run = make_run(key=name * 64, name=f"tune {name}")
following = open_tracker(TrackingSettings(enabled=True, uri=None, experiment=None), "shared", root, run)
for index in range(num):
    following.log(make_entry(loss="focal", index=index, seed=ord(name), num_epochs=20))
summary = following.finish("FINISHED")
assert summary.problem is None, summary.problem
assert summary.num_logged == num
"""


def test_two_studies_at_once_on_postgresql(postgres, environment, tmp_path, root, settings):
    report = root / "report.html"
    report.write_text("<h1>verdict</h1>")
    with serving(postgres, tmp_path / "artifacts", environment):
        folders = [tmp_path / name for name in "ab"]
        studies = []
        for folder in folders:
            folder.mkdir()
            command = [sys.executable, "-c", STUDY, str(folder), folder.name, str(NUM_TRAININGS)]
            studies.append(
                subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            )
        outputs = [study.communicate(timeout=300)[0] for study in studies]
        assert [(study.returncode, output) for study, output in zip(studies, outputs, strict=True)] == [(0, "")] * 2
        client = MlflowClient()
        experiment = client.get_experiment_by_name("shared")
        runs = client.search_runs([experiment.experiment_id], max_results=1000)
        parents = {run.info.run_id: run.info.run_name for run in runs if "mlflow.parentRunId" not in run.data.tags}
        below = Counter(
            parents[run.data.tags["mlflow.parentRunId"]] for run in runs if "mlflow.parentRunId" in run.data.tags
        )
        assert below == {"tune a": NUM_TRAININGS, "tune b": NUM_TRAININGS}
        child = next(run for run in runs if "mlflow.parentRunId" in run.data.tags)
        assert len(client.get_metric_history(child.info.run_id, "val_accuracy")) == 20

        # The report and a model go through the server, and the registry works there as here.
        model = TrainedModel(module=Classifier(softmax), example=images(4), key="k", name="focal", card="# card")
        run = make_run(stage="report", key="c" * 64)
        summary = open_tracker(settings, "shared", root, run).finish("FINISHED", artifacts={report: ""}, models=[model])
        assert summary.problem is None
        fetched = client.download_artifacts(summary.run_id, "report.html", str(tmp_path))
        assert Path(fetched).read_text() == "<h1>verdict</h1>"
        (promotion,) = promote(settings, "shared", root, run, {"champion": "k"})
        (again,) = promote(settings, "shared", root, run, {"champion": "k"})
        assert (promotion.is_new, again.is_new) == (True, False)
        loaded = mlflow.pyfunc.load_model(promotion.address)
        np.testing.assert_allclose(loaded.predict(images(3)).sum(axis=1), 1, rtol=1e-5)
    for folder in (root, tmp_path):
        for path in folder.rglob("*"):
            assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


def test_a_server_that_dies_loses_nothing(postgres, environment, tmp_path, root, settings, monkeypatch):
    monkeypatch.setattr(tracker, "FIRST_RETRY_SEC", 0.1)
    entries = [make_entry(loss="focal", index=index) for index in range(12)]
    told = []
    with serving(postgres, tmp_path / "artifacts", environment):
        following = open_tracker(settings, "mortal", root, make_run(), on_problem=told.append)
        for entry in entries[:6]:
            following.log(entry)
        deadline = time.monotonic() + 60
        while following._worker._num_logged < 6 and time.monotonic() < deadline:
            time.sleep(0.05)
    for entry in entries[6:]:
        following.log(entry)
    summary = following.finish("FINISHED", timeout_sec=30)
    assert (summary.num_logged, summary.num_missing) == (6, 6)
    assert told == [summary.problem]
    assert "could not be reached; the records are kept" in summary.problem
    assert SECRET not in summary.problem
    with serving(postgres, tmp_path / "artifacts", environment):
        for _ in range(2):
            filled = sync(settings, "mortal", root, make_run(), entries)
            assert (filled.num_logged, filled.num_missing, filled.problem) == (12, 0, None)
        client = MlflowClient()
        runs = client.search_runs([client.get_experiment_by_name("mortal").experiment_id])
        assert len(runs) == 13
        assert {run.info.status for run in runs} == {"FINISHED"}
