"""The norm of trained networks' outputs, recomputed in numpy from the weights in the ledger."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file

from losstune.data import prepared
from losstune.stages.layout import BLOCKS, FEATURES, PREPARED, read_records
from losstune.stages.output_norms import with_output_norms
from losstune.study.ledger import Ledger
from tests.commands import losstune
from tests.report.studies import make_study
from tests.test_pipeline import SMALL, write_params
from tests.verdict.test_pipeline import GATED

STUDY = SMALL | {
    "data.validation_fraction": 0.1,  # few enough that none is left out
    "losses": ["cross_entropy", "logit_norm", "arcface"],
    "tune.trials_per_loss": 3,
    "confirm.num_blocks": 4,
}
LINEAR = STUDY | {"model": {"name": "linear", "width": 8, "depth": 1}}
FROZEN = STUDY | {"model": {"name": "cnn", "width": 4, "depth": 1, "freeze": "backbone"}}


@pytest.fixture(scope="module", params=[LINEAR, FROZEN], ids=["whole", "features"])
def done(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("norms")
    write_params(folder, request.param)
    for stage in ("prepare", "features", "tune", "confirm", "report"):
        losstune(folder, stage)
    return folder


def norms_of(folder):
    losses = json.loads((folder / "results.json").read_text())["losses"]
    return {loss["loss"]: loss["output_norms"] for loss in losses if "output_norms" in loss}


def kept(folder):
    """The weights of the first block of each configuration of logit_norm, by the block's number."""
    found = {}
    for block in sorted(read_records(folder / BLOCKS), key=lambda block: (block.search, block.index)):
        if block.configuration.loss == "logit_norm" and block.role == "block":
            found.setdefault(block.configuration.model_dump_json(), block)
    return {block.number: Ledger(folder).weights(block.key) for block in found.values()}


def test_it_is_the_median_over_the_validation_split_of_each_network(done):
    place = done / (FEATURES if (done / FEATURES / "manifest.json").exists() else PREPARED)
    manifest = prepared.read_manifest(place)
    samples = np.asarray(prepared.read_development(place).validation_images, dtype=np.float64)
    scale = tuple(np.reshape(values, (-1, *[1] * (samples.ndim - 2))) for values in (manifest.mean, manifest.std))
    inputs = ((samples - scale[0]) / scale[1]).reshape(len(samples), -1)
    expected = {}
    for number, path in kept(done).items():
        weights = load_file(path)
        (matrix,) = (value for value in weights.values() if value.ndim == 2)
        (bias,) = (value for value in weights.values() if value.ndim == 1)
        norm = np.median(np.linalg.norm(inputs @ matrix.T.astype(np.float64) + bias, axis=1))
        expected[number] = pytest.approx(norm, rel=1e-3)
    assert expected
    assert norms_of(done) == {"logit_norm": expected}
    rows = (done / "report" / "plots" / "weights.csv").read_text()
    assert all(f",{norm:.6g}," in rows for norm in norms_of(done)["logit_norm"].values())


def test_without_the_weights_it_is_not_known_and_the_report_is_written(done, tmp_path):
    folder = shutil.copytree(done, tmp_path / "study")
    paths = list(kept(folder).values())
    for path in paths:
        path.write_bytes(b"damaged")
    said = losstune(folder, "report").stderr
    assert "report: the norms of the outputs are not known: " in said
    assert "not a complete safetensors file" in said
    assert norms_of(folder) == {}
    for path in paths:
        path.unlink()
    assert "norms" not in losstune(folder, "report").stderr
    assert norms_of(folder) == {}


def test_the_network_of_a_loop_of_the_users_own_is_not_known():
    study = make_study(GATED | {"logit_norm": GATED["focal"]})
    training = SimpleNamespace(loop="my_training.py:train")
    place = SimpleNamespace(params=SimpleNamespace(training=training), inputs=SimpleNamespace(num_classes=3))
    results = study.results()
    assert with_output_norms(results, place, study.confirm) is results
