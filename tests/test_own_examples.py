"""The examples of one's own code run as a user has them: in a folder outside the clone."""

import csv
import json
import shutil

import numpy as np
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


def test_a_metric_of_ones_own_by_which_the_lower_cost_wins(tmp_path):
    costs = (1.0 - np.eye(10)) * np.where(np.arange(10) == 8, 20.0, 1.0)[:, None]  # an 8 must not be missed
    metric = {"name": "my_metrics.py:reviewed_cost", "minimize": True, "options": {"costs": costs.tolist()}}
    settings = {
        "model": {"name": "mlp"},
        "training": {"epochs": 5, "batch_size": 32},
        "losses": ["mae", "cross_entropy"],
        "baseline": "mae",
        "search_space": {"learning_rate": {"low": 1e-3, "high": 1e-1, "scale": "log", "default": 1e-2}},
        "tune": {"trials_per_loss": 2, "metric": metric},
        # The bad loss is the baseline here, and no worse with a hundredth of the learning rate.
        "confirm": {"num_blocks": 8, "positive_control": False},
        "report": {"rope": 0.05},
    }
    results = run(tmp_path, settings, "my_metrics.py")
    mae, cross_entropy = results["losses"]
    cost = {loss["loss"]: loss["scores"]["reviewed_cost"]["mean"] for loss in (mae, cross_entropy)}
    assert cost["cross_entropy"] < cost["mae"]
    assert cross_entropy["difference"]["mean"] == pytest.approx(cost["cross_entropy"] - cost["mae"])
    assert cross_entropy["decision"] == "better"
    assert results["verdict"]["loss"] == "cross_entropy"
    assert "in reviewed_cost, lower in 8 of 8 blocks" in results["verdict"]["sentence"]
    trials = [json.loads(line) for line in (tmp_path / "results/tune/trials.jsonl").read_text().splitlines()]
    for loss in (mae, cross_entropy):
        for number, search in enumerate(loss["searches"]):
            rivals = [t for t in trials if (t["configuration"]["loss"], t["search"]) == (loss["loss"], number)]
            assert search["validation"] == min(trial["validation"]["reviewed_cost"] for trial in rivals)
    assert json.loads((tmp_path / "metrics.json").read_text())["winner"] == "cross_entropy"
    assert "lower is better" in (tmp_path / "report/report.html").read_text(encoding="utf-8")


def test_a_metric_that_raises_is_found_before_anything_trains(tmp_path):
    metric = {"name": "my_metrics.py:reviewed_cost", "minimize": True, "options": {"costs": [[0, 1], [5, 0]]}}
    with pytest.raises(AssertionError) as caught:
        run(tmp_path, {"tune": {"metric": metric}, "report": {"rope": 0.05}}, "my_metrics.py")
    (line,) = str(caught.value).splitlines()[:1]
    assert "tune.metric: found 'my_metrics.py:reviewed_cost', which raises on 20 samples of 10 classes" in line
    assert not (tmp_path / "results/tune").exists()
