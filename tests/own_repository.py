"""A repository that is a user's own: a Git repository with images, a model and a loss, and no losstune in it."""

from __future__ import annotations

import copy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from tests.commands import DVC, losstune, run
from tests.shared import made_once

MODEL = '''
"""A model of one's own."""
from torch import nn

from layers import hidden


def build(num_classes, input_shape, **options):
    channels, height, width = input_shape
    return nn.Sequential(nn.Flatten(), *hidden(channels * height * width), nn.Linear(8, num_classes))
'''
LAYERS = """
from torch import nn


def hidden(num_inputs):
    return [nn.Linear(num_inputs, 8), nn.ReLU()]
"""
LOSS = """
from torch.nn import functional as F


def tilted(logits, target):
    losses = F.cross_entropy(logits, target, reduction="none")
    return losses + 0.1 * losses**2
"""
SMALL: dict[str, Any] = {
    "study": {"name": "birds"},
    "data": {"name": "imagefolder", "root": "photos"},
    "model": {"name": "my_models.py:build"},
    "training": {"epochs": 2},
    "losses": ["cross_entropy", "kl_divergence", "my_losses.py:tilted"],
    "tune": {"trials_per_loss": 2},
    "confirm": {"num_blocks": 2, "positive_control": False},
    "resources": {"executor": "inline", "device": "cpu"},
    "tracking": {"enabled": False},
}
"""A study of nine lines, which trains in a second."""


def write_photos(folder: Path, *, classes: int = 3, per_class: int = 10, sides: tuple[int, ...] = (8,)) -> Path:
    """Write images that differ by class, a folder per class."""
    generator = np.random.default_rng(0)
    for label in range(classes):
        for number in range(per_class):
            width, height = sides[number % len(sides)], sides[(number + label) % len(sides)]
            pixels = generator.integers(0, 120, (height, width, 3)) + 60 * (label % 3)
            path = folder / f"class{label}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    return folder


def write_own_code(folder: Path) -> None:
    """Write a model, a file that it imports, and a loss."""
    for name, text in (("my_models.py", MODEL), ("layers.py", LAYERS), ("my_losses.py", LOSS)):
        (folder / name).write_text(text, encoding="utf-8")


def write_settings(folder: Path, changes: dict[str, Any] | None = None) -> None:
    """Write ``params.yaml``: the small study with dotted keys set."""
    values = copy.deepcopy(SMALL)
    for path, value in (changes or {}).items():
        section, _, key = path.partition(".")
        if key:
            values.setdefault(section, {})[key] = value
        else:
            values[section] = value
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(values, file)


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "A study", "--allow-empty")


def dvc(folder: Path, *arguments: str) -> str:
    return run(folder, *DVC, *arguments)


def lay_out(folder: Path, data: str = "photos", **changes: Any) -> Path:
    """Make the repository in `folder`, with data at a path relative to it, and a study by ``losstune init``."""
    folder.mkdir(exist_ok=True)
    git(folder, "init", "-q")
    write_photos(folder / data)
    write_own_code(folder)
    (folder / ".gitignore").write_text("/photos/\n", encoding="utf-8")
    losstune(folder, "init", data, "--model", "my_models.py:build")
    write_settings(folder, {"data.root": data} | changes)
    commit(folder)
    return folder


def reproduced(factory: pytest.TempPathFactory, folder: Path) -> Path:
    """Return a copy, in `folder`, of a repository whose study ``dvc repro`` took to its verdict. Data is beside it."""

    def make(made: Path) -> None:
        repository = lay_out(made / "repository", "../photos")
        dvc(repository, "repro")
        commit(repository)

    made = made_once(factory, "own_repository", make)
    shutil.copytree(made, folder, symlinks=True, dirs_exist_ok=True)
    return folder / "repository"
