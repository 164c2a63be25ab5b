"""A mistake in the pretrained weights or the frozen layers: one line, before anything trains."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import nn

from losstune.config.settings import ModelSettings
from losstune.models import build_model
from tests.inputs.project import Project, assert_says

MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no file": ({"weights": "none.pt"}, "model.weights: found 'none.pt', but {folder}/none.pt does not exist"),
    "a name like it": ({"weights": "god.pt"}, "does not exist; did you mean 'good.pt'?"),
    "a folder": ({"weights": "folder.pt"}, "{folder}/folder.pt is a folder"),
    "no tensors": ({"weights": "text.pt"}, "model.weights: {folder}/text.pt "),
    "no state dict": ({"weights": "list.pt"}, "list.pt has no state dict: found a list, expected names with tensors"),
    "a whole model": ({"weights": "model.pt"}, "model.pt holds more than tensors, and loading it would run code"),
    "half a file": ({"weights": "half.safetensors"}, "half.safetensors is not a complete safetensors file"),
    "another width": (
        {"weights": "good.pt", "width": 8},
        "good.pt has 0% of the parameters of 'mlp' below its last layer, expected at least 50%: the file has 1.weight, "
        "1.bias, 3.weight, 3.bias, the model 1.weight, 1.bias, and 1.weight has the shape 4x16, expected 8x16; is it",
    ),
    "named weights that are not here": (
        {"name": "torchvision:resnet18", "weights": "DEFAULT"},
        "model.weights: 'DEFAULT' of 'torchvision:resnet18' is not on this machine, expected … model.download: true",
    ),
    "unknown named weights": (
        {"name": "torchvision:resnet18", "weights": "IMAGENET"},
        "model.weights: found 'IMAGENET', expected a file, or weights of 'torchvision:resnet18': IMAGENET1K_V1",
    ),
    "no such layer": ({"freeze": ["encoder"]}, "model.freeze: found 'encoder', which is no layer of this model … 1, 3"),
    "every layer": ({"freeze": ["1", "3"]}, "model.freeze: found 1, 3, which freezes all layers; expected at least"),
}
BEFORE_DATA = ("no file", "a name like it", "a folder", "named weights that are not here", "unknown named weights")


@pytest.fixture
def files(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("TORCH_HOME", str(project.folder / "home"))
    state = build_model(ModelSettings(name="mlp", width=4, depth=1), (1, 4, 4), 3).state_dict()
    torch.save(state, project.folder / "good.pt")
    (project.folder / "folder.pt").mkdir()
    (project.folder / "text.pt").write_text("no tensors")
    torch.save([1, 2], project.folder / "list.pt")
    torch.save(nn.Linear(2, 2), project.folder / "model.pt")
    (project.folder / "half.safetensors").write_bytes(b"\x40\x00")
    return project


def settings(name: str) -> dict[str, Any]:
    return {"model": {"name": "mlp", "width": 4, "depth": 1} | MISTAKES[name][0]}


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.parametrize("command", ["check", "tune"])
def test_a_mistake_in_the_weights_is_one_line(name: str, command: str, files: Project) -> None:
    files.write()
    assert files.run("prepare").code == 0
    files.write(settings(name))
    assert_says(files.refused(command), MISTAKES[name][1].format(folder=files.folder))


@pytest.mark.parametrize("name", BEFORE_DATA)
def test_a_file_is_looked_for_before_the_data_is_prepared(name: str, files: Project) -> None:
    files.write(settings(name))
    assert_says(files.refused("check"), MISTAKES[name][1].format(folder=files.folder))


def test_a_missing_library_is_one_line(files: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    files.write({"model": {"name": "timm:made_up"}})
    assert_says(
        files.refused("check"), "a model 'timm:...' needs timm, which is not installed; `pip install 'losstune["
    )


def test_what_a_loop_of_the_users_own_cannot_honour_is_refused(files: Project) -> None:
    (files.folder / "mine.py").write_text("def train(job):\n    ...\n")
    files.write({"training.loop": "mine.py:train", "model.backbone_factor": 0.1})
    assert_says(files.refused("check"), "model.backbone_factor: found 0.1, but with training.loop the loop makes the")
    files.write({"model.backbone_factor": 1.0, "data.name": "files", "data.root": "home", "model.freeze": "backbone"})
    assert_says(files.refused("check"), "model: found weights or freeze with data.name: files, where the training loop")
