"""What a study asks a training for."""

from __future__ import annotations

import pytest

from losstune.config.load import load_params
from losstune.core.records import Configuration
from losstune.stages.study import open_study
from losstune.stages.workers import find_device
from losstune.training.task import Task
from tests.commands import losstune
from tests.test_pipeline import SMALL, write_params

CONFIGURATION = Configuration(loss="focal", hyperparameters={"gamma": 2.0}, learning_rate=0.01, weight_decay=0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_params(folder, SMALL)
    losstune(folder, "prepare")
    return folder


def opened(folder, **changes):
    (folder / "params.yaml").unlink()
    write_params(folder, SMALL | changes)
    return open_study(load_params(folder / "params.yaml"), folder, folder, find_device)


def test_a_task_has_the_settings_of_the_study(folder):
    study = opened(folder, **{"tune.metric": "macro_f1", "tune.secondary_metrics": ["auroc"]})
    usual = {
        "configuration": CONFIGURATION,
        "seeds": (7,),
        "model": study.params.model,
        "training": study.params.training,
        "device": "cpu",
        "metrics": ("auroc",),
        "score": "macro_f1",
    }
    assert study.params.training.precision == "float32"  # resolved
    assert study.task(CONFIGURATION, 7) == Task(**usual)
    assert study.task(CONFIGURATION, 7, test=True) == Task(**usual, test=True)
    assert study.task(CONFIGURATION, 7, test=True, keep_weights=True) == Task(**usual, test=True, keep_weights=True)


def test_trials_may_be_stopped_early_and_blocks_are_not(folder):
    asha = {"tune.scheduler": "asha", "tune.asha": {"grace_epochs": 1, "reduction_factor": 2}}
    study = opened(folder, **asha)
    assert study.task(CONFIGURATION, 7).early_stopping == "asha by accuracy, grace 1, factor 2"
    assert study.task(CONFIGURATION, 7, test=True).early_stopping is None
    assert opened(folder).task(CONFIGURATION, 7).early_stopping is None
