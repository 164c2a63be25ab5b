"""The features of a frozen backbone: computed once, and the same that a whole network with frozen weights sees."""

import json

import numpy as np
import pytest
import torch

from losstune.config.load import load_params
from losstune.core.errors import LosstuneError
from losstune.core.seeds import derive_seed
from losstune.data import prepared
from losstune.models import build_model
from losstune.stages import features
from losstune.stages.layout import BLOCKS, FEATURES, PREPARED, TRIALS, read_records
from losstune.stages.study import open_study, read_arrays
from losstune.stages.workers import find_device
from tests.commands import losstune
from tests.test_pipeline import SMALL, write_params

FROZEN = SMALL | {
    "model": {"name": "cnn", "width": 4, "depth": 1, "freeze": "backbone"},
    "losses": ["cross_entropy", "kl_divergence", "arcface"],
    "tune.trials_per_loss": 1,
    "training.augmentation": "none",
}


def lay_out(folder, settings=FROZEN):
    write_params(folder, settings)
    losstune(folder, "prepare")
    return folder


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A prepared study with a frozen backbone."""
    monkeypatch.chdir(tmp_path)
    return lay_out(tmp_path)


def test_the_features_are_what_the_last_layer_gets(study, capsys):
    params = load_params(study / "params.yaml")
    features.run(params, study, study)
    base, inputs = prepared.read_manifest(study / PREPARED), prepared.read_manifest(study / FEATURES)
    torch.manual_seed(derive_seed(params.study.seed, "features"))
    network = build_model(params.model, base.input_shape, base.num_classes).eval()
    caught = []
    last = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
    last.register_forward_pre_hook(lambda module, given: caught.append(given[0].detach()))
    samples = prepared.read_development(study / PREPARED)
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (base.mean, base.std))
    network((torch.from_numpy(np.array(samples.validation_images)).float() - mean) / std)
    found = prepared.read_development(study / FEATURES, verify=True)
    np.testing.assert_allclose(found.validation_images, caught[0].numpy(), rtol=1e-5, atol=1e-6)
    assert inputs.input_shape == found.train_images.shape[1:]
    assert np.array_equal(found.train_labels, samples.train_labels)
    test = prepared.read_test(study / FEATURES, verify=True)
    assert np.array_equal(test.labels, prepared.read_test(study / PREPARED).labels)
    assert len(test.images) == len(test.labels)
    assert f"features: {inputs.input_shape[0]:,} of each of" in capsys.readouterr().out


def test_a_training_is_that_of_the_last_layer(study):
    params = load_params(study / "params.yaml")
    features.run(params, study, study)
    opened = open_study(params, study, study, find_device)
    arrays = read_arrays(opened, with_test=False)
    assert arrays.train_images.shape[1:] == opened.inputs.input_shape != opened.manifest.input_shape
    assert (set(arrays.mean), set(arrays.std)) == ({0.0}, {1.0})
    # The registration names the data, whose content does not depend on a machine's rounding.
    assert opened.registration.terms["data.digest"] == opened.manifest.digest


def test_a_whole_study_runs_on_them(study):
    for command in ("features", "tune", "confirm", "report"):
        losstune(study, command)
    size = prepared.read_manifest(study / FEATURES).input_shape[0]
    for record in read_records(study / TRIALS):
        assert record.status == "finished"
        # The last layer has a weight per feature and class, and a bias per class unless its outputs are cosines.
        assert record.num_parameters == 10 * size + (0 if record.configuration.loss == "arcface" else 10)
    results = json.loads((study / "results.json").read_text())
    assert results["control"]["identity"]["passed"]
    assert results["data"]["digest"] == prepared.read_manifest(study / PREPARED).digest
    assert all(block.confusion for block in read_records(study / BLOCKS) if block.role == "block")


def test_the_model_of_a_block_is_the_whole_network(study):
    losstune(study, "features")
    params = load_params(study / "params.yaml")
    base, inputs = prepared.read_manifest(study / PREPARED), prepared.read_manifest(study / FEATURES)
    head = build_model(features.HEAD, inputs.input_shape, inputs.num_classes)
    from losstune.models.weights import weights_as_bytes

    (study / "head.safetensors").write_bytes(weights_as_bytes(head))
    network = features.whole(params, base, inputs, {}, study / "head.safetensors").eval()
    test = prepared.read_test(study / PREPARED)
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (base.mean, base.std))
    logits = network((torch.from_numpy(np.array(test.images)).float() - mean) / std)
    expected = head(torch.from_numpy(np.array(prepared.read_test(study / FEATURES).images)))
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


def test_they_are_computed_once(study):
    losstune(study, "features")
    before = (study / FEATURES / "manifest.json").stat().st_mtime_ns
    assert "features: kept" in losstune(study, "features").stdout
    assert (study / FEATURES / "manifest.json").stat().st_mtime_ns == before


def test_the_same_features_wherever_they_are_computed(study, tmp_path_factory, monkeypatch):
    losstune(study, "features")
    other = tmp_path_factory.mktemp("other")
    monkeypatch.chdir(other)
    lay_out(other)
    losstune(other, "features")
    digests = {prepared.read_manifest(folder / FEATURES).digest for folder in (study, other)}
    assert len(digests) == 1


@pytest.mark.parametrize(
    "change", [{"model": {"name": "cnn", "width": 5, "depth": 1, "freeze": "backbone"}}, {"study.seed": 9}]
)
def test_features_of_another_backbone_are_not_used(study, change):
    losstune(study, "features")
    write_params(study, FROZEN | change)
    if "study.seed" in change:
        losstune(study, "prepare")
    done = losstune(study, "tune", check=False)
    assert done.returncode == 2
    assert "data/features: has no features of this data by this backbone; `dvc repro` or `losstune fe" in done.stderr


@pytest.mark.parametrize(
    "change", [{"training.augmentation": "flip"}, {"model": {"name": "cnn", "width": 4, "depth": 1}}]
)
def test_other_studies_use_none(tmp_path, monkeypatch, change):
    monkeypatch.chdir(tmp_path)
    lay_out(tmp_path, FROZEN | change)
    assert "features: not used" in losstune(tmp_path, "features").stdout
    assert [path.name for path in (tmp_path / FEATURES).iterdir()] == [features.NOT_USED]
    losstune(tmp_path, "tune")
    with pytest.raises(LosstuneError):
        prepared.read_manifest(tmp_path / FEATURES)
