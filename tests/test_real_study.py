"""studies/real: the matrix is valid, and as large as it has to be. Needs neither MNIST nor CIFAR-10."""

import gzip
import importlib.util
import itertools
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import PurePath

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML
from safetensors.torch import save_file
from sklearn.datasets import load_breast_cancer, load_wine

from losstune.config.data import NoiseSettings
from losstune.config.load import load_params
from losstune.config.matrix import load_matrix
from losstune.config.schema import Params
from losstune.data import npz
from losstune.data.noise import transition_matrix
from losstune.losses.registry import get
from losstune.models import build_network
from losstune.stages.budgets import require_budget
from losstune.stages.cell_names import check_cell
from tests.paths import REPOSITORY

REAL = REPOSITORY / "studies" / "real"
_spec = importlib.util.spec_from_file_location("real_study_data", REAL / "data.py")
data = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(data)

ASKED_FOR = {
    *("cross_entropy", "kl_divergence", "keras_kl_divergence", "label_smoothing", "focal", "poly1", "logit_norm"),
    *("sigmoid_bce", "square", "squentropy", "brier", "spherical", "mae", "crammer_singer"),
    *("gce", "sce", "apl", "js", "bi_tempered"),
}
FOR_UNBALANCED = {"class_balanced", "logit_adjusted", "ldam"}


@pytest.fixture(scope="module")
def cells():
    return list(load_matrix(load_params(REAL / "params.yaml"), REAL / "matrix.yaml"))


def condition(params):
    noise = params.data.label_noise
    if params.data.long_tail:
        return "tail" if noise == 0.0 else "both"
    return "asymmetric" if isinstance(noise, NoiseSettings) else "symmetric" if noise else "clean"


def test_there_are_enough_cells_of_every_condition(cells):
    assert len(cells) >= 20
    counts = Counter(condition(cell.params) for cell in cells)
    assert counts == {"clean": 7, "symmetric": 7, "asymmetric": 7, "tail": 4}
    models = {(cell.params.model.name, cell.params.model.freeze) for cell in cells}
    assert models == {("cnn", "none"), ("resnet9", "backbone"), ("mlp", "none")}


def test_a_name_says_the_condition(cells):
    endings = {"_sym40": "symmetric", "_asym40": "asymmetric", "_tail50": "tail"}
    for cell in cells:
        data = cell.name.rpartition("-")[0]
        found = [name for ending, name in endings.items() if data.endswith(ending)]
        assert condition(cell.params) == (found[-1] if found else "clean"), cell.name
        noise, tail = cell.params.data.label_noise, cell.params.data.long_tail
        assert (noise.rate if isinstance(noise, NoiseSettings) else noise) in (0.0, 0.4)
        assert tail in (None, 50)
        assert cell.params.data.noisy_splits == ("train",)


def test_every_cell_has_its_losses(cells):
    for cell in cells:
        losses = set(cell.params.losses)
        assert len(losses) >= 20
        assert losses >= ASKED_FOR
        # Balanced classes make twins of them; tables have unbalanced ones.
        is_unbalanced = condition(cell.params) == "tail" or cell.params.data.name == "table"
        assert losses >= FOR_UNBALANCED if is_unbalanced else not losses & FOR_UNBALANCED, cell.name
        assert all(get(loss) for loss in losses)


def test_a_cell_is_judged_by_the_pooled_protocol_with_a_budget(cells):
    for cell in cells:
        assert cell.params.is_pooled
        assert cell.params.budget.trainings >= 400
        require_budget(cell.params)
        assert cell.params.protocol == "pooled"
    assert len({(cell.params.tune.metric, cell.params.report.alpha, cell.params.baseline) for cell in cells}) == 1


