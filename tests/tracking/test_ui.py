import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from mlflow import MlflowClient

from losstune.tracking import locate, open_tracker
from losstune.tracking.ui import _route
from tests.paths import REPOSITORY
from tests.tracking.conftest import make_entry, make_run


def answer(port, path, body=None):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", body and json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        return reply.read().decode()


def test_the_printed_address_shows_the_studys_runs(settings, root):
    address = locate(settings, root)
    ids = {}
    for name in ("older", "newer"):
        summary = open_tracker(settings, name, root, make_run()).finish("FINISHED")
        client = MlflowClient(tracking_uri=address.uri)
        ids[name] = client.get_run(summary.run_id).info.experiment_id
    view = "runs?workflowType=machine_learning&viewStateShareKey=losstune-study"
    assert _route(address, "older") == f"/#/experiments/{ids['older']}/{view}"
    assert _route(address, None) == f"/#/experiments/{ids['newer']}/{view}"
    assert _route(locate(settings, root / "none"), "older") == "/#/experiments?workflowType=machine_learning"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_interface_shows_the_study_and_ends_with_its_command(settings, root, number):
    shutil.copy(REPOSITORY / "params.yaml", root)
    following = open_tracker(settings, "digits-cnn", root, make_run())
    following.log(make_entry(loss="focal", index=3))
    following.finish("FINISHED")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "losstune", "ui", "--port", str(port)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                try:
                    page = answer(port, "/")
                    break
                except (urllib.error.URLError, ConnectionError):
                    time.sleep(0.5)
            assert "MLflow" in page
            found = answer(port, "/ajax-api/2.0/mlflow/runs/search", {"experiment_ids": ["1", "2"]})
            assert "focal #0.3" in found
        finally:
            server.send_signal(number)
            server.wait(timeout=30)
    assert server.returncode == 130
    with pytest.raises(urllib.error.URLError):
        answer(port, "/")
