"""A study with a frozen backbone: a trial on its features, against a trial of the whole network.

    python benchmarks/frozen.py FOLDER --weights /tmp/resnet9.safetensors

FOLDER holds images as CIFAR-10 does: ``train/<class>`` and ``test/<class>``. A resnet9 is trained on the first half of
the classes, unless the file of weights is there already. On the other half, both kinds of trial train with the same
settings, in turn, on one thread: the whole network from these weights, and the last layer on features that were
computed once. Prints JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from losstune.config.load import parse_params
from losstune.config.schema import Params
from losstune.core.records import Configuration
from losstune.losses.registry import get
from losstune.stages import features, prepare
from losstune.stages.study import open_study, read_arrays
from losstune.stages.workers import find_device
from losstune.training.loop import train
from losstune.training.task import Arrays, Task, TrainingResult


def main() -> None:
    """Train the backbone if needed, time both kinds of trial, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", type=Path, required=True, help="file of weights, written if it does not exist")
    parser.add_argument("--width", type=int, default=16, help="width of the resnet9")
    parser.add_argument("--pretrain", type=int, default=10, help="epochs of the backbone")
    parser.add_argument("--epochs", type=int, default=10, help="epochs of a trial")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    classes = sorted(path.name for path in (given.folder / "train").iterdir())
    first, second = classes[: len(classes) // 2], classes[len(classes) // 2 :]
    with tempfile.TemporaryDirectory() as temporary:
        halves = [_half(given.folder, Path(temporary) / name, half) for name, half in (("a", first), ("b", second))]
        if not given.weights.exists():
            torch.set_num_threads(os.cpu_count() or 1)
            _pretrain(halves[0], given.weights, given.width, given.pretrain)
        torch.set_num_threads(1)
        print(json.dumps(_compare(halves[1], given.weights, given.width, given.epochs, given.repeats), indent=1))


def _half(source: Path, folder: Path, classes: list[str]) -> Path:
    for split in ("train", "test"):
        for name in classes:
            (folder / "images" / split).mkdir(parents=True, exist_ok=True)
            (folder / "images" / split / name).symlink_to((source / split / name).absolute())
    return folder


def _params(folder: Path, epochs: int, **model: Any) -> Params:
    values = {
        "data": {"name": "imagefolder", "root": str(folder / "images")},
        "model": {"name": "resnet9", **model},
        "training": {"epochs": epochs, "batch_size": 128, "precision": "float32"},
        "losses": ["cross_entropy", "focal"],
    }
    return parse_params(values)


def _task(params: Params, **more: Any) -> Task:
    return Task(
        configuration=Configuration(loss="cross_entropy", hyperparameters={}, learning_rate=2e-3, weight_decay=1e-2),
        seeds=(1,),
        model=params.model,
        training=params.training,
        device="cpu",
        **more,
    )


def _run(task: Task, arrays: Arrays) -> tuple[TrainingResult, float]:
    start = time.perf_counter()
    (results,) = train(task, arrays, get("cross_entropy").bind({}))
    return results[0], time.perf_counter() - start


def _pretrain(folder: Path, weights: Path, width: int, epochs: int) -> None:
    params = _params(folder, epochs, width=width)
    with contextlib.redirect_stdout(sys.stderr):
        prepare.run(params, folder, folder)
    study = open_study(params, folder, folder, find_device)
    result, seconds = _run(_task(params, test=True, keep_weights=True), read_arrays(study, with_test=True))
    assert result.test is not None
    assert result.weights is not None
    print(f"backbone: test accuracy {result.test['accuracy']:.4f} after {seconds:.0f} s", file=sys.stderr)
    weights.write_bytes(result.weights)


def _compare(folder: Path, weights: Path, width: int, epochs: int, repeats: int) -> dict[str, Any]:
    whole = _params(folder, epochs, width=width, weights=str(weights.absolute()))
    frozen = _params(folder, epochs, width=width, weights=str(weights.absolute()), freeze="backbone")
    with contextlib.redirect_stdout(sys.stderr):
        prepare.run(whole, folder, folder)
        start = time.perf_counter()
        features.run(frozen, folder, folder)
    features_sec = time.perf_counter() - start
    found: dict[str, list[tuple[TrainingResult, float]]] = {"whole": [], "frozen": []}
    arrays = {
        name: read_arrays(open_study(params, folder, folder, find_device), with_test=False)
        for name, params in (("whole", whole), ("frozen", frozen))
    }
    for _ in range(repeats):
        found["frozen"].append(_run(_task(frozen.model_copy(update={"model": features.HEAD})), arrays["frozen"]))
        found["whole"].append(_run(_task(whole), arrays["whole"]))
    seconds = {name: statistics.median(time for _, time in runs) for name, runs in found.items()}
    return {
        "features_sec": round(features_sec, 1),
        "trial_sec": {name: round(value, 2) for name, value in seconds.items()},
        "ratio": round(seconds["whole"] / seconds["frozen"], 1),
        "validation_accuracy": {name: round(runs[0][0].validation["accuracy"], 4) for name, runs in found.items()},
    }


if __name__ == "__main__":
    main()
