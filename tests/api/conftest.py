"""A tiny study from Python, made once: real trainings of a few milliseconds each."""

import linecache
import shutil
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

import losstune
from losstune.core import live_code, local_code
from losstune.losses import registry
from tests.shared import forget_own_code

SETTINGS = {
    "model": {"width": 8, "depth": 1},
    "training": {"batch_size": 64, "precision": "float32"},
    "tune": {"trials_per_loss": 2},
    "confirm": {"num_blocks": 2},
    "resources": {"executor": "inline", "device": "cpu"},
}
LOSSES = ["cross_entropy", "kl_divergence", "focal"]


@pytest.fixture(autouse=True)
def notebook(tmp_path, monkeypatch):
    """A working directory of its own, and a process that has no own code yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(live_code, "_objects", {})
    monkeypatch.setattr(local_code, "_folder", None)
    monkeypatch.setattr(registry, "_own", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("my_code", None)  # which a test imports by itself
    forget_own_code()


@pytest.fixture(scope="session")
def arrays():
    digits = load_digits()
    return digits.images[:400].astype(np.uint8), digits.target[:400]


def make_study(data, model="mlp", losses=LOSSES, **given):
    settings = {**SETTINGS, **given.pop("settings", {})}
    return losstune.Study(data, model, losses, epochs=given.pop("epochs", 1), settings=settings, **given)


@pytest.fixture(scope="session")
def finished(tmp_path_factory, arrays):
    """Folder of a finished study of the arrays; a test that changes files takes a copy."""
    folder = tmp_path_factory.mktemp("finished")
    make_study(arrays, folder=folder).run()
    return folder


@pytest.fixture
def copy_of_finished(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def cell(source, name, **variables):
    """Return what a cell of a notebook defines."""
    file = f"<cell {len(linecache.cache)}>"
    linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
    namespace = {"__name__": "__main__", **variables}
    exec(compile(source, file, "exec"), namespace)
    return namespace[name]
