"""Train a bank of real trainings, of several losses, configurations and seeds: the raw material of validity.py.

    dvc repro benchmarks/dvc.yaml       # all three; or one, from the repository's root:
    python benchmarks/bank.py digits    # digits_noise, features --images FOLDER

``digits``: cross-entropy on the default study's data, model and settings. A study whose losses are all drawn from this
bank is a study of losses that are equal in truth. ``digits_noise``: eight losses on the same data, with 40% wrong
labels in the training split. ``features``: six losses on the features of a frozen backbone. The backbone is trained on
five classes of CIFAR-10, and the bank is about the other five.

Configuration i of every loss of every bank has the same learning rate and weight decay, and configuration 0 is the
published defaults. Seed s is the same for all losses. So differences between losses can be paired over both.

``features`` reads the images of CIFAR-10 (https://www.cs.toronto.edu/~kriz/cifar.html) from a folder with
``train/<class>/`` and ``test/<class>/``. DVC expects it, or a link to it, at ``benchmarks/banks/cifar10``.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scipy.stats import qmc

from losstune.config.load import load_params, parse_params
from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from losstune.core.files import write_atomically
from losstune.core.records import Configuration, Record
from losstune.core.seeds import derive_seed
from losstune.losses.registry import get
from losstune.stages import execute, features, prepare
from losstune.stages.study import open_study, read_arrays
from losstune.stages.workers import find_device
from losstune.study.ledger import Ledger, locked
from losstune.study.plan import FixedPlan
from losstune.study.search import Space
from losstune.training.loop import train
from losstune.training.task import Task

ROOT = Path(__file__).resolve().parent.parent
BANKS = ROOT / "benchmarks" / "banks"
STUDY_SEED = 77_001  # not that of params.yaml, so that the default study's own trainings are not in the bank
NUM_DIMENSIONS = 16  # of the points that all losses share; a loss uses the first of them
NUM_TRAINING, NUM_TEST = 300, 400  # images of a class; a third of the former is for validation
BACKBONE_EPOCHS = 10
SCORES = ("validation", "validation_mean", "test")
COLUMNS = ("loss", "configuration", "learning_rate", "weight_decay", "hyperparameters", "seed", "status", *SCORES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """What a bank trains.

    Attributes:
        losses: Names of the losses.
        num_configurations: Configurations of each loss, including its published defaults.
        num_seeds: Trainings of each configuration.
        prepare: Takes the folder of the images, writes the data that is not there yet, and returns the settings and the
            folder of data and ledger.
    """

    losses: tuple[str, ...]
    num_configurations: int
    num_seeds: int
    prepare: Callable[[Path | None], tuple[Params, Path]]


def digits(_: Path | None) -> tuple[Params, Path]:
    """Return the default study, on the repository's prepared data."""
    return _default("digits"), ROOT


def digits_noise(_: Path | None) -> tuple[Params, Path]:
    """Return the default study with wrong labels in the training split."""
    params, folder = _default("digits_noise"), BANKS / "work" / "digits_noise"
    data = params.data.model_copy(update={"label_noise": 0.4, "noisy_splits": ("train",)})
    params = params.model_copy(update={"data": data})
    prepare.run(params, folder, folder)
    return params, folder


def frozen_features(images: Path | None) -> tuple[Params, Path]:
    """Return a study on few images of five classes, with a frozen backbone that was trained on the other five."""
    if images is None:
        raise LosstuneError("features: name the folder of CIFAR-10's images: --images FOLDER")
    work = BANKS / "work" / "features"
    classes = sorted(path.name for path in (images / "train").iterdir())
    backbone, weights = work / "backbone", work / "backbone.safetensors"
    if not weights.exists():
        _link(images, backbone, classes[:5], None, None)
        write_atomically(weights, _backbone(backbone))
    _link(images, work, classes[5:], NUM_TRAINING, NUM_TEST)
    params = _image_params(work, FEATURES, weights=str(weights), freeze="backbone")
    prepare.run(params, work, work)
    features.run(params, work, work)
    return params, work


DIGITS_NOISE = ("cross_entropy", "label_smoothing", "focal", "gce", "bi_tempered", "js", "apl", "mae")
FEATURES = ("cross_entropy", "label_smoothing", "square", "squentropy", "sigmoid_bce", "logit_norm")
BANK_OF = {
    "digits": Bank(losses=("cross_entropy",), num_configurations=64, num_seeds=40, prepare=digits),
    "digits_noise": Bank(losses=DIGITS_NOISE, num_configurations=48, num_seeds=16, prepare=digits_noise),
    "features": Bank(losses=FEATURES, num_configurations=48, num_seeds=24, prepare=frozen_features),
}