def test_names_in_the_cells_are_known(cells, monkeypatch, tmp_path):
    shutil.copytree(REAL / "models", tmp_path / "models")
    frozen = next(cell.params.model for cell in cells if cell.params.model.freeze == "backbone")
    network = build_network(frozen.model_copy(update={"weights": None, "freeze": "none"}), (3, 32, 32), 5, {})
    save_file(network.state_dict(), tmp_path / frozen.weights)
    monkeypatch.chdir(tmp_path)
    for cell in cells:
        check_cell(cell)


def test_the_pairs_of_noise_are_classes_of_the_data(cells):
    digits = [str(number) for number in range(10)]
    classes = {"digits": digits, "mnist": digits, "mnist_rgb": digits, "cifar10": data.CLASSES}
    classes |= {"cifar10_unseen": data.UNSEEN, "breast_cancer": load_breast_cancer().target_names}
    classes["wine"] = load_wine().target_names
    noisy = [cell for cell in cells if condition(cell.params) == "asymmetric"]
    for cell in noisy:
        names = list(classes[cell.name.partition("_asym40")[0]])
        rates = transition_matrix(cell.params.data.label_noise, names)
        assert set(np.diag(rates)) <= {1.0, 0.6}
    assert len(noisy) == 7


def test_dvc_reads_the_pipeline(cells, tmp_path):
    for name in ("dvc.yaml", "matrix.yaml", "params.yaml"):
        shutil.copy(REAL / name, tmp_path)
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--quiet", "--no-scm"], cwd=tmp_path, check=True, timeout=60)
    listed = subprocess.run(
        [*dvc, "stage", "list", "--name-only", "dvc.yaml"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.split()
    studies = [f"study@{cell.name.rpartition('-')[0]}" for cell in cells]
    assert listed == ["sklearn", "mnist", "cifar10", "backbone", *studies, "across"]


def test_a_cell_depends_on_what_it_reads(cells):
    """The pipeline takes the file of the data and the folder of the model from the entry of the matrix."""
    pipeline = YAML(typ="safe", pure=True).load(REAL / "dvc.yaml")["stages"]
    entries = YAML(typ="safe", pure=True).load(REAL / "matrix.yaml")["matrix"]
    assert pipeline["study"]["foreach"] == "${matrix.data}"
    stage = pipeline["study"]["do"]
    assert stage["cmd"] == "losstune study --data ${key} --model ${item.models[0]}"
    assert stage["deps"] == ["${item.data.root}", "models/${item.models[0]}", "../../src/losstune"]
    sections = set(Params.model_fields) - {"resources", "tracking"}
    assert {item for item in stage["params"] if isinstance(item, str)} == sections
    written = [out for one in ("sklearn", "mnist", "cifar10", "backbone") for out in pipeline[one]["outs"]]
    for name, entry in entries["data"].items():
        (model,) = entry["models"]
        assert any(PurePath(entry["data"]["root"]).is_relative_to(out) for out in written), name
        assert (REAL / "models" / model).is_dir()
        weights = entries["model"][model].get("model", {}).get("weights")
        assert weights is None or (weights in written and weights.startswith(f"models/{model}/"))


def test_a_cell_has_the_outs_of_the_other_studies():
    """Of the root's stage `study`: what Git keeps, and what DVC's cache keeps."""
    read = YAML(typ="safe", pure=True)
    ours = read.load(REAL / "dvc.yaml")["stages"]["study"]["do"]
    theirs = read.load(REPOSITORY / "dvc.yaml")["stages"]["study"]
    for kind in ("outs", "metrics"):
        text = json.dumps(theirs[kind]).replace("${item.data}-${item.model}", "${key}-${item.models[0]}")
        assert ours[kind] == json.loads(text)


def test_the_tables_have_the_committed_bytes(tmp_path):
    for name in ("data.py", "data.sha256"):
        shutil.copy(REAL / name, tmp_path)
    done = subprocess.run(
        [sys.executable, "data.py", "sklearn"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert [line.rpartition(": ")[2] for line in done.stdout.splitlines()] == ["as committed"] * 2
    (tmp_path / "data.sha256").write_text("")
    done = subprocess.run(
        [sys.executable, "data.py", "sklearn"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "NOT as committed" in done.stdout


@pytest.mark.parametrize(("variable", "source"), [("LOSSTUNE_MNIST", None), ("LOSSTUNE_CIFAR10", "nowhere")])
def test_missing_data_is_told_in_one_line(variable, source):
    given = {"LOSSTUNE_MNIST": "", "LOSSTUNE_CIFAR10": ""} | ({variable: source} if source else {})
    done = subprocess.run(
        [sys.executable, "data.py", variable.partition("_")[2].lower()],
        cwd=REAL,
        env=os.environ | given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"{variable}: ")
    assert done.stderr.count("\n") == 1


def test_parts_are_stratified_and_disjoint():
    images = {name: np.arange(start, start + 50) for name, start in (("a", 0), ("b", 100))}
    first, second = data.part(images, 0, 20), data.part(images, 20, 30)
    for name, found in images.items():
        assert sorted([*first[name], *second[name]]) == list(found)
    again = data.part(images, 0, 20)
    assert all((again[name] == first[name]).all() for name in images)


@pytest.mark.parametrize("ending", [None, ".tar", ".tar.gz", ".tar.zst"])
def test_images_come_from_a_folder_or_an_archive(tmp_path, monkeypatch, ending):
    """A few images of each class, each of one colour; PNG, so that nothing is rounded."""
    expected = {}
    for split, number in itertools.product(("train", "test"), range(20)):
        name = data.CLASSES[number % 10]
        expected[split, name, number // 10] = colour = (number, 100 if split == "test" else 0, 7)
        path = tmp_path / "images" / split / name / f"{number // 10:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), colour).save(path)
    source = tmp_path / "images"
    if ending is not None:
        if ending == ".tar.zst" and shutil.which("zstd") is None:
            pytest.skip("there is no zstd")
        with tarfile.open(tmp_path / "images.tar", "w") as archive:
            archive.add(source, ".")
        source = tmp_path / f"images{ending}"
        if ending == ".tar.gz":
            source.write_bytes(gzip.compress((tmp_path / "images.tar").read_bytes()))
        if ending == ".tar.zst":
            subprocess.run(["zstd", "-q", tmp_path / "images.tar"], check=True)
    monkeypatch.setenv("LOSSTUNE_CIFAR10", str(source))
    with data.cifar10_images() as splits:
        for (split, name, number), colour in expected.items():
            assert splits[split][name].shape == (2, 32, 32, 3)
            assert (splits[split][name][number] == colour).all()


def test_mnist_is_read_by_class(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 28, 28), dtype=np.uint8)
    labels = np.arange(30, dtype=np.uint8) % 10
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        header = struct.pack(f">{1 + array.ndim}i", 2048 + array.ndim, *array.shape)
        (tmp_path / f"train-{kind}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))
    found = data.by_class(tmp_path, "train")
    assert list(found) == list("0123456789")
    assert (found["3"] == images[[3, 13, 23]]).all()


def test_an_archive_of_arrays_is_data_that_losstune_reads(tmp_path):
    images = {name: np.full((3, 4, 4, 3), value, dtype=np.uint8) for name, value in (("cat", 1), ("ant", 2))}
    content = data.archive({"train": images, "test": {name: one[:1] for name, one in images.items()}})
    assert content == data.archive({"train": images, "test": {name: one[:1] for name, one in images.items()}})
    (tmp_path / "data.npz").write_bytes(content)
    raw = npz.load(tmp_path / "data.npz")
    assert (raw.class_names, raw.labels.tolist(), raw.test_labels.tolist()) == (
        ("cat", "ant"),
        [0, 0, 0, 1, 1, 1],
        [0, 1],
    )
    assert raw.images.shape == (6, 3, 4, 4)
