"""Trainings in a group against the same trainings alone, to the last bit."""

from dataclasses import replace

import pytest
import torch

from losstune.config.settings import ModelSettings
from losstune.losses.registry import get
from losstune.training import grouped
from losstune.training.grouped import most_in_group, train_grouped
from losstune.training.loop import train
from losstune.training.side_by_side import Alone
from tests.small import digits_arrays, small_task

LOSSES = ("cross_entropy", "focal", "arcface", "ldam")
RATES = (1e-2, 3e-2, 1e-3, 3e-3)


def tasks(num=3, rates=RATES, model="cnn", **settings):
    named = ModelSettings(name=model, width=16, depth=2)
    made = [
        small_task(loss, seeds=(seed,), learning_rate=rate, test=True, keep_weights=True, **settings)
        for seed, (loss, rate) in enumerate(zip(LOSSES, rates, strict=True))
    ]
    return [replace(task, model=named) for task in made[:num]]


def losses_of(given):
    return [get(task.configuration.loss).bind(task.configuration.hyperparameters) for task in given]


def together(given, rungs=(), goes_on=lambda *_: True):
    ended = list(train_grouped(given, losses_of(given), digits_arrays(), rungs, goes_on))
    assert sorted(one.number for one in ended) == list(range(len(given)))
    return {one.number: one.outcome for one in ended}


def alone(task):
    *_, (result,) = train(task, digits_arrays(), *losses_of([task]))
    return result


@pytest.fixture(autouse=True)
def groups():
    """Skip on a machine where networks in groups compute other bits, and are not grouped therefore."""
    grouped._agreed.clear()
    yield
    if not all(grouped._agreed.values()):
        pytest.skip("convolutions in groups differ on this machine")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"model": "mlp"},
        {"accumulation": 2, "clip_norm": 1.0},
        {"augmentation": "flip_crop", "mixup": 0.3},
        {"optimizer": "sgd", "class_weights": "balanced"},
        {"optimizer": "muon", "sampling": "balanced"},
    ],
    ids=lambda settings: " ".join(settings) or "default",
)
def test_each_is_trained_as_alone(settings):
    given = tasks(4, **settings)
    found = together(given)
    assert grouped._agreed
    for number, task in enumerate(given):
        assert found[number] == alone(task)


def test_the_order_and_the_number_of_the_others_do_not_matter():
    given = tasks(4)
    found, swapped = together(given), together(given[2::-1])
    assert [swapped[number] for number in range(3)] == [found[2 - number] for number in range(3)]


def test_one_that_diverges_leaves_the_others_alone():
    given = tasks(3, rates=(1e-2, 1e18, 1e-3, 3e-3))
    found = together(given)
    assert [found[number].status for number in range(3)] == ["finished", "diverged", "finished"]
    for number, task in enumerate(given):
        assert found[number] == alone(task)


def test_one_that_is_stopped_leaves_the_others_alone():
    asked = []

    def goes_on(number, result):
        asked.append((number, len(result.curve)))
        return number != 1

    given = tasks(3)
    found = together(given, (1, 2, 3), goes_on)
    assert asked == [(0, 1), (1, 1), (2, 1), (0, 2), (2, 2)]  # the last epoch is no rung
    assert [found[number].status for number in range(3)] == ["finished", "stopped", "finished"]
    assert len(found[1].curve) == 1
    assert found[2] == alone(given[2])


def test_patience_ends_one_by_itself():
    given = tasks(3, rates=(1e-2, 1e-9, 1e-2, 1e-2), epochs=6, patience=1)
    found = together(given)
    assert len(found[1].curve) < len(found[0].curve)
    for number, task in enumerate(given):
        assert found[number] == alone(task)


def test_after_an_error_the_rest_is_to_be_trained_alone(monkeypatch):
    given = tasks(3)
    monkeypatch.setattr(grouped, "group_of", lambda _: 1 / 0)
    assert all(isinstance(outcome, Alone) for outcome in together(given).values())


@pytest.mark.parametrize("loss", ["dropout", "own"])
def test_what_takes_random_numbers_or_is_the_users_own_is_trained_alone(loss):
    (task,) = tasks(1)
    bound = get("dropout" if loss == "dropout" else "focal").bind()
    if loss == "own":
        bound = replace(bound.spec, origin="my_losses.py:focal").bind()
    (ended,) = train_grouped([task], [bound], digits_arrays(), (), lambda *_: True)
    assert isinstance(ended.outcome, Alone)


@pytest.mark.parametrize(
    "changes", [{"model": "resnet"}, {"precision": "bfloat16"}, {"ema": 0.9}, {"seeds": (1, 2)}], ids=str
)
def test_other_tasks_are_trained_alone(changes):
    task = small_task(**({"model": "cnn"} | changes))
    assert all(isinstance(outcome, Alone) for outcome in together([task]).values())


def test_networks_that_disagree_are_trained_one_after_the_other(monkeypatch):
    given = tasks(3)
    expected = [alone(task) for task in given]
    monkeypatch.setattr(grouped, "agrees", lambda *_: False)
    monkeypatch.setattr(grouped, "Grouped", None)
    found = together(given)
    assert [found[number] for number in range(3)] == expected
    grouped._agreed.clear()


def test_a_group_fits_the_cache():
    (task,) = tasks(1)
    assert most_in_group(task, digits_arrays()) == 6  # a map of 32 * 16 * 64 * 4 bytes is 128 KiB
    assert most_in_group(replace(task, model=ModelSettings(name="mlp", width=16, depth=1)), digits_arrays()) == 8
    wide = replace(task, model=ModelSettings(name="cnn", width=32, depth=1))
    assert most_in_group(wide, digits_arrays()) == 3
    assert most_in_group(replace(task, model=ModelSettings(name="cnn", width=256, depth=1)), digits_arrays()) == 0


def test_the_global_random_state_is_the_callers():
    state = torch.get_rng_state()
    together(tasks(3))
    assert torch.equal(torch.get_rng_state(), state)
