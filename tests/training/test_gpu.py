"""Every recipe on a GPU, against the same training on the CPU: the draws are the same, and so is the first epoch.

``LOSSTUNE_TEST_DEVICE=cpu`` tries the tests themselves on a machine without a GPU.
"""

import os
from dataclasses import replace

import pytest
import torch

from losstune.config.metrics import NAMES, CostSettings
from losstune.config.settings import PolicySettings
from losstune.core.metric import STANDARD
from losstune.losses.registry import get
from losstune.training import device_data
from losstune.training.device_data import DeviceData
from losstune.training.loop import train
from losstune.training.scores import Scorer
from tests.small import digits_arrays, small_task
from tests.training.test_metrics import draw

pytestmark = pytest.mark.gpu

DEVICE = os.environ.get("LOSSTUNE_TEST_DEVICE", "cuda")
RECIPES = {
    "plain": {},
    "sgd": {"optimizer": "sgd"},
    "rmsprop": {"optimizer": "rmsprop"},
    "muon": {"optimizer": "muon"},
    "policies": {
        "augmentation": tuple(
            PolicySettings(name=name) for name in ("crop", "flip", "trivial_augment", "random_erasing", "cutout")
        )
    },
    "mixup and cutmix": {"mixup": 0.4, "cutmix": 1.0},
    "class weights": {"class_weights": "balanced", "mixup": 0.2},
    "clipping and accumulation": {"clip_norm": 0.5, "accumulation": 2},
    "averaged weights": {"ema": 0.9},
    "one cycle": {"schedule": "one_cycle"},
    "patience": {"patience": 1},
    "balanced sampling": {"sampling": "balanced"},
}


def run(device, loss, **settings):
    task = replace(small_task(loss, model="cnn", test=True, learning_rate=3e-3, **settings), device=device)
    DeviceData.forget()
    (results,) = train(task, digits_arrays(), get(loss).bind({}))
    return results[0]


@pytest.mark.parametrize("loss", ["cross_entropy", "brier"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_the_same_on_a_gpu(recipe, loss):
    ours, expected = (run(device, loss, **RECIPES[recipe]) for device in (DEVICE, "cpu"))
    assert ours.status == "finished"
    assert ours.curve[0].train_loss == pytest.approx(expected.curve[0].train_loss, rel=0.01)
    assert ours.test["accuracy"] == pytest.approx(expected.test["accuracy"], abs=0.06)


def test_the_control_is_exact_on_a_gpu():
    for settings in RECIPES.values():
        first, second = (run(DEVICE, loss, **settings) for loss in ("cross_entropy", "kl_divergence"))
        assert first.curve == second.curve
        assert first.test == second.test


def test_data_that_does_not_fit_follows_batch_by_batch_to_the_same_bit(monkeypatch):
    monkeypatch.setattr(device_data, "FLOAT_CACHE_BYTES", 0)
    found = []
    for fits in (True, False):
        monkeypatch.setattr(device_data, "_fits", lambda images, fits=fits: fits)
        DeviceData.forget()
        found.append(run(DEVICE, "cross_entropy", keep_weights=True, augmentation="crop"))
    assert found[0].weights == found[1].weights
    assert found[0].test == found[1].test


def test_every_metric_is_the_same_on_a_gpu():
    """Up to the rounding of sums; counts and rankings are exact."""
    probabilities, target = draw(2000, 10, seed=8)
    target[target == 3] = 0
    costs = CostSettings(name="expected_cost", costs=tuple(map(tuple, (1 - torch.eye(10)).tolist())))
    task = small_task(metrics=(*(name for name in NAMES if name not in STANDARD), costs))
    expected = Scorer(task).scores(probabilities, target)
    scorer, inputs = Scorer(replace(task, device=DEVICE)), (probabilities.to(DEVICE), target.to(DEVICE))
    found = scorer.scores(*inputs)
    assert found == pytest.approx(expected, abs=1e-6)
    assert scorer.scores(*inputs) == found
