"""Recipes of training in a whole study: they fit the data, pair the losses, and leave the control exact."""

import json

import pytest
import torch

from losstune.config.load import load_params
from losstune.config.references import digests
from losstune.stages.layout import BLOCKS, TRIALS, read_records
from losstune.stages.recipe import mixing_note
from losstune.stages.run_info import stage_run
from losstune.stages.study import open_study
from losstune.stages.workers import find_device
from tests.commands import losstune
from tests.test_pipeline import SMALL, write_params

LOSSES = ["cross_entropy", "kl_divergence", "brier", "focal"]
CNN = {"name": "cnn", "width": 4, "depth": 1}


def run(folder, **training):
    changes = {f"training.{key}": value for key, value in training.items()}
    write_params(
        folder, SMALL | {"losses": LOSSES, "model": CNN, "tune.trials_per_loss": 1, "training.epochs": 2} | changes
    )
    for stage in ("prepare", "tune", "confirm", "report"):
        losstune(folder, stage)
    return json.loads((folder / "results.json").read_text())


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "training",
    [
        {"mixup": 0.4},
        {"mixup": 0.4, "cutmix": 1.0, "class_weights": "balanced"},
        {"augmentation": ["crop", "trivial_augment", {"name": "random_erasing", "options": {"p": 0.3}}]},
        {"optimizer": "sgd", "clip_norm": 1.0, "accumulation": 2, "schedule": "one_cycle"},
        {"optimizer": "muon", "ema": 0.9, "patience": 1, "sampling": "balanced"},
    ],
)
def test_the_control_is_exact_with_every_recipe(tmp_path, training):
    results = run(tmp_path, **training)
    assert results["control"]["identity"]["passed"]
    assert {loss["loss"] for loss in results["losses"] if loss["blocks"]} == set(LOSSES)
    assert all(record.status == "finished" for record in read_records(tmp_path / BLOCKS))


def test_settings_are_searched_and_shown_wherever_configurations_are(tmp_path):
    momentum = {"low": 0.5, "high": 0.95, "scale": "linear", "default": 0.8}
    space = {"search_space.training": {"momentum": momentum, "ema": momentum}}
    changes = {"losses": LOSSES, "model": CNN, "tune.trials_per_loss": 3, "training.epochs": 2} | space
    write_params(tmp_path, SMALL | changes | {"training.optimizer": "sgd", "training.ema": 0.5})
    for stage in ("check", "prepare", "tune", "confirm", "report"):
        losstune(tmp_path, stage)
    trials = [record.configuration.settings for record in read_records(tmp_path / TRIALS)]
    assert trials[0] == {"ema": 0.8, "momentum": 0.8}
    assert all(0.5 <= value <= 0.95 for settings in trials for value in settings.values())
    winner = json.loads((tmp_path / "results.json").read_text())["losses"][0]["searches"][0]["winner"]
    assert winner["settings"] in trials
    assert (
        f"momentum={winner['settings']['momentum']:.6g}" in (tmp_path / "report/plots/configurations.csv").read_text()
    )
    assert f"momentum {winner['settings']['momentum']:.3g}" in (tmp_path / "report/report.html").read_text()
    # A trial outside the range is not the registered study's.
    text = (tmp_path / TRIALS).read_text()
    edited = text.replace(f'"momentum":{trials[1]["momentum"]!r}', '"momentum":0.99')
    assert edited != text
    (tmp_path / TRIALS).write_text(edited)
    assert "has momentum 0.99, expected" in losstune(tmp_path, "report", check=False).stderr


def test_the_report_says_how_mixed_samples_are_used(tmp_path):
    results = run(tmp_path, mixup=0.2)
    told = [note for note in results["notes"] if "mixup" in note]
    assert told == [
        "With mixup, brier gets the mixed distribution as target; every other loss minimises lambda L(y) + "
        "(1 - lambda) L(y') for the two labels of a mixed sample."
    ]
    assert "mixup 0.2" in (tmp_path / "report/report.html").read_text()


def test_the_note_follows_the_settings(tmp_path):
    write_params(tmp_path, {"losses": ["cross_entropy", "focal"], "training.cutmix": 1.0})
    assert mixing_note(load_params()) == [
        "With CutMix, every loss minimises lambda L(y) + (1 - lambda) L(y') for the two labels of a mixed sample."
    ]
    write_params(tmp_path, {"training.cutmix": 0.0})
    assert mixing_note(load_params()) == []
    searched = {"mixup": {"low": 0.0, "high": 1.0, "scale": "linear", "default": 0.2}}
    write_params(tmp_path, {"losses": ["cross_entropy", "focal"], "search_space.training": searched})
    assert mixing_note(load_params())[0].startswith("With mixup, every loss minimises")


