"""A small study from data to verdict and registry, with secrets around it: where they end up, and whom it calls."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.commands import clean_environment
from tests.inputs.project import SMALL, Project
from tests.paths import REPOSITORY

pytestmark = pytest.mark.integration  # a study with MLflow whose every connection is watched

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "planted-in-aws",
    "MLFLOW_TRACKING_PASSWORD": "planted-in-password",
    "MLFLOW_TRACKING_TOKEN": "planted-in-token",
    "MLFLOW_TRACKING_URI": "http://me:planted-in-uri@127.0.0.1:9",
}
REMOTE = "https://me:planted-in-remote@git.example.org/me/study.git"
NOTES = "before\n"
CHANGED = f"""before
key {SECRETS["AWS_SECRET_ACCESS_KEY"]}
password {SECRETS["MLFLOW_TRACKING_PASSWORD"]}
token {SECRETS["MLFLOW_TRACKING_TOKEN"]}
server https://me:planted-@-in-address@mlflow.example.org/path
"""
COMMANDS = ("check", "prepare", "cost", "tune", "confirm", "report", "promote", "track sync", "log")

RUN = """
import ipaddress, json, sys

calls = []

def is_here(host):
    try:
        return host in (None, "", "localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

def watch(event, arguments):
    # Python tells its audit hooks of every call, whichever library makes it.
    if event in ("socket.connect", "socket.sendto", "socket.bind"):
        address = arguments[1]
        here = isinstance(address, (str, bytes)) or is_here(address[0])
        host = address if isinstance(address, (str, bytes)) else address[0]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
        here = is_here(host)
    else:
        return
    calls.append([event, str(host), here])
    if not here:
        raise ConnectionRefusedError(f"{event} {host}: a test forbids it")

sys.addaudithook(watch)
from losstune.cli.main import main

codes = {}
for command in json.loads(sys.argv[1]):
    try:
        main(command.split())
        codes[command] = 0
    except SystemExit as ended:
        codes[command] = ended.code or 0
try:
    __import__("socket").socket().connect(("192.0.2.1", 80))
except OSError as error:
    codes["a call to elsewhere"] = str(error)
with open(sys.argv[2], "w") as file:
    json.dump({"codes": codes, "calls": calls}, file)
"""


@dataclass(frozen=True)
class Done:
    """What came of the study."""

    folder: Path
    out: str
    err: str
    codes: dict[str, object]
    calls: list[tuple[str, str, bool]]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    above = tmp_path_factory.mktemp("security")
    folder = above / "study"
    folder.mkdir()
    settings = {
        "data.name": "digits",
        "losses": ["cross_entropy", "kl_divergence", "focal"],
        "data.root": "data/raw",
        "training.batch_size": 128,
        "tracking.enabled": True,
        "tracking.uri": "sqlite:///mlflow.db",
    }
    Project(folder, None, dict(SMALL) | settings).write()  # type: ignore[arg-type]
    (folder / "notes.txt").write_text(NOTES)
    (folder / ".gitignore").write_text("mlflow.db*\nmlruns/\n.losstune/\ndata/\nresults/\nreport/\n")
    for command in (
        ("init", "-q"),
        ("remote", "add", "origin", REMOTE),
        ("add", "."),
        ("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "A study"),
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    (folder / "notes.txt").write_text(CHANGED)
    kept = clean_environment()
    told = above / "told.json"
    ran = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(COMMANDS), str(told)],
        cwd=folder,
        env=kept | SECRETS | {"PYTHONPATH": str(REPOSITORY / "src")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(told.read_text())
    return Done(folder, ran.stdout, ran.stderr, found["codes"], [tuple(call) for call in found["calls"]])


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file below a folder but Git's own and the planted one; archives unpacked, too."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or ".git" in path.relative_to(folder).parts or path.name == "notes.txt":
            continue
        yield str(path), path.read_bytes()
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                yield from ((f"{path}:{name}", archive.read(name)) for name in archive.namelist())


def test_the_study_ran(done: Done) -> None:
    # Or it could have told nothing because it did nothing.
    codes = dict(done.codes)
    assert codes.pop("a call to elsewhere") == "socket.connect 192.0.2.1: a test forbids it"
    assert {command: code for command, code in codes.items() if code} == {}, done.err
    names = {Path(name).name for name, _ in contents(done.folder)}
    assert {"mlflow.db", "results.json", "report.html", "blocks.jsonl", "uncommitted.diff"} <= names
    assert any(".pt2" in name for name in names), "no model was attached"


def test_no_secret_is_written(done: Done) -> None:
    leaks = [name for name, content in contents(done.folder) if b"planted" in content]
    assert leaks == []


def test_no_secret_is_said(done: Done) -> None:
    assert "planted" not in done.out + done.err


def test_the_difference_is_kept_with_its_secrets_masked(done: Done) -> None:
    differences = [content.decode() for name, content in contents(done.folder) if name.endswith("uncommitted.diff")]
    assert len(differences) == 3  # of tune, confirm and report
    for text in differences:
        assert "+key ***\n+password ***\n+token ***\n+server https://mlflow.example.org/path\n" in text


def test_the_remote_is_kept_without_its_password(done: Done) -> None:
    database = (done.folder / "mlflow.db").read_bytes()
    assert b"https://git.example.org/me/study.git" in database


def test_nobody_is_called(done: Done) -> None:
    abroad = [call for call in done.calls if not call[2] and call[1] != "192.0.2.1"]
    assert abroad == []
