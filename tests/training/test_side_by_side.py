"""Trainings side by side against each by itself: the code that a CUDA graph holds, run on the CPU step by step."""

from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from losstune.config.metrics import NAMES
from losstune.config.settings import OwnSettings, PolicySettings
from losstune.core.metric import STANDARD
from losstune.losses.registry import get, names
from losstune.training import device_data, side_by_side
from losstune.training.device_data import DeviceData
from losstune.training.loop import train
from losstune.training.side_by_side import Alone, train_side_by_side
from losstune.training.width import Width
from tests.small import digits_arrays, small_task

RECIPES = {
    "plain": {},
    "sgd": {"optimizer": "sgd"},
    "sgd without momentum": {"optimizer": "sgd", "momentum": 0.0},
    "adam": {"optimizer": "adam"},
    "rmsprop": {"optimizer": "rmsprop"},
    "muon": {"optimizer": "muon"},
    "flips and crops": {"augmentation": "flip_crop"},
    "policies": {"augmentation": tuple(PolicySettings(name=name) for name in ("crop", "flip", "cutout"))},
    "mixup": {"mixup": 0.4},
    "cutmix": {"cutmix": 1.0},
    "mixup and cutmix": {"mixup": 0.4, "cutmix": 1.0, "augmentation": "crop"},
    "class weights": {"class_weights": "balanced", "mixup": 0.2},
    "clipping and accumulation": {"clip_norm": 0.5, "accumulation": 3, "cutmix": 1.0},
    "one cycle": {"schedule": "one_cycle"},
    "warm-up and steps": {"schedule": "step", "step_every": 1, "warmup_fraction": 0.3},
    "patience": {"patience": 1, "epochs": 6},
    "balanced sampling": {"sampling": "balanced"},
    "averaged weights": {"ema": 0.9},
    "averaged weights and patience": {"ema": 0.5, "patience": 1, "epochs": 6, "clip_norm": 0.5},
    "bfloat16": {"precision": "bfloat16"},
}


def loss_of(task):
    return get(task.configuration.loss).bind(task.configuration.hyperparameters)


def alone(task, arrays=None, rungs=(), goes_on=lambda number, result: True):
    for (result,) in train(task, arrays or digits_arrays(), loss_of(task), rungs):
        if result.status == "stopped" and not goes_on(0, result):
            break
    return result


def together(tasks, arrays=None, rungs=(), goes_on=lambda number, result: True, width=None):
    """Return the outcome of each task, in their order; each ends once."""
    found = {}
    for ended in train_side_by_side(tasks, list(map(loss_of, tasks)), arrays or digits_arrays(), rungs, goes_on, width):
        assert ended.number not in found
        assert ended.duration_sec >= 0
        found[ended.number] = ended.outcome
    return [found[number] for number in range(len(tasks))]


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr("losstune.training.width._widths", {})


@pytest.mark.parametrize("recipe", RECIPES)
def test_packed_equals_alone_to_the_bit(recipe):
    settings = {"model": "cnn", "learning_rate": 3e-3, "test": True, "keep_weights": True} | RECIPES[recipe]
    losses = ("cross_entropy", "focal", "square", "cross_entropy")
    tasks = [small_task(loss, seeds=(seed,), **settings) for seed, loss in enumerate(losses)]
    found = together(tasks, width=len(tasks))
    expected = [alone(task) for task in tasks]
    assert all(result.status == "finished" for result in found)
    assert len({result.weights for result in found}) == len(tasks)
    if recipe == "muon":  # which rounds differently with a learning rate that is a tensor
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.curve[0].train_loss == pytest.approx(theirs.curve[0].train_loss, rel=1e-3)
    else:
        assert found == expected


def test_every_loss_is_the_same_packed_as_alone():
    tasks = [small_task(loss, model="mlp", test=True, keep_weights=True) for loss in names()]
    for task, found in zip(tasks, together(tasks, width=64), strict=True):
        if isinstance(found, Alone):
            assert found.reason == "the network draws random numbers, such as dropout's"
            assert task.configuration.loss == "dropout"
        else:
            assert found == alone(task), task.configuration.loss


@pytest.mark.parametrize("model", ["linear", "mlp", "cnn", "resnet", "resnet9"])
def test_every_built_in_model_is_the_same_packed_as_alone(model):
    tasks = [
        small_task(model=model, seeds=(seed,), epochs=1, keep_weights=True, augmentation="crop") for seed in (1, 2)
    ]
    if model in ("resnet", "resnet9"):
        tasks = [replace(task, model=task.model.model_copy(update={"width": 4})) for task in tasks]
    assert together(tasks, width=2) == [alone(task) for task in tasks]


