"""Labels as people have them, in a whole study: soft, wrong by class, long-tailed."""

import json
import re

import numpy as np
import pytest
from sklearn.datasets import load_digits

from losstune.data.prepared import read_development, read_manifest
from losstune.stages.layout import BLOCKS, PREPARED, REPORT, read_records
from tests.commands import losstune
from tests.test_pipeline import SMALL, write_params

STAGES = ("check", "prepare", "check", "tune", "confirm", "report")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(folder, *, losses, **changes):
    write_params(folder, SMALL | {"losses": losses, "tune.trials_per_loss": 1, "training.epochs": 2} | changes)
    for stage in STAGES:
        losstune(folder, stage)
    return json.loads((folder / "results.json").read_text())


def refused(folder, stage):
    """Return what a stage says that ends with exit code 2."""
    done = losstune(folder, stage, check=False)
    assert done.returncode == 2
    return done.stderr


def write_soft(path):
    """Digits that five annotators labelled, each wrong with probability 0.2."""
    digits = load_digits()
    generator = np.random.default_rng(0)
    votes = np.repeat(digits.target[:, None], 5, axis=1)
    wrong = generator.random(votes.shape) < 0.2
    votes[wrong] = generator.integers(0, 10, wrong.sum())
    shares = (votes[:, :, None] == np.arange(10)).mean(axis=1)
    np.savez(path, images=digits.images.astype(np.uint8), labels=shares)
    return shares


SOFT = {"data.name": "npz", "data.root": "soft.npz"}


@pytest.mark.parametrize("training", [{}, {"mixup": 0.4}, {"soft_labels": "mode"}])
def test_the_control_is_exact_on_soft_labels(tmp_path, training):
    shares = write_soft(tmp_path / "soft.npz")
    changes = SOFT | {f"training.{key}": value for key, value in training.items()}
    results = run(tmp_path, losses=["cross_entropy", "kl_divergence", "brier"], **changes)
    assert results["control"]["identity"]["passed"]
    assert results["control"]["pairs"][0]["difference"]["mean"] == 0
    assert results["data"]["has_soft_labels"]
    losses = {}
    for record in read_records(tmp_path / BLOCKS):
        losses.setdefault((record.configuration.loss, record.role), []).append(record.curve[0].train_loss)
    is_equal = losses["cross_entropy", "block"][0] == losses["kl_divergence", "control"][0]
    assert is_equal == (training.get("soft_labels") == "mode")
    data = read_development(tmp_path / PREPARED)
    rows = {row.tobytes() for row in shares.astype(np.float32)}
    assert all(row.tobytes() in rows for row in data.train_targets)
    assert np.array_equal(data.train_labels, data.train_targets.argmax(1))
    page = (tmp_path / REPORT).read_text(encoding="utf-8")
    assert [metric["name"] for metric in results["secondary_metrics"]] == ["expected_accuracy", "soft_nll"]
    assert "expected accuracy" in page
    assert re.search(r"soft labels, with a mean entropy of 0\.\d+ nats; no model can", page)


def test_losses_for_one_class_a_sample_are_refused_by_name_or_take_the_mode(tmp_path):
    write_soft(tmp_path / "soft.npz")
    small = {"tune.trials_per_loss": 1, "training.epochs": 2, "losses": ["cross_entropy", "gce", "focal"]}
    write_params(tmp_path, SMALL | SOFT | small)
    losstune(tmp_path, "prepare")
    message = (
        "losses: found gce and focal, but the prepared data has soft labels, and they take one class for each sample; "
        "remove them, or train on the likeliest class with training.soft_labels: mode_if_needed"
    )
    for stage in ("check", "tune"):
        assert message in refused(tmp_path, stage)
    results = run(tmp_path, losses=["cross_entropy", "gce"], **SOFT, **{"training.soft_labels": "mode_if_needed"})
    assert "\nlabels    gce is trained on the likeliest class of a sample.\n" in losstune(tmp_path, "check").stdout
    assert "gce is trained on the likeliest class of a sample." in results["notes"]


def test_class_weights_on_soft_labels_need_losses_that_are_linear_in_them(tmp_path):
    write_soft(tmp_path / "soft.npz")
    changes = SOFT | {"training.class_weights": "balanced"}
    write_params(tmp_path, SMALL | changes | {"losses": ["cross_entropy", "brier"]})
    losstune(tmp_path, "prepare")
    assert (
        "training.class_weights: found 'balanced', but the prepared data has soft labels, and brier is not linear"
        in refused(tmp_path, "check")
    )
    run(tmp_path, losses=["cross_entropy", "label_smoothing"], **changes)


def test_noise_by_class_and_a_long_tail(tmp_path):
    changes = {
        "data.label_noise": {"rate": 0.4, "pairs": {"7": "1", "3": "8"}},
        "data.long_tail": 20,
        "tune.metric": "balanced_accuracy",
    }
    results = run(tmp_path, losses=["cross_entropy", "logit_adjusted", "ldam"], **changes)
    manifest = read_manifest(tmp_path / PREPARED)
    assert manifest.noise.setting["pairs"] == {"7": "1", "3": "8"}
    transitions = np.array(manifest.noise.transitions)
    assert transitions[3, 8] == round(0.4 * transitions[3].sum())
    assert transitions.sum() == sum(manifest.counts.train)
    assert manifest.long_tail == 20
    assert max(transitions.sum(1)) / min(transitions.sum(1)) == pytest.approx(20, rel=0.2)
    groups = results["data"]["class_groups"]
    assert set(groups) == {"many", "medium", "few"}
    assert "0" in groups["many"]
    for loss in results["losses"]:
        assert set(loss["group_recalls"]) == set(groups)
    page = (tmp_path / REPORT).read_text(encoding="utf-8")
    assert "Recall by class frequency" in page
    assert "a long tail of 20 to 1 drawn from the training split" in page
    assert "of the training labels wrong (3 as 8, 7 as 1)" in page
    write_params(tmp_path, SMALL | changes | {"data.label_noise": 0.1})
    assert "was prepared with data.label_noise" in refused(tmp_path, "tune")
