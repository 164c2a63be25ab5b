"""Where the samples lie changes no number: arrays or encoded images, a copy or a mapped file, one worker or another."""

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from losstune.stages.layout import BLOCKS, PREPARED, TRIALS
from tests.commands import losstune
from tests.test_pipeline import SMALL, write_params


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_images(root):
    digits = load_digits()
    for index, (pixels, label) in enumerate(zip(digits.images[:600], digits.target, strict=False)):
        (root / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15).astype(np.uint8)).save(root / str(label) / f"{index}.png")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"training.mixup": 0.3, "training.augmentation": "flip_crop", "model": {"name": "cnn", "width": 4, "depth": 1}},
        {"model": {"name": "cnn", "width": 4, "depth": 1, "freeze": "backbone"}},
        {"training.loop": "mine.py:loop"},
    ],
    ids=["plain", "mixed", "features", "loop"],
)
def test_encoded_images_train_to_the_same_bit(tmp_path, changes, monkeypatch):
    write_images(tmp_path / "images")
    (tmp_path / "mine.py").write_text(
        "from losstune import Result\n"
        "def loop(job):\n"
        "    model = job.build_model()\n"
        "    for epoch in range(1, job.epochs + 1):\n"
        "        inputs, targets = job.train[list(range(32))]\n"
        "        job.criterion(model(inputs), targets).backward()\n"
        "        outputs = job.probabilities(model(job.validation.inputs).detach())\n"
        "        job.report(epoch, outputs)\n"
        "    test = job.probabilities(model(job.test.inputs).detach()) if job.score_test else None\n"
        "    return Result(validation=outputs, test=test)\n"
    )
    found = {}
    for storage in ("decoded", "encoded"):
        data = {"data.name": "imagefolder", "data.root": "../images", "data.storage": storage}
        folder = tmp_path / storage
        folder.mkdir()
        (folder / "mine.py").write_text((tmp_path / "mine.py").read_text())
        write_params(folder, SMALL | data | {"tune.trials_per_loss": 1, "training.epochs": 2} | changes)
        monkeypatch.chdir(folder)
        for stage in ("check", "prepare", "check", "features", "tune", "confirm", "report"):
            losstune(folder, stage)
        found[storage] = [(folder / path).read_text() for path in (TRIALS, BLOCKS, "metrics.json")]
    assert found["encoded"] == found["decoded"]
    manifest = json.loads((tmp_path / "encoded" / PREPARED / "manifest.json").read_text())
    assert set(manifest["encoded"]["bytes"]) == {
        "development/train_images.npy",
        "development/validation_images.npy",
        "test/images.npy",
    }


def test_storage_is_for_images_in_files(tmp_path):
    write_params(tmp_path, SMALL | {"data.storage": "encoded"})
    done = losstune(tmp_path, "check", check=False)
    assert done.returncode == 2
    assert 'data.storage: found "encoded", expected "decoded": digits does not read it' in done.stderr