def test_every_metric_is_the_same_packed_as_alone():
    metrics = tuple(name for name in NAMES if name not in STANDARD)
    tasks = [small_task(loss, metrics=metrics, test=True) for loss in ("cross_entropy", "logit_adjusted")]
    assert together(tasks, width=2) == [alone(task) for task in tasks]


def test_one_that_diverges_and_one_that_is_stopped_leave_the_others_untouched():
    rates = (1e-2, 1e30, 3e-3, 1e-3, 1e-2)
    tasks = [small_task(learning_rate=rate, seeds=(seed,), epochs=6) for seed, rate in enumerate(rates)]

    def goes_on(number, result):
        assert result.status == "stopped"
        return not (number == 2 and len(result.curve) == 2) and not (number in (3, 4) and len(result.curve) == 4)

    found = together(tasks, rungs=(2, 4), goes_on=goes_on, width=5)
    assert [result.status for result in found] == ["finished", "diverged", "stopped", "stopped", "stopped"]
    assert [len(result.curve) for result in found] == [6, 0, 2, 4, 4]
    for number, task in enumerate(tasks):
        decide = partial(lambda number, _, result: goes_on(number, result), number)
        assert found[number] == alone(task, rungs=(2, 4), goes_on=decide)


def test_the_results_come_as_the_trainings_end():
    tasks = [small_task(epochs=4, learning_rate=rate) for rate in (1e-2, 1e30)]
    losses = list(map(loss_of, tasks))
    ends = train_side_by_side(tasks, losses, digits_arrays(), (), lambda number, result: True, 2)
    assert [ended.number for ended in ends] == [1, 0]


def test_networks_of_other_shapes_and_lengths_make_groups_of_their_own():
    kinds = ({"epochs": 2}, {"model": "cnn"}, {"batch_size": 16}, {"epochs": 2})
    tasks = [small_task(**kind) for kind in kinds]
    assert together(tasks, width=8) == [alone(task) for task in tasks]


class Raises(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, inputs):
        raise ValueError("no such luck")


def test_one_that_raises_fails_by_itself(monkeypatch):
    real = side_by_side.Training

    class Training(real):
        def __init__(self, task, seed, *others):
            super().__init__(task, seed, *others)
            if seed == 2:
                self.network = Raises()

    monkeypatch.setattr(side_by_side, "Training", Training)
    tasks = [small_task(seeds=(seed,)) for seed in (1, 2, 3)]
    first, second, third = together(tasks, width=3)
    assert repr(second) == "ValueError('no such luck')"
    assert [first, third] == [alone(tasks[0]), alone(tasks[2])]


def test_a_group_without_room_is_trained_again_in_halves(monkeypatch):
    real, sizes = side_by_side._Lanes.run_epoch, []

    def run_epoch(lanes, epoch):
        sizes.append((len(lanes.members), epoch))
        if len(lanes.members) > 2 and epoch == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        real(lanes, epoch)

    monkeypatch.setattr(side_by_side._Lanes, "run_epoch", run_epoch)
    tasks = [small_task(seeds=(seed,), epochs=2) for seed in range(5)]
    assert together(tasks, width=5) == [alone(task) for task in tasks]
    assert sizes == [(5, 1), (5, 2), (2, 1), (2, 2), (2, 1), (2, 2), (1, 1), (1, 2)]


def test_one_without_room_for_itself_fails(monkeypatch):
    def run_epoch(lanes, epoch):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(side_by_side._Lanes, "run_epoch", run_epoch)
    outcomes = together([small_task(seeds=(seed,)) for seed in (1, 2)], width=2)
    assert all(isinstance(outcome, torch.OutOfMemoryError) for outcome in outcomes)


def test_what_needs_the_host_is_left_to_be_trained_by_itself(monkeypatch, tmp_path):
    (tmp_path / "own.py").write_text("def augment(images, generator):\n    return images\n")
    own = OwnSettings(name=f"{tmp_path / 'own.py'}:augment")
    reasons = {
        "training.augmentation changes each image by itself": {"augmentation": own},
        "the network draws random numbers, such as dropout's": {"loss": "dropout"},
    }
    for reason, settings in reasons.items():
        assert together([small_task(model="cnn", **settings)]) == [Alone(reason)]
    policies = (PolicySettings(name="flip"), PolicySettings(name="trivial_augment"))
    (found,) = together([small_task(model="cnn", augmentation=policies)])
    assert found == Alone("training.augmentation changes each image by itself")


def test_data_that_is_fetched_batch_by_batch_is_left_to_be_trained_by_itself(monkeypatch):
    monkeypatch.setattr(device_data, "FLOAT_CACHE_BYTES", 0)
    DeviceData.forget()
    data = DeviceData.of(digits_arrays(), torch.device("cpu"))
    monkeypatch.setattr(data, "is_resident", False)
    assert together([small_task()]) == [Alone("the data does not fit the device")]
    DeviceData.forget()


