from __future__ import annotations

import gc
import os
import tempfile
from functools import cache
from pathlib import Path

import pytest

from losstune.cli import main as cli
from tests.inputs.project import Project


@pytest.fixture(autouse=True, scope="module")
def _spared_collections() -> None:
    """Keep the garbage collector from looking through the libraries again and again; it takes a second each time."""
    gc.freeze()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Project:
    """A small study that is in order, and the working directory; a test breaks one thing of it."""
    for name in [name for name in os.environ if name.startswith(("DVC_", "MLFLOW_", "RAY_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(cli, "configure_environment", lambda: None)  # it is for a process of its own
    folder = tmp_path / "study"
    folder.mkdir()
    monkeypatch.chdir(folder)
    project = Project(folder, capfd)
    project.write_arrays()
    (folder / "params.yaml").write_text(_small_settings(), encoding="utf-8")
    return project


@cache
def _small_settings() -> str:
    with tempfile.TemporaryDirectory() as folder:
        Project(Path(folder), None).write()  # type: ignore[arg-type]
        return Path(folder, "params.yaml").read_text(encoding="utf-8")
