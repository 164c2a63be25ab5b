"""A small study in a folder of its own, run by the command line in this process; what a mistake may do to it."""

from __future__ import annotations

import copy
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from losstune.cli import main as cli
from tests.paths import REPOSITORY

CLASSES, PER_CLASS, SIDE = 3, 12, 4
REMOVE = object()
"""In place of a value: takes the key out."""

SMALL: Mapping[str, Any] = {
    "study.name": "small",
    "data.name": "npz",
    "data.root": "data.npz",
    "model": {"name": "mlp", "width": 4, "depth": 1},
    "training.epochs": 1,
    "training.batch_size": 8,
    "losses": ["cross_entropy", "kl_divergence"],
    "tune.trials_per_loss": 1,
    "confirm.num_blocks": 2,
    "confirm.positive_control": False,
    "resources.executor": "inline",
    "resources.device": "cpu",
    "tracking.enabled": False,
}
"""Of the shipped settings: a study of three classes that trains in less than a second."""


@cache
def _shipped() -> dict[str, Any]:
    values: dict[str, Any] = YAML(typ="safe", pure=True).load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    return values


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what it wrote on either stream."""

    code: object
    out: str
    err: str


@dataclass
class Project:
    """A study's folder, which is the working directory, and the streams of this process."""

    folder: Path
    streams: pytest.CaptureFixture[str]
    changes: dict[str, Any] = field(default_factory=lambda: dict(SMALL))

    def write(self, changes: Mapping[str, Any] | None = None) -> None:
        """Write ``params.yaml``: the small study with dotted keys set, removed, or renamed (``training.old->new``)."""
        self.changes |= changes or {}
        values = copy.deepcopy(_shipped())
        for path, value in self.changes.items():
            *above, key = path.split(".")
            section = values
            for name in above:
                section = section[name]
            if "->" in key:
                old, new = key.split("->")
                section[new] = section.pop(old)
            elif value is REMOVE:
                del section[key]
            else:
                section[key] = copy.deepcopy(value)
        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style = False
        with (self.folder / "params.yaml").open("w", encoding="utf-8") as file:
            yaml.dump(values, file)

    def write_arrays(self, name: str = "data.npz", **replaced: Any) -> Path:
        """Write images and labels of three classes, other arrays in their place or besides; None leaves one out."""
        labels = np.arange(CLASSES * PER_CLASS) % CLASSES
        images = np.random.default_rng(0).integers(0, 255, (len(labels), SIDE, SIDE), dtype=np.uint8)
        arrays: dict[str, Any] = {"images": images, "labels": labels} | replaced
        np.savez(self.folder / name, **{key: value for key, value in arrays.items() if value is not None})
        return self.folder / name

    def run(self, *arguments: str) -> Ended:
        """Run a command as the console script does; whatever is not an exit is an error of the test."""
        self.streams.readouterr()
        code: object = 0
        try:
            cli.main(list(arguments))
        except SystemExit as ended:
            code = 0 if ended.code is None else ended.code
        shown = self.streams.readouterr()
        return Ended(code, shown.out, shown.err)

    def refused(self, *arguments: str, under_way: bool = False) -> str:
        """Run a command that has to end in one line, with exit code 2 and nothing changed; return the line.

        Args:
            arguments: The command.
            under_way: Whether lines of progress, which begin with the command's name, may come before.
        """
        before = snapshot(self.folder)
        ended = self.run(*arguments)
        after = snapshot(self.folder)
        assert ended.code == cli.EXIT_MISTAKE, ended
        assert ended.err.endswith("\n"), ended
        *earlier, line = ended.err.removesuffix("\n").split("\n")
        assert not [told for told in earlier if not (under_way and told.startswith(f"{arguments[0]}"))], ended
        assert line.startswith("losstune: ")
        assert "Traceback" not in ended.err + ended.out
        assert changes_between(before, after) == []
        return line.removeprefix("losstune: ")


def snapshot(folder: Path) -> dict[str, object]:
    """Return everything below a folder: name to content, to the target of a link, or to None for a folder."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        name = str(path.relative_to(folder))
        if stat.S_ISLNK(mode):
            found[name] = os.readlink(path)
        else:
            found[name] = path.read_bytes() if stat.S_ISREG(mode) else None
    return found


def changes_between(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Return the names that came, went, or hold something else."""
    return sorted(
        name
        for name in before.keys() | after.keys()
        if (name in before, before.get(name)) != (name in after, after.get(name))
    )


def assert_says(line: str, message: str) -> None:
    """Hold a line to a message, in which an ellipsis stands for anything."""
    pattern = ".*".join(re.escape(part) for part in message.split(" … "))
    assert re.search(pattern, line), f"{line!r} does not say {message!r}"
