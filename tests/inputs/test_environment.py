"""A machine that is not as a study wants it: servers, ports, folders, GPUs, Ray."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from losstune.tracking import tracker
from tests.inputs.project import Project, assert_says

UNWRITABLE = Path("/proc/losstune")
"""Where nobody can make a folder, root included; on Linux."""


@pytest.fixture
def port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        number: int = held.getsockname()[1]
    return number


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of this machine on which somebody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]


# Ports and hosts


def test_a_port_in_use(project: Project, taken: int) -> None:
    line = project.refused("ui", "--port", str(taken))
    assert line == f"port {taken} of 127.0.0.1 is taken; `--port` chooses another"


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("192.0.2.1", "--host: 192.0.2.1 is no address of this machine; expected, say, 127.0.0.1"),
        ("", "--host: found '', expected a name or an address of this machine"),
        ("no host", "--host: found 'no host', expected a name or an address of this machine"),
        ("a" * 70, f"--host: found '{'a' * 70}', expected a name or an address of this machine"),
    ],
)
def test_a_host_that_is_not_this_machine(project: Project, port: int, host: str, message: str) -> None:
    assert project.refused("ui", "--port", str(port), "--host", host) == message


def test_the_interface_of_a_study_on_a_server(project: Project) -> None:
    project.write({"tracking.enabled": True, "tracking.uri": "https://me:planted@mlflow.example.org"})
    assert project.refused("ui") == (
        "tracking.uri: the study is tracked at https://mlflow.example.org; open that address in a browser"
    )


# A tracking server that can't be used doesn't stop a study: docs/mlflow.md, "On a server"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(tracker, "FIRST_RETRY_SEC", 0.05)


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        pytest.param(
            "http://me:planted@127.0.0.1:{port}",
            "MLflow at http://127.0.0.1:{port}: it could not be reached",
            marks=pytest.mark.integration,
        ),
        ("htp://me:planted@nowhere", "MLflow at htp://nowhere: MLflow does not support this address; expected http"),
        ("sqlite:////proc/mlflow.db", "MLflow at /proc/mlflow.db: [Errno 2] No such file or directory"),
    ],
    ids=["away", "of no known kind", "in a folder that cannot be written"],
)
@pytest.mark.usefixtures("impatient")
def test_a_study_goes_on_without_mlflow_and_says_so_once(project: Project, port: int, uri: str, told: str) -> None:
    project.write({"tracking.enabled": True, "tracking.uri": uri.format(port=port)})
    assert project.run("prepare").code == 0
    ended = project.run("tune")
    assert ended.code == 0
    said = [line for line in ended.err.splitlines() if not line.startswith("tune")]
    assert len(said) == 1
    assert said[0].startswith(told.format(port=port))
    assert said[0].endswith("the records are kept, and `losstune track sync` adds them to MLflow later")
    assert "planted" not in ended.out + ended.err
    assert len((project.folder / "results/tune/trials.jsonl").read_text().splitlines()) == 4
    # What is asked of MLflow alone is refused.
    if not uri.startswith("http"):  # which would be waited for once more
        assert_says(project.refused("track", "sync"), told.format(port=port))


@pytest.mark.usefixtures("impatient")
def test_bad_credentials_are_told_without_them(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Refuses(BaseHTTPRequestHandler):
        def _refuse(self) -> None:
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = _refuse

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "planted-user")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "planted-password")
    with HTTPServer(("127.0.0.1", 0), Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        project.write({"tracking.enabled": True, "tracking.uri": address})
        assert project.run("prepare").code == 0
        ended = project.run("tune")
        server.shutdown()
    said = [line for line in ended.err.splitlines() if not line.startswith("tune")]
    assert ended.code == 0
    assert len(said) == 1
    assert_says(said[0], f"MLflow at {address}: … 401 … the records are kept, and `losstune track sync` adds")
    assert "planted" not in ended.out + ended.err


# Folders that can't be written


def test_a_root_that_cannot_be_written(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert project.run("prepare").code == 0
    monkeypatch.setenv("DVC_ROOT", str(UNWRITABLE))
    assert_says(project.refused("tune"), "/proc/losstune/.losstune: cannot be written: ")


def test_a_folder_for_data_that_cannot_be_written(project: Project) -> None:
    (project.folder / "data").symlink_to("/proc")
    assert_says(project.refused("prepare"), ["/proc: No such file or directory", "/data"][1])


@pytest.mark.parametrize(
    ("command", "in_the_way", "message"),
    [("prepare", "data", "study/data: "), ("tune", ".losstune", "study/.losstune: cannot be written: File exists")],
)
def test_a_file_in_the_place_of_a_folder(project: Project, command: str, in_the_way: str, message: str) -> None:
    assert project.run("prepare").code == 0
    shutil.rmtree(project.folder / in_the_way, ignore_errors=True)
    if command == "prepare":
        shutil.rmtree(project.folder / "data", ignore_errors=True)
    (project.folder / in_the_way).write_text("in the way")
    assert_says(project.refused(command), message)


def test_a_full_disk(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28), "somewhere")

    monkeypatch.setattr(os, "fsync", full)
    expected = "somewhere: No space left on device; finished trainings are kept: fix this and run again"
    assert project.refused("prepare") == expected
    with pytest.raises(OSError, match="No space left"):
        project.run("--debug", "prepare")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into a read-only folder")
def test_a_read_only_folder(project: Project) -> None:
    project.folder.chmod(0o555)
    try:
        assert_says(project.refused("prepare"), "Permission denied")
    finally:
        project.folder.chmod(0o755)


# A shared ledger


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s4://bucket/study", "s4://bucket/study: Protocol not known: s4; expected a folder or the URL"),
        ("ftp://me:planted@host/study", "ftp://host/study: credentials belong in the environment"),
        ("params.yaml", "params.yaml: is a file; expected a folder or the URL"),
    ],
)
def test_a_shared_ledger_that_is_none(project: Project, url: str, message: str) -> None:
    project.write({"resources.ledger": url})
    assert project.run("prepare").code == 0
    assert_says(project.refused("tune"), f"resources.ledger: {message}")


def test_a_shared_ledger_that_is_away(project: Project, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("s3fs", reason="needs dvc-s3")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "planted")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    project.write({"resources.ledger": "s3://bucket/study"})
    assert project.run("prepare").code == 0
    assert_says(project.refused("tune"), f"resources.ledger: s3://bucket/study: … http://127.0.0.1:{port}/")


# Devices and clusters


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_where_one_is_asked_for(project: Project) -> None:
    project.write({"resources.device": "cuda"})
    assert project.run("prepare").code == 0
    assert project.refused("tune") == (
        "resources.device: found 'cuda', but PyTorch sees no GPU here; expected auto or cpu"
    )


def test_a_ray_that_does_not_answer(project: Project, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def wait(*_: object, **__: object) -> None:
        raise AssertionError("Ray was asked, though nobody listens there")

    monkeypatch.setattr(ray, "init", wait)
    project.write({"resources.executor": "ray", "resources.ray_address": f"127.0.0.1:{port}"})
    assert project.run("prepare").code == 0
    ended = project.run("tune")
    assert ended.code == 2
    assert_says(ended.err, f"losstune: resources.ray_address: no Ray answers at '127.0.0.1:{port}'")


def test_data_that_was_prepared_under_other_settings(project: Project) -> None:
    assert project.run("prepare").code == 0
    project.write({"data.label_noise": 0.2})
    assert project.refused("tune") == (
        "data/prepared: was prepared with data.label_noise 0.0, but params.yaml has 0.2; `dvc repro` or "
        "`losstune prepare` writes it again"
    )


def test_check_refuses_a_gpu_that_is_not_there(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    project.write({"resources.device": "cuda"})
    assert_says(project.refused("check"), "resources.device: found 'cuda', but PyTorch sees no GPU here")


def test_before_the_first_commit_nothing_is_suggested(project: Project) -> None:
    subprocess.run(["git", "init", "-q"], cwd=project.folder, check=True)
    for command in (("log",), ("compare", "HEAD")):
        line = project.refused(*command)
        assert_says(line, "the repository has no commit yet")
        assert "did you mean" not in line
