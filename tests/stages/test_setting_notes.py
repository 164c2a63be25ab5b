import pytest

from losstune.config.schema import Params
from losstune.stages.checked import hints
from losstune.stages.setting_notes import setting_notes

RANGE = {"low": 0.5, "high": 0.9, "scale": "linear", "default": 0.8}
LOOP = "training.momentum: searched, so your loop has to apply it, from job.settings"


@pytest.mark.parametrize(
    ("training", "searched", "notes"),
    [
        ({}, {}, []),
        ({"momentum": 0.8}, {}, ["training.momentum has no effect with training.optimizer: adamw"]),
        ({"momentum": 0.8, "optimizer": "sgd"}, {}, []),
        ({}, {"momentum": RANGE}, ["training.momentum has no effect with training.optimizer: adamw"]),
        ({"optimizer": "rmsprop"}, {"momentum": RANGE}, []),
        ({"betas": [0.8, 0.9], "optimizer": "sgd"}, {}, ["training.betas has no effect with training.optimizer: sgd"]),
        ({"step_factor": 0.2}, {}, ["training.step_factor has no effect with training.schedule: cosine"]),
        ({"step_factor": 0.2, "step_every": 2, "schedule": "step"}, {}, []),
        ({"loop": "mine.py:train", "betas": [0.8, 0.9]}, {}, []),
        ({"loop": "mine.py:train"}, {"momentum": RANGE}, [LOOP]),
    ],
)
def test_what_has_no_effect_is_said(training, searched, notes):
    params = Params.model_validate({"training": training, "search_space": {"training": searched}})
    assert list(setting_notes(params)) == notes


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_noisy_splits_without_noise(tmp_path, noise):
    params = Params.model_validate({"data": {"noisy_splits": ["test"], "label_noise": noise}})
    line = ("data", "data.noisy_splits has no effect with data.label_noise: 0")
    assert (line in hints(params, {}, tmp_path)) == (noise == 0)


def test_a_factor_of_layers_that_are_frozen():
    searched = {"training": {"backbone_factor": RANGE}}
    note = "search_space.training.backbone_factor has no effect with model.freeze: backbone"
    assert list(setting_notes(Params.model_validate({"search_space": searched}))) == []
    assert list(setting_notes(Params.model_validate({"search_space": searched, "model": {"freeze": "backbone"}}))) == [
        note
    ]
