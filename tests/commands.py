"""Commands as a user runs them, untouched by what the tests' own environment says of DVC, MLflow and Ray."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DVC = [sys.executable, "-m", "dvc"]


def clean_environment() -> dict[str, str]:
    """Return the environment without what is said there of DVC, MLflow and Ray."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_", "RAY_"))
    }


def environment() -> dict[str, str]:
    """Return a clean environment in which ``losstune`` is found by its name, as DVC's stages need it."""
    return clean_environment() | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def run(folder: Path, *command: str, **variables: str) -> str:
    """Run a command to its end, which has to be a good one; return what it says."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment() | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