def test_mixing_changes_the_training_and_not_the_evaluation(tmp_path):
    plain = run(tmp_path)
    mixed = run(tmp_path, mixup=1.0)
    assert plain["control"]["identity"]["passed"]
    before, after = (read["losses"][0]["blocks"] for read in (plain, mixed))
    assert before != after


def test_own_policies_are_part_of_the_identity(tmp_path):
    (tmp_path / "mine.py").write_text("def darker(images, generator):\n    return images * 0.9\n")
    write_params(tmp_path, {"training.augmentation": ["flip", "mine.py:darker"]})
    assert set(digests(load_params())) == {"training.augmentation.1"}
    losses = []
    for factor in (0.9, 0.5):
        (tmp_path / "mine.py").write_text(f"def darker(images, generator):\n    return images * {factor}\n")
        results = run(tmp_path, augmentation=["flip", "mine.py:darker"])
        assert "training.augmentation.1" in results["code"]["own"]
        losses.append(results["losses"][0]["blocks"][0]["nll"])
    assert losses[0] != losses[1]


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"class_weights": [1.0, 2.0]}, "training.class_weights: found 2 numbers, expected 10, one for each class"),
        ({"augmentation": ["flip", "flop"]}, "training.augmentation[1]: found 'flop', expected flip, crop,"),
        (
            {"augmentation": [{"name": "rand_augment", "options": {"depth": 1}}]},
            "training.augmentation: rand_augment: ",
        ),
        ({"mixup": -0.1}, "training.mixup: found -0.1, expected"),
        ({"class_weights": [1.0, 0.0]}, "training.class_weights"),
    ],
)
def test_a_mistake_is_one_line_before_anything_trains(tmp_path, training, message):
    write_params(tmp_path, SMALL | {"model": CNN})
    losstune(tmp_path, "prepare")
    write_params(tmp_path, {f"training.{key}": value for key, value in training.items()})
    for command in ("check", "tune"):
        done = losstune(tmp_path, command, check=False)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1


def test_cutmix_needs_images(tmp_path):
    import numpy as np

    np.savez(tmp_path / "rows.npz", x=torch.randn(60, 4).numpy(), y=np.arange(60) % 3)
    write_params(tmp_path, SMALL | {"data.name": "npz", "data.root": "rows.npz", "training.cutmix": 1.0})
    losstune(tmp_path, "prepare")
    done = losstune(tmp_path, "tune", check=False)
    assert "training.cutmix: found 1, expected 0: it takes images, and the data has 4 features; mixup takes both" in (
        done.stderr
    )


@pytest.mark.parametrize(
    ("key", "value"), [("mixup", 0.2), ("cutmix", 1.0), ("class_weights", "balanced"), ("augmentation", ["cutout"])]
)
def test_a_loop_of_ones_own_does_not_get_them(tmp_path, key, value):
    write_params(tmp_path, {f"training.{key}": value, "training.loop": "mine.py:train"})
    done = losstune(tmp_path, "check", check=False)
    assert done.returncode == 2
    assert f"training.{key}: found" in done.stderr
    assert "which a training.loop of your own would not see" in done.stderr


def test_mlflow_gets_every_setting_that_differs_from_its_default(tmp_path):
    settings = {"mixup": 0.2, "class_weights": "balanced", "ema": 0.9}
    of_data = {"long_tail": 4.0, "noisy_splits": ["train", "test"]}
    changes = {f"training.{key}": value for key, value in settings.items()}
    write_params(tmp_path, SMALL | changes | {f"data.{key}": value for key, value in of_data.items()})
    losstune(tmp_path, "prepare")
    shown = stage_run(open_study(load_params(), tmp_path, tmp_path, find_device), "tune").params
    assert {key: shown[key] for key in settings} == {key: str(value) for key, value in settings.items()}
    assert {key: shown[key] for key in of_data} == {"long_tail": "4.0", "noisy_splits": "['train', 'test']"}
    assert not {"cutmix", "clip_norm", "patience", "loop", "groups", "storage", "label"} & shown.keys()
