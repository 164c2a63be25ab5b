"""Commands as a user runs them, untouched by what the tests' own environment says of DVC, MLflow and Ray."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

from losstune.cli.main import main

DVC = [sys.executable, "-m", "dvc"]
LOSSTUNE = [sys.executable, "-m", "losstune"]


def clean_environment() -> dict[str, str]:
    """Return the environment without what is said there of DVC, MLflow and Ray."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_", "RAY_"))}


def environment() -> dict[str, str]:
    """Return a clean environment in which ``losstune`` is found by its name, as DVC's stages need it."""
    return clean_environment() | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def run(folder: Path, *command: str, **variables: str) -> str:
    """Run a command to its end, which has to be a good one; return what it says."""
    done = subprocess.run(
        command, cwd=folder, env=environment() | variables, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def losstune(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run losstune in this process, which saves the imports of a new one: several seconds each."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.dict(os.environ, clean_environment(), clear=True),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main(list(arguments))
        except SystemExit as ended:
            code = int(ended.code or 0)
    done = subprocess.CompletedProcess([*LOSSTUNE, *arguments], code, out.getvalue(), err.getvalue())
    assert not check or code == 0, done.stderr
    return done


def losstune_process(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run losstune in a process of its own, where the test is about that: its end, its warnings, its workers."""
    done = subprocess.run(
        [*LOSSTUNE, *arguments],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert not check or done.returncode == 0, done.stderr
    return done