def test_the_size_of_a_group_grows_while_larger_ones_are_quicker():
    width = Width()
    for size, seconds in ((1, 1.0), (4, 1.1), (16, 2.0)):
        assert width.size == size
        width.add(size, seconds, bytes_each=10, free_bytes=10**6)
    assert width.size == 64
    width.add(63, 1e-9, 10, 10**6)  # the last group is no full one
    assert width.size == 64
    width.add(64, 64.0, 10, 10**6)
    assert width.size == 16
    width.add(16, 1e-9, 10, 10**6)
    assert width.size == 16


def test_a_group_takes_no_more_than_its_share_of_the_memory():
    width = Width()
    width.add(1, 1.0, bytes_each=100, free_bytes=400)
    assert width.size == 3
    width.add(3, 0.1, bytes_each=100, free_bytes=400)
    assert width.size == 3


def test_a_width_that_the_user_set_stays_but_for_a_lack_of_memory():
    width = Width(10)
    width.add(10, 100.0, 10, 10**6)
    assert width.size == 10
    assert width.shrink(10)
    assert width.size == 5
    assert not width.shrink(1)


def test_groups_grow_while_a_pack_is_trained(monkeypatch):
    sizes = Counter()
    real = side_by_side._train_group

    def group(numbers, *others):
        sizes[len(numbers)] += 1
        yield from real(numbers, *others)

    monkeypatch.setattr(side_by_side, "_train_group", group)
    monkeypatch.setattr("losstune.training.width.LEAST_GAIN", 0.0)
    tasks = [small_task(seeds=(seed,), epochs=1) for seed in range(22)]
    assert len({result.validation["nll"] for result in together(tasks)}) == 22
    assert sizes == {1: 2, 4: 1, 16: 1}


class Stream:
    def wait_stream(self, other):
        assert isinstance(other, Stream)


@pytest.fixture
def cuda(monkeypatch):
    """A stand-in for CUDA: a capture runs nothing but notes its functions, and a replay runs them."""
    captures = []

    class Replayed(side_by_side.Called):
        def __init__(self, functions, streams, pool):
            assert len(functions) == len(streams)
            assert all(isinstance(stream, Stream) for stream in streams)
            assert pool == "pool"
            captures.append(len(functions))
            super().__init__(functions)

    monkeypatch.setattr(side_by_side, "_is_gpu", lambda device: True)
    monkeypatch.setattr(side_by_side, "_streams", [])
    monkeypatch.setattr(side_by_side, "Captured", Replayed)
    given = {
        "Stream": Stream,
        "current_stream": Stream,
        "stream": lambda stream: nullcontext(),
        "graph_pool_handle": lambda: "pool",
        "synchronize": lambda: None,
        "empty_cache": lambda: None,
        "reset_peak_memory_stats": lambda: None,
        "memory_reserved": lambda: 100,
        "max_memory_reserved": lambda: 1100,
        "mem_get_info": lambda: (10**6, 10**7),
    }
    for name, function in given.items():
        assert callable(getattr(torch.cuda, name))
        monkeypatch.setattr(torch.cuda, name, function)
    return captures


def test_a_group_is_captured_once_and_again_when_half_of_it_has_ended(cuda):
    rates = (1e-2, 1e30, 1e30, 1e30, 1e-3)
    tasks = [small_task(learning_rate=rate, seeds=(seed,), epochs=3) for seed, rate in enumerate(rates)]
    assert together(tasks, width=5) == [alone(task) for task in tasks]
    assert cuda == [5, 5, 2, 2]  # steps and scores


def test_more_trainings_than_streams_share_them(cuda):
    tasks = [small_task(seeds=(seed,), epochs=1) for seed in range(side_by_side.NUM_STREAMS + 3)]
    assert together(tasks, width=64) == [alone(task) for task in tasks]
    assert len(side_by_side._streams) == side_by_side.NUM_STREAMS
    assert cuda == [len(tasks)] * 2


def test_steps_that_cannot_be_captured_are_called_and_the_reason_is_told(cuda, monkeypatch):
    def fail(functions, streams, pool):
        raise RuntimeError("operation not permitted\nwhen stream is capturing")

    monkeypatch.setattr(side_by_side, "Captured", fail)
    task = small_task()
    (ended,) = train_side_by_side([task], [loss_of(task)], digits_arrays(), (), lambda number, result: True, 1)
    assert ended.outcome == alone(task)
    assert ended.note.startswith("a CUDA graph could not be captured, so that every step is launched: operation not")
    assert "\n" not in ended.note
