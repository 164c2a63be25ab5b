"""Studies with torchvision's models from images to the verdict, and what `check` knows of them beforehand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from losstune.cli import main as cli
from losstune.config.load import load_params
from losstune.stages import confirm, cost, prepare, report, tune
from tests.commands import losstune_process as losstune
from tests.test_pipeline import rows, write_params

CLASSES, PER_CLASS, SIDE = ("finch", "robin", "wren"), 12, 32
SMALLEST = {
    "data.name": "imagefolder",
    "data.root": "birds",
    "data.image_size": SIDE,
    "model.name": "torchvision:shufflenet_v2_x0_5",
    "training.epochs": 1,
    "training.batch_size": 8,
    "losses": ["cross_entropy", "kl_divergence", "focal"],
    "tune.trials_per_loss": 1,
    "confirm.num_blocks": 2,
    "confirm.positive_control": False,
    "resources.executor": "inline",
    "resources.device": "cpu",
    "tracking.enabled": False,
}
CHANNELS = {"L": 1, "RGB": 3}


def birds(folder, mode="RGB"):
    """A folder of classes that differ in brightness."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        (folder / "birds" / name).mkdir(parents=True)
        for number in range(PER_CLASS):
            pixels = rng.integers(0, 60, (SIDE, SIDE, 3)) + 60 * label
            image = Image.fromarray(pixels.astype(np.uint8)).convert(mode)
            image.save(folder / "birds" / name / f"{number}.png")


def make(folder, mode, **changes):
    birds(folder, mode)
    write_params(folder, SMALLEST | {key.replace("__", "."): value for key, value in changes.items()})
    return folder


def run(stage, folder):
    return stage.run(load_params(folder / "params.yaml"), folder, folder)


def check_done(folder, mode):
    blocks = rows(folder / "results/confirm/blocks.jsonl")
    assert [row["status"] for row in blocks] == ["finished"] * 7  # three losses on two blocks, and the control
    manifest = json.loads((folder / "data/prepared/manifest.json").read_text())
    assert manifest["input_shape"] == [CHANNELS[mode], SIDE, SIDE]
    results = json.loads((folder / "results.json").read_text())
    assert results["control"]["identity"]["passed"]
    assert results["verdict"]["action"] in ("keep", "use")
    return results


@pytest.mark.integration
@pytest.mark.parametrize("mode", CHANNELS)
def test_all_stages_inline(mode, tmp_path):
    folder = make(tmp_path, mode)
    run(prepare, folder)
    told = dict(cost.rows(load_params(folder / "params.yaml"), folder, folder))
    assert told["tune"].startswith("kept 0, to train 6 of 6")
    for stage in (tune, confirm, report):
        run(stage, folder)
    check_done(folder, mode)


WITH_RAY = {"resources__executor": "ray", "resources__max_concurrent": 2}


@pytest.mark.integration
def test_ray_tunes_what_the_other_stages_take_up(tmp_path):
    folder = make(tmp_path, "L", **WITH_RAY)
    run(prepare, folder)
    losstune(folder, "tune")
    write_params(folder, {"resources.executor": "inline"})
    for stage in (confirm, report):
        run(stage, folder)
    check_done(folder, "L")


@pytest.mark.slow
@pytest.mark.parametrize("mode", CHANNELS)
def test_all_stages_with_ray(mode, tmp_path):
    folder = make(tmp_path, mode, **WITH_RAY)
    for command in ("check", "prepare", "cost", "tune", "confirm", "report"):
        losstune(folder, command)
    check_done(folder, mode)


@pytest.mark.slow
@pytest.mark.parametrize(
    "builder",
    [
        "resnet18",
        "mobilenet_v3_small",
        "squeezenet1_1",
        "regnet_y_400mf",
        "googlenet",
        "densenet121",
        "efficientnet_b0",
        "mnasnet0_5",
        "vit_b_32",
        "swin_t",
        "convnext_tiny",
    ],
)
def test_the_winner_of_every_family_is_kept_in_mlflow(builder, tmp_path, capsys):
    folder = make(tmp_path, "RGB", model__name=f"torchvision:{builder}", tracking__enabled=True)
    for stage in (prepare, tune, confirm, report):
        run(stage, folder)
    check_done(folder, "RGB")
    assert "not logged" not in capsys.readouterr().err
    assert list((folder / "mlruns").rglob("*.pt2"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.name": "torchvision:inception_v3"}, "'torchvision:inception_v3' can't take images of 3x32x32"),
        ({"model.name": "torchvision:vit_b_32", "data.image_size": 40}, "indivisible by patch size"),
        ({"model.name": "torchvision:mobilenet_v3_small", "training.batch_size": 1}, "training.batch_size: found 1"),
        ({"model.name": "torchvision:squeezenet1_1", "losses": ["cross_entropy", "cosface"]}, "(losses: cosface)"),
        ({"model.name": "torchvision:alexnet", "data.name": "digits", "data.image_size": None}, "of 1x8x8"),
    ],
)
def test_check_finds_what_tune_would_trip_over(changes, message, tmp_path, monkeypatch, capsys):
    write_params(tmp_path, SMALLEST | changes)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main(["check"])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("losstune: params.yaml: ")
    assert message in line


def test_check_takes_the_shape_from_prepared_data_where_nothing_else_tells(tmp_path, monkeypatch, capsys):
    folder = make(tmp_path, "L", data__image_size=None)
    monkeypatch.chdir(folder)
    run(prepare, folder)
    write_params(folder, {"model.name": "torchvision:inception_v3"})
    with pytest.raises(SystemExit):
        cli.main(["check"])
    assert "of 1x32x32" in (told := capsys.readouterr().err)
    assert told.endswith("; the shape comes from data/prepared\n")


@pytest.mark.parametrize("builder", ["resnet18", "regnet_y_400mf"])
def test_check_passes_what_tune_can_train(builder, tmp_path, monkeypatch, capsys):
    write_params(tmp_path, SMALLEST | {"model.name": f"torchvision:{builder}"})
    monkeypatch.chdir(tmp_path)
    cli.main(["check"])
    assert capsys.readouterr().out.startswith("params.yaml is valid.")
