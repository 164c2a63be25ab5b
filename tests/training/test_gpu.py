"""Every recipe on a GPU, against the same training on the CPU: the draws are the same, and so is the first epoch.

``LOSSTUNE_TEST_DEVICE=cpu`` tries the tests themselves on a machine without a GPU.
"""

import os
from collections import Counter
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load

from losstune.config.metrics import NAMES, CostSettings
from losstune.config.settings import PolicySettings
from losstune.core.metric import STANDARD
from losstune.losses.registry import get, names
from losstune.models import build_network
from losstune.study.jobs import train_pack
from losstune.training import device_data, side_by_side
from losstune.training.device_data import DeviceData
from losstune.training.loop import train
from losstune.training.scores import Scorer
from losstune.training.side_by_side import train_side_by_side
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


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr("losstune.training.width._widths", {})
    DeviceData.forget()


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


def tasks_of(losses=("cross_entropy", "focal", "square", "kl_divergence"), **settings):
    settings = {"model": "cnn", "learning_rate": 3e-3, "test": True, "keep_weights": True} | settings
    tasks = [small_task(loss, seeds=(seed,), **settings) for seed, loss in enumerate(losses)]
    return [replace(task, device=DEVICE) for task in tasks]


def together(tasks, width, rungs=(), goes_on=lambda number, result: True):
    losses = [get(task.configuration.loss).bind({}) for task in tasks]
    found = {ended.number: ended for ended in train_side_by_side(tasks, losses, digits_arrays(), rungs, goes_on, width)}
    assert [ended.note for ended in found.values()] == [None] * len(tasks), "every group is captured"
    return [found[number].outcome for number in range(len(tasks))]


CAPTURED = {name: settings for name, settings in RECIPES.items() if name != "policies"}


@pytest.mark.parametrize("recipe", CAPTURED)
def test_packed_equals_alone_to_the_bit(recipe):
    tasks = tasks_of(**CAPTURED[recipe])
    assert together(tasks, width=4) == together(tasks, width=1)


@pytest.mark.parametrize("model", ["linear", "mlp", "cnn", "resnet", "resnet9", "torchvision:resnet18"])
def test_every_model_learns_and_packed_equals_alone(model):
    tasks = tasks_of(model=model, batch_size=16, precision="bfloat16" if "resnet" in model else "float32")
    packed = together(tasks, width=4)
    assert packed == together(tasks, width=1)
    for result in packed:
        assert result.status == "finished"
        assert result.curve[-1].train_loss < result.curve[0].train_loss


def test_every_loss_is_the_same_packed_as_alone():
    tasks = tasks_of([name for name in names() if name != "dropout"], model="mlp")
    assert together(tasks, width=64) == together(tasks, width=1)


@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "bi_tempered"])
def test_a_captured_training_is_the_one_that_launches_every_step(loss):
    (task,) = tasks_of([loss])
    (found,) = together([task], width=1)
    ((expected,),) = train(task, digits_arrays(), get(loss).bind({}))
    assert found.curve[0].train_loss == pytest.approx(expected.curve[0].train_loss, rel=1e-4)
    assert found.test["accuracy"] == pytest.approx(expected.test["accuracy"], abs=0.02)


def test_a_repetition_is_identical_to_the_bit():
    tasks = tasks_of()
    assert together(tasks, width=4) == together(tasks, width=4)


def test_the_control_is_exact_side_by_side():
    tasks = tasks_of(["cross_entropy", "kl_divergence"])
    first, second = together([replace(task, seeds=(3,)) for task in tasks], width=2)
    assert first == second


def test_one_that_diverges_and_one_that_is_stopped_leave_the_others_untouched():
    rates = (1e-2, 1e30, 3e-3, 1e-3, 1e-2)
    tasks = [
        replace(small_task(learning_rate=rate, seeds=(seed,), epochs=6), device=DEVICE)
        for seed, rate in enumerate(rates)
    ]
    packed = together(tasks, 5, rungs=(2, 4), goes_on=lambda number, result: number not in (2, 3))
    assert [result.status for result in packed] == ["finished", "diverged", "stopped", "stopped", "finished"]
    assert [len(result.curve) for result in packed] == [6, 0, 2, 2, 6]
    assert packed[::4] == together(tasks[::4], width=1)


def test_a_group_without_room_is_trained_again_in_halves(monkeypatch):
    real, sizes = side_by_side._Lanes.run_epoch, Counter()

    def run_epoch(lanes, epoch):
        sizes[len(lanes.members)] += 1
        if len(lanes.members) > 2:
            torch.empty(2**50, device=DEVICE)
        real(lanes, epoch)

    monkeypatch.setattr(side_by_side._Lanes, "run_epoch", run_epoch)
    tasks = tasks_of()
    if DEVICE == "cpu":
        pytest.skip("a CPU says nothing of its memory")
    assert together(tasks, width=4) == together(tasks, width=2)
    assert sizes.keys() == {4, 2}


def test_weights_saved_there_load_on_a_cpu():
    (task,) = tasks_of(["cross_entropy"])
    (result,) = together([task], width=1)
    network = build_network(task.model, (1, 8, 8), 10, get("cross_entropy").bind({}).head_options(10))
    network.load_state_dict(load(result.weights))
    arrays = digits_arrays()
    inputs = (torch.from_numpy(arrays.test_images).float() - arrays.mean[0]) / arrays.std[0]
    with torch.no_grad():
        predicted = network.eval()(inputs).argmax(1)
    accuracy = (predicted == torch.from_numpy(arrays.test_labels)).double().mean().item()
    assert accuracy == pytest.approx(result.test["accuracy"], abs=0.01)


def test_what_needs_the_host_is_trained_by_itself_and_says_why():
    tasks = tasks_of(["cross_entropy", "dropout"])
    packed = dict(train_pack(tasks, digits_arrays(), (), lambda number, result: True))
    assert [packed[number].results[0].status for number in (0, 1)] == ["finished", "finished"]
    if DEVICE == "cuda":
        assert packed[0].note is None
        assert packed[1].note == (
            "the network draws random numbers, such as dropout's, so that trainings follow one another on a GPU"
        )


def test_a_group_grows_and_gets_what_each_would_get_alone():
    tasks = tasks_of(["cross_entropy", "focal"] * 11, model="mlp")
    assert together(tasks, width=None) == together(tasks, width=1)
