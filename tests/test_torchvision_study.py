"""torchvision's models through all four stages, as the README's recipe has it: grey and RGB, with and without Ray."""

import json
from importlib import import_module

import numpy as np
import pytest
from PIL import Image

from losstune.params import load_params
from losstune.stages import cost, prepare, report
from tests.test_pipeline import losstune, rows, write_params

STAGES = ("prepare", "tune", "confirm", "report")
SIDE = 32


def write_study(folder, model, channels, executor):
    """Two classes that a network can tell apart: bright and dark, with noise."""
    random = np.random.default_rng(0)
    for split, num in (("train", 24), ("test", 12)):
        for name, level in (("bright", 170), ("dark", 80)):
            (folder / "images" / split / name).mkdir(parents=True)
            for number in range(num):
                pixels = random.normal(level, 30, (SIDE, SIDE, 3)[: 3 if channels == 3 else 2])
                image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
                image.save(folder / "images" / split / name / f"{number}.png")
    changes = {
        "study.name": "torchvision",
        "data.name": "imagefolder",
        "data.root": "images",
        "data.image_size": SIDE,
        "model": {"name": f"torchvision:{model}", "width": 16, "depth": 1},
        "training.epochs": 1,
        "training.batch_size": 8,
        "losses": ["cross_entropy", "kl_divergence"],
        "tune.trials_per_loss": 1,
        "confirm.num_blocks": 2,
        "confirm.positive_control": False,
        "resources.executor": executor,
        "tracking.enabled": False,
    }
    write_params(folder, changes)


def check_finished(folder, channels):
    results = json.loads((folder / "results.json").read_text())
    assert results["verdict"]["sentence"]
    manifest = json.loads((folder / "data/prepared/manifest.json").read_text())
    assert manifest["input_shape"] == [channels, SIDE, SIDE]
    for stage, name, num in (("tune", "trials", 4), ("confirm", "blocks", 5)):
        records = rows(folder / f"results/{stage}/{name}.jsonl")
        assert [record["status"] for record in records] == ["finished"] * num


# A residual network with the stem that small images get, one whose first layer another number of channels replaces,
# one without a linear head, one whose head torchvision starts at zero, and one that computes its widths with tensors.
@pytest.mark.parametrize(
    ("model", "channels"),
    [
        ("resnet18", 3),
        ("shufflenet_v2_x0_5", 1),
        ("squeezenet1_1", 1),
        pytest.param("vit_b_32", 1, marks=pytest.mark.slow),
        pytest.param("regnet_x_400mf", 3, marks=pytest.mark.slow),
    ],
)
def test_inline(tmp_path, monkeypatch, model, channels):
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path, model, channels, "inline")
    for stage in STAGES:
        import_module(f"losstune.stages.{stage}").run(load_params(), tmp_path, tmp_path)
        if stage == "prepare" and model != "resnet18":  # which would be timed for long
            told = dict(cost.rows(load_params(), tmp_path, tmp_path))
            assert told["tune"].startswith("kept 0, to train 4 of 4")
    check_finished(tmp_path, channels)


@pytest.mark.parametrize(
    ("model", "channels"), [("mobilenet_v3_small", 3), pytest.param("resnet18", 1, marks=pytest.mark.slow)]
)
def test_with_ray(tmp_path, monkeypatch, model, channels):
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path, model, channels, "ray")
    prepare.run(load_params(tmp_path / "params.yaml"), tmp_path, tmp_path)
    for stage in ("tune", "confirm"):
        losstune(tmp_path, stage)
    report.run(load_params(tmp_path / "params.yaml"), tmp_path, tmp_path)
    check_finished(tmp_path, channels)
