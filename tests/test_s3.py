"""The DVC cache on S3-compatible storage, by configuration alone: what one machine has trained another has, too."""

import os
import shutil
import socket
import subprocess
import sys
import time
from functools import partial

import pytest

from tests.commands import DVC
from tests.commands import run as run_command
from tests.test_dvc_repro import make_checkout
from tests.test_pipeline import SMALL

pytestmark = pytest.mark.slow
pytest.importorskip("moto.server", reason="needs moto[server], an S3 server for tests")
pytest.importorskip("dvc_s3", reason="needs dvc-s3")

BUCKET = "studies"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "planted-secret", "AWS_DEFAULT_REGION": "eu-west-1"}


@pytest.fixture
def endpoint():
    """An S3 server on this machine, with an empty bucket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        import boto3

        url = f"http://127.0.0.1:{port}"
        client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name=KEYS["AWS_DEFAULT_REGION"],
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )
        for _ in range(120):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.5)
        client.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": KEYS["AWS_DEFAULT_REGION"]}
        )
        yield url, client
    finally:
        server.kill()
        server.wait()


def test_a_clone_keeps_what_another_machine_has_trained(tmp_path, endpoint):
    url, client = endpoint
    run = partial(run_command, **KEYS, AWS_ENDPOINT_URL=url)
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, losses in ((first, SMALL["losses"]), (second, [*SMALL["losses"], "gce"])):
        folder.mkdir()
        make_checkout(folder, SMALL | {"losses": losses, "resources.ledger": f"s3://{BUCKET}/study"})
    assert "kept 0, to train 18" in run(first, *DVC, "repro")
    names = [item["Key"] for item in client.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert sum(name.endswith(".json") and "/ledger/" in name for name in names) == 31
    assert sum("/registrations/" in name for name in names) == 1
    grown = run(second, *DVC, "repro")
    assert "ledger: took 31 finished trainings" in grown
    assert "kept 18, to train 6" in grown
    assert "kept 13, to train 3" in grown


def test_a_clone_pulls_from_s3_what_another_machine_pushed(tmp_path, endpoint):
    url, client = endpoint
    run = partial(run_command, **KEYS)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    make_checkout(first, SMALL)
    run(first, *DVC, "remote", "add", "-d", "store", f"s3://{BUCKET}/cache")
    run(first, *DVC, "remote", "modify", "store", "endpointurl", url)
    run(first, *DVC, "repro")
    run(first, *DVC, "push")
    assert client.list_objects_v2(Bucket=BUCKET)["KeyCount"] > 3
    git = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.com")
    run(first, *git, "add", "-A")
    run(first, *git, "commit", "-qm", "A finished study")

    run(tmp_path, "git", "clone", "-q", str(first), str(second))
    run(second, *DVC, "pull", "--allow-missing")
    for name in ("results/tune/trials.jsonl", "results/confirm/blocks.jsonl", "report/report.html"):
        assert (second / name).read_bytes() == (first / name).read_bytes(), name
    assert "Data and pipelines are up to date." in run(second, *DVC, "repro")
    assert not (second / ".losstune").exists()  # nothing was trained
    run(second, sys.executable, "-m", "losstune", "compare", "HEAD")

    # A result that is nowhere but on S3 is read from there.
    shutil.rmtree(second / ".dvc/cache")
    (second / "results/tune/trials.jsonl").unlink()
    compared = run(second, sys.executable, "-m", "losstune", "compare", "HEAD", "HEAD")
    assert "identical" in compared
    for folder in (first, second):
        for directory, _, names in os.walk(folder):
            for name in names:
                with open(os.path.join(directory, name), "rb") as file:
                    assert b"planted-secret" not in file.read(), name
