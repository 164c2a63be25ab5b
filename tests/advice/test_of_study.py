"""From the committed study with wrong labels to lines of the database."""

import json
import math

import pytest

from losstune.advice.of_study import verdicts_of
from losstune.core.errors import LosstuneError
from losstune.data.manifest import Manifest
from losstune.verdict.results import Results
from tests.paths import REPOSITORY

STUDY = REPOSITORY / "studies" / "noisy_digits-cnn"


def read(path):
    return json.loads((STUDY / path).read_text(encoding="utf-8"))


@pytest.fixture
def raw():
    return read("results.json")


@pytest.fixture
def manifest():
    return Manifest.model_validate(read("data/prepared/manifest.json"))


TERMS = {"training.optimizer": "adamw"}


def lines(raw, manifest, terms=TERMS):
    return list(verdicts_of(Results.model_validate(raw), manifest, terms, "my digits", "c0ffee"))


def test_a_line_for_each_loss(raw, manifest):
    found = {one.loss: one for one in lines(raw, manifest)}
    assert [*found] == [loss["loss"] for loss in raw["losses"]]
    for loss in raw["losses"]:
        one, difference = found[loss["loss"]], loss["difference"]
        assert (one.part, one.decision) == (loss["part"], loss["decision"])
        assert one.winner.learning_rate == loss["winner"]["learning_rate"]
        assert one.winner.hyperparameters == loss["winner"]["hyperparameters"]
        assert (one.protocol, one.commit, one.source) == (raw["protocol"], "c0ffee", raw["study"])
        if difference is not None:
            assert (one.difference, one.low, one.high) == tuple(difference[key] for key in ("mean", "low", "high"))
            assert one.error**2 == pytest.approx(difference["search_error"] ** 2 + difference["seed_error"] ** 2)


def test_the_facts_are_those_of_the_training_split(raw, manifest):
    facts = lines(raw, manifest)[0].data
    assert (facts.name, facts.kind, facts.num_classes, facts.num_train) == ("my digits", "image", 10, 1150)
    assert facts.noise.model_dump() == {"kind": "symmetric", "rate": 0.4, "basis": "measured"}
    true_counts = [sum(row) for row in manifest.noise.transitions]
    assert facts.imbalance == max(true_counts) / min(true_counts)


def test_a_frozen_backbone_makes_features(raw, manifest):
    assert lines(raw, manifest, TERMS | {"model.freeze": "backbone"})[0].data.kind == "features"


def test_a_table_and_noise_by_pairs(raw, manifest):
    noise = manifest.noise.model_copy(update={"setting": {"rate": 0.4, "pairs": {"1": "7"}}, "rates": {"train": 0.1}})
    changed = manifest.model_copy(update={"name": "table", "input_shape": (13,), "noise": noise})
    facts = lines(raw, changed)[0].data
    assert (facts.kind, facts.noise.kind, facts.noise.rate) == ("table", "asymmetric", 0.1)


def test_with_the_replicated_protocol_the_error_comes_from_the_interval(raw, manifest):
    for loss in raw["losses"]:
        for key in ("search_error", "seed_error"):
            (loss["difference"] or {}).pop(key, None)
    for loss, one in zip(raw["losses"], lines(raw, manifest), strict=True):
        if loss["difference"]:
            width = loss["difference"]["high"] - loss["difference"]["low"]
            assert one.error == pytest.approx(width / 2 / 1.959964)


def test_an_infinite_interval_is_none(raw, manifest):
    difference = raw["losses"][1]["difference"]
    difference |= {"low": -math.inf, "search_error": None}
    one = lines(raw, manifest)[1]
    assert (one.low, one.error) == (None, None)
    assert not one.is_evidence


def test_losses_of_the_users_own_are_left_out(raw, manifest):
    raw["losses"][-1]["loss"] = "my_loss"
    assert len(lines(raw, manifest)) == len(raw["losses"]) - 1


def test_a_metric_of_the_users_own_is_an_error(raw, manifest):
    with pytest.raises(LosstuneError, match=r"results\.json: metric: found 'mean_iou', expected one of losstune's"):
        lines(raw | {"metric": "mean_iou"}, manifest)


def test_another_baseline_is_an_error(raw, manifest):
    with pytest.raises(LosstuneError, match=r"results\.json: baseline: found 'gce', expected cross_entropy"):
        lines(raw | {"baseline": "gce"}, manifest)


def test_data_without_samples_is_an_error(raw, manifest):
    with pytest.raises(LosstuneError, match="only the training loop"):
        lines(raw, manifest.model_copy(update={"input_shape": ()}))
