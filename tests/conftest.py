"""For the whole suite."""

from __future__ import annotations

import gc
import os
import subprocess

import pytest
import torch

from tests.paths import REPOSITORY


def pytest_addoption(parser):
    parser.addoption(
        "--full", action="store_true", help="hunt for faults of the losses as long as a user's check would"
    )


def pytest_configure():
    if "PYTEST_XDIST_WORKER" in os.environ:  # the processes that tests start share the cores, too
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_ignore_collect(collection_path, config):
    """With ``-m gpu``, skip files without such tests: a machine with a GPU may lack what these import."""
    if (
        config.option.markexpr == "gpu"
        and collection_path.suffix == ".py"
        and "mark.gpu" not in collection_path.read_text()
    ):
        return True
    return None


@pytest.fixture(scope="session", autouse=True)
def _thaw():
    """Undo what `losstune.core.gc_pause` froze: at exit nanobind would tell everything frozen here as leaked."""
    yield
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _no_verdicts_of_the_developers_own(tmp_path_factory):
    """Or advice would depend on whose machine this is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data_home")))
        yield


@pytest.fixture(scope="session")
def committed(tmp_path_factory):
    """The repository's files as Git has them, or where there is no Git, as they are.

    `make repro` changes results on another kind of CPU, and with other settings. What the pages quote is committed.
    """
    if not (REPOSITORY / ".git").exists():
        return REPOSITORY
    folder = tmp_path_factory.mktemp("committed")
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=REPOSITORY, stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["tar", "-x"], cwd=folder, input=archive, check=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _share_the_cores():
    """Beside other workers of pytest-xdist PyTorch's threads would wait for each other."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)
