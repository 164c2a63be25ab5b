"""The examples of one's own code run as a user has them: in a folder outside the clone."""

import csv
import json
import shutil

import pytest
import torch
from ruamel.yaml import YAML
from sklearn.datasets import load_wine

from tests.commands import losstune
from tests.paths import REPOSITORY

OWN = REPOSITORY / "examples/own"
TINY = {
    "training": {"epochs": 2, "batch_size": 32},
    "losses": ["cross_entropy", "kl_divergence"],
    "tune": {"trials_per_loss": 2},
    "confirm": {"num_blocks": 2},
    "resources": {"executor": "inline"},
    "tracking": {"enabled": False},
}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(folder, settings, *names):
    """Copy examples into a study of these settings, run it, and return its results."""
    folder.mkdir(exist_ok=True)
    for name in names:
        shutil.copy(OWN / name, folder)
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(TINY | settings, file)
    for stage in ("check", "prepare", "tune", "confirm", "report"):
        losstune(folder, stage)
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def decisions(results):
    return {loss["loss"]: loss["decision"] for loss in results["losses"]}


def test_a_model_of_ones_own(tmp_path):
    results = run(tmp_path, {"model": {"name": "my_models.py:small_cnn", "options": {"width": 4}}}, "my_models.py")
    assert results["model"] == "my_models.py:small_cnn"
    assert results["control"]["identity"]["passed"]
    trial = json.loads((tmp_path / "results/tune/trials.jsonl").read_text(encoding="utf-8").splitlines()[0])
    # Two convolutions with batch normalisation, and the last layer.
    assert trial["num_parameters"] == (9 * 4 + 4) + 2 * 4 + (9 * 4 * 8 + 8) + 2 * 8 + (8 * 10 + 10)


def test_losses_of_ones_own(tmp_path):
    losses = ["cross_entropy", "kl_divergence", "my_losses.py:tilted", "my_losses.py:Margin"]
    results = run(tmp_path, {"model": {"name": "mlp"}, "losses": losses}, "my_losses.py")
    assert set(decisions(results)) == {"cross_entropy", "kl_divergence", "tilted", "Margin"}
    notes = " ".join(results["notes"])
    assert "tilted, Margin: the study's own code." in notes
    assert "tilted, Margin: no link is declared, so the probabilities are softmax of the outputs." in notes
    trials = (tmp_path / "results/tune/trials.jsonl").read_text(encoding="utf-8").splitlines()
    margins = [row["configuration"]["hyperparameters"] for row in map(json.loads, trials)]
    searched = [values["margin"] for values in margins if "margin" in values]
    assert searched[0] == 0.5
    assert len(set(searched)) == 3  # the default is the first trial of both searches
    assert "tilted" in (tmp_path / "report/report.html").read_text(encoding="utf-8")


def test_data_of_ones_own(tmp_path):
    wine = load_wine(as_frame=True)
    table = wine.data.assign(species=[wine.target_names[label] for label in wine.target])
    with (tmp_path / "wine.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(table), *table.to_numpy().tolist()])
    data = {"name": "my_data.py:load_csv", "root": "wine.csv", "options": {"label": "species"}}
    results = run(tmp_path, {"data": data, "model": {"name": "mlp"}}, "my_data.py")
    assert results["data"]["class_names"] == sorted(wine.target_names.tolist())
    assert sum(results["data"][f"num_{split}"] for split in ("train", "validation", "test")) == len(table)


def test_an_augmentation_of_ones_own(tmp_path):
    augmented = {"name": "my_augmentation.py:colour_jitter", "options": {"strength": 0.5}}
    first_losses = []
    for folder, augmentation in (("plain", "none"), ("augmented", augmented)):
        training = TINY["training"] | {"augmentation": augmentation}
        results = run(tmp_path / folder, {"model": {"name": "mlp"}, "training": training}, "my_augmentation.py")
        # Both losses saw the same images, or the control would not agree to the bit.
        assert results["control"]["identity"]["passed"]
        trial = (tmp_path / folder / "results/tune/trials.jsonl").read_text(encoding="utf-8").splitlines()[0]
        first_losses.append(json.loads(trial)["curve"][0]["train_loss"])
    assert first_losses[0] != first_losses[1]
