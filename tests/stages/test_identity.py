"""What pretrained weights have to do with the identity of a training, the registration and DVC: their content alone."""

from __future__ import annotations

import hashlib
import shutil

import pytest
import torch

from losstune.config.load import load_params
from losstune.config.settings import ModelSettings
from losstune.models import build_model
from losstune.stages import fingerprint
from losstune.stages.identity import digests_of
from losstune.stages.study import open_study, read_arrays
from losstune.stages.tune import make_plan
from losstune.stages.workers import find_device
from losstune.study.ledger import Ledger
from tests.commands import losstune
from tests.test_pipeline import SMALL, write_params

MLP = {"name": "mlp", "width": 16, "depth": 1}


def write_weights(path, seed):
    torch.manual_seed(seed)
    torch.save(build_model(ModelSettings(**MLP), (1, 8, 8), 10).state_dict(), path)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A prepared study that starts from weights."""
    monkeypatch.chdir(tmp_path)
    write_weights(tmp_path / "w.pt", 1)
    write_params(tmp_path, SMALL | {"model": MLP | {"weights": "w.pt"}, "tune.trials_per_loss": 1})
    losstune(tmp_path, "prepare")
    return tmp_path


def opened(folder, **model):
    params = load_params(folder / "params.yaml")
    params = params.model_copy(update={"model": params.model.model_copy(update=model)})
    return open_study(params, folder, folder, find_device)


def identities(folder, **model):
    study = opened(folder, **model)
    plan, keys = make_plan(study, Ledger(folder / "empty")), []
    while (job := plan.next()) is not None:
        keys.extend(job.keys)
    stages = fingerprint.fingerprints(study.params, folder, with_data=False)
    own = {name: stage["own code"] for name, stage in stages.items()}
    return keys, study.registration.terms, own


def test_the_content_of_the_weights_counts(study):
    keys, terms, own = identities(study)
    content = hashlib.sha256((study / "w.pt").read_bytes()).hexdigest()
    assert terms["model.weights"] == content
    stages = ("features", "tune", "confirm", "report")
    assert own == {"prepare": {}} | {name: {"model.weights": content} for name in stages}
    write_weights(study / "w.pt", 2)
    other_keys, other_terms, other_own = identities(study)
    assert not set(keys) & set(other_keys)
    assert {key for key in terms if terms[key] != other_terms[key]} == {"model.weights"}
    assert {name for name in own if own[name] != other_own[name]} == {"features", "tune", "confirm", "report"}
    none_keys, none_terms, none_own = identities(study, weights=None)
    assert not set(none_keys) & {*keys, *other_keys}
    assert "model.weights" not in none_terms
    assert not any(none_own.values())


def test_their_place_and_the_right_to_download_do_not(study):
    before = identities(study)
    shutil.copy(study / "w.pt", study / "copy.pt")
    assert identities(study, weights="copy.pt") == before
    assert identities(study, weights=str(study / "w.pt"), download=True) == before


def test_workers_get_the_weights_with_the_data(study):
    expected = torch.load(study / "w.pt", weights_only=True)
    found = read_arrays(opened(study), with_test=False).weights
    assert found is not None
    assert found.keys() == expected.keys()
    assert all(torch.equal(torch.from_numpy(found[name]), value) for name, value in expected.items())


def test_a_study_without_weights_has_no_digest_of_any(study):
    assert digests_of(opened(study, weights=None).params) == {}


def test_check_and_tune_tell_what_is_loaded(study):
    sentence = "w.pt has 100.0% of the parameters of 'mlp' below its last layer; the last layer (3) is new"
    checked = " ".join(losstune(study, "check").stdout.split())
    assert f"weights {sentence}" in checked
    tuned = losstune(study, "tune")
    assert f"tune: {sentence}\n" in tuned.stderr
    write_params(study, {"model": MLP | {"freeze": "backbone"}})
    checked = " ".join(losstune(study, "check").stdout.split())
    assert "weights the layers of model.freeze keep their random weights, because model.weights is null" in checked


def test_a_study_ends_with_a_verdict_on_frozen_layers(study):
    write_params(study, {"model": MLP | {"weights": "w.pt", "freeze": "backbone"}, "training.epochs": 1})
    for stage in ("features", "tune", "confirm", "report"):
        losstune(study, stage)
    page = (study / "report" / "report.html").read_text(encoding="utf-8")
    assert "mlp, width 16, depth 1, weights w.pt, frozen backbone</dd>" in page
    assert '"num_parameters":170,' in (study / "results/tune/trials.jsonl").read_text(), "16 x 10 weights and 10 biases"
