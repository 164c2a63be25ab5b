"""What a command doesn't need it doesn't import: what takes long, by command, in a finished study."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.commands import clean_environment
from tests.test_pipeline import SMALL, write_params

COMPILER = {"torch._dynamo", "torch._inductor", "sympy"}
ALL = COMPILER | {"scipy.stats", "scipy.special", "statsmodels", "matplotlib", "mlflow", "ray", "torchvision"}
IMPORTED = {
    "check": set(),
    "losses list": set(),
    "prepare": {"scipy.stats", "scipy.special"},  # by scikit-learn, whose digits they are
    "tune": {"scipy.stats", "scipy.special"},  # for Sobol points
    "confirm": set(),
    "report": {"scipy.stats", "scipy.special", "matplotlib"},
}
SCRIPT = """
import sys
from losstune.cli.main import main

for command in ({commands}):
    main(command.split())
print(*({names} & set(sys.modules)))
"""


def run(folder, *commands):
    script = SCRIPT.format(commands="".join(f"{command!r}, " for command in commands), names=ALL)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("startup")
    write_params(folder, SMALL | {"model": {"name": "cnn", "width": 4, "depth": 1}, "training.epochs": 1})
    assert not COMPILER & run(folder, "prepare", "tune", "confirm", "report")
    return folder


@pytest.mark.parametrize("command", IMPORTED)
def test_a_command_imports_only_what_it_needs(command, finished):
    assert run(finished, command) == IMPORTED[command]