def main() -> None:
    """Train what the ledger lacks and write the bank; interrupt and run again as you like."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=BANK_OF)
    parser.add_argument("--images", type=Path, help="folder of CIFAR-10's images, for features")
    parser.add_argument("--configurations", type=int, help="of each loss")
    parser.add_argument("--seeds", type=int, help="of each configuration")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    bank = BANK_OF[options.name]
    bank = replace(
        bank,
        num_configurations=options.configurations or bank.num_configurations,
        num_seeds=options.seeds or bank.num_seeds,
    )
    output = options.output or BANKS / f"{options.name}.csv"
    write_atomically(output, table(trained(bank, options.images)))
    print(f"wrote {output}")


def points(space: Space, num_configurations: int) -> list[Configuration]:
    """Return the published defaults and scrambled Sobol points.

    The shared hyperparameters come first in a space, so they have the same values for every loss.
    """
    sobol = qmc.Sobol(NUM_DIMENSIONS, scramble=True, rng=derive_seed(STUDY_SEED, "search") % 2**32)
    drawn = [
        {name: span.from_unit(float(unit)) for (name, span), unit in zip(space.ranges.items(), row, strict=False)}
        for row in sobol.random_base2(max(5, (num_configurations - 1).bit_length()))
    ]
    return [space.configuration(values) for values in [space.defaults, *drawn][:num_configurations]]


def trained(bank: Bank, images: Path | None) -> list[tuple[int, int, Record]]:
    """Return configuration, seed and record of each training, by loss, configuration and seed."""
    params, folder = bank.prepare(images)
    study = open_study(params, folder, folder, find_device)
    configurations = {loss: points(study.spaces[loss], bank.num_configurations) for loss in bank.losses}
    # Seed by seed, so that a bank that was interrupted has the first seeds of all losses.
    cells = [
        (loss, number, seed)
        for seed in range(bank.num_seeds)
        for loss in bank.losses
        for number in range(bank.num_configurations)
    ]
    jobs = [
        study.make_job(
            study.task(configurations[loss][number], derive_seed(STUDY_SEED, "bank", seed), test=True),
            "confirm",
            "block",
            0,
            number * bank.num_seeds + seed,
        )
        for loss, number, seed in cells
    ]
    with locked(folder, "bank"):
        ledger = Ledger(folder)
        plan = FixedPlan(jobs, ledger)
        execute.execute_stage(study, "confirm", plan, ledger, lambda: read_arrays(study, with_test=True))
    # By position: a training that a bank of another size had kept has another index.
    records = {cell: entry.record for cell, entry in zip(cells, plan.entries(), strict=True)}
    return [
        (number, seed, records[loss, number, seed])
        for loss in bank.losses
        for number in range(bank.num_configurations)
        for seed in range(bank.num_seeds)
    ]


def table(rows: list[tuple[int, int, Record]]) -> str:
    """Return the bank as CSV text; a training that diverged or failed has an accuracy of 0."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, seed, record in rows:
        configuration = record.configuration
        assert record.test is not None
        is_finished = record.status == "finished"
        curve = [epoch.validation["accuracy"] for epoch in record.curve]
        scores = (record.validation["accuracy"], math.fsum(curve) / max(1, len(curve)), record.test["accuracy"])
        writer.writerow(
            [
                configuration.loss,
                number,
                f"{configuration.learning_rate:.6g}",
                f"{configuration.weight_decay:.6g}",
                " ".join(f"{name}={value:.6g}" for name, value in configuration.hyperparameters.items()),
                seed,
                record.status,
                *(f"{score if is_finished else 0.0:.6f}" for score in scores),
            ]
        )
    return text.getvalue()


def _default(name: str) -> Params:
    params = load_params(ROOT / "params.yaml")
    tracking = params.tracking.model_copy(update={"enabled": False})
    losses = BANK_OF[name].losses
    return params.model_copy(update={"tracking": tracking, "losses": losses})


def _image_params(folder: Path, losses: tuple[str, ...], **model: Any) -> Params:
    return parse_params(
        {
            "data": {"name": "imagefolder", "root": str(folder / "images"), "validation_fraction": 1 / 3},
            "model": {"name": "resnet9", "width": 16, **model},
            "training": {"epochs": 15, "batch_size": 64, "precision": "float32"},
            "losses": list(losses),
            "tracking": {"enabled": False},
        }
    )


def _link(source: Path, folder: Path, classes: list[str], num_training: int | None, num_test: int | None) -> None:
    for split, most in (("train", num_training), ("test", num_test)):
        for name in classes:
            into = folder / "images" / split / name
            into.mkdir(parents=True, exist_ok=True)
            for image in sorted((source / split / name).iterdir())[:most]:
                if not (into / image.name).exists():
                    (into / image.name).symlink_to(image.resolve())


def _backbone(folder: Path) -> bytes:
    """Return the weights of a resnet9 with the settings of its defaults."""
    params = _image_params(folder, ("cross_entropy",))
    prepare.run(params, folder, folder)
    study = open_study(params, folder, folder, find_device)
    task = Task(
        configuration=Configuration(loss="cross_entropy", hyperparameters={}, learning_rate=2e-3, weight_decay=1e-2),
        seeds=(derive_seed(STUDY_SEED, "backbone"),),
        model=params.model,
        training=study.params.training.model_copy(update={"epochs": BACKBONE_EPOCHS, "batch_size": 128}),
        device=study.device,
        test=True,
        keep_weights=True,
    )
    ((result,),) = train(task, read_arrays(study, with_test=True), get("cross_entropy").bind({}))
    assert result.test is not None
    assert result.weights is not None
    print(f"backbone: test accuracy {result.test['accuracy']:.4f}")
    return result.weights


if __name__ == "__main__":
    main()
