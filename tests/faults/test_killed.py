"""A study that is killed at any point goes on, and ends with the bytes of one that was not."""

import random
import shutil
import time

import pytest

from tests.faults.study import FEW, RESULTS, SMALL, VERDICT, KilledStudy, Point, draw, short_temp
from tests.test_dvc_repro import make_checkout
from tests.test_pipeline import write_params

SEED = 20240611
MANY = {"tune.trials_per_loss": 20}
REPRO = ("dvc", "repro")


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The folder of a study that nobody disturbed."""
    folder = tmp_path_factory.mktemp("reference")
    write_params(folder, SMALL | MANY)
    with short_temp() as temp:
        study = KilledStudy(folder, temp)
        for stage in ("prepare", "tune", "confirm", "report"):
            study.run(stage)
    assert not any(study.tally.faults().values()), study.tally
    return folder


@pytest.fixture
def temp():
    with short_temp() as folder:
        yield folder


@pytest.mark.integration
def test_a_handful_of_kills_cost_no_finished_training(small_reference, tmp_path, temp):
    study = KilledStudy(tmp_path / "study", temp)
    study.folder.mkdir()
    write_params(study.folder, SMALL | FEW)
    shutil.copytree(small_reference / "data", study.folder / "data")
    for point in (
        Point(("tune",), "driver", trained=2),
        Point(("tune",), "SIGTERM", trained=3),
        Point(("tune",), "power", cut="*.json:3:half"),
        Point(("tune",), "group", trained=1, wait_sec=0.01),
    ):
        assert study.kill(point), point
    for stage in ("tune", "confirm"):
        study.run(stage)
    study.compare(small_reference, RESULTS)
    assert study.tally.kills.total() == 4
    assert not any(study.tally.faults().values()), study.tally
    assert not study.parts()


TUNE_ENDS = (
    Point(("tune",), "power", cut="trials.jsonl:1:before"),
    Point(("tune",), "power", cut="trials.jsonl:1:after"),
    Point(REPRO, "power", cut="executions.jsonl:1:half"),
)
"""Kills at the end of the stage, where the files are written that the next one reads."""

CONFIRM_ENDS = (
    Point(("confirm",), "power", cut="blocks.jsonl:1:half"),
    Point(("report",), "power", cut="results.json:1:half"),
    Point(REPRO, "power", cut="metrics.json:1:before"),
)

BEFORE_CONFIRM = (
    Point(("confirm",), "power", cut="0000-*.json:1:half"),
    Point(("confirm",), "power", cut="registration.json:1:half"),
    Point(("confirm",), "power", cut="*.safetensors:1:after"),
)

RAY_ENDS = (
    Point(("tune",), "worker", trained=6),  # in the middle of a pack
    Point(("tune",), "gcs alone", trained=1),
    Point(("tune",), "raylet alone", trained=1),
)

CLEAN = ("driver", "group", "SIGINT", "SIGTERM", "power")
CHAINS = {
    "inline": (14, 8, CLEAN, BEFORE_CONFIRM, TUNE_ENDS, CONFIRM_ENDS),
    "ray": (9, 5, (*CLEAN, "driver", "worker", "raylet", "gcs"), (), RAY_ENDS, ()),
}
"""Kills drawn in tune and in confirm, their kinds, and those that are the same each time; 50 in all with prepare's."""


@pytest.mark.slow
@pytest.mark.parametrize("executor", CHAINS)
def test_a_study_killed_again_and_again_ends_as_if_nothing_had_been(executor, reference, tmp_path, temp):
    num_tune, num_confirm, kinds, before_confirm, tune_ends, confirm_ends = CHAINS[executor]
    folder = make_checkout(tmp_path, SMALL | MANY | {"resources.executor": executor})
    study = KilledStudy(folder, temp)
    chance = random.Random(f"{SEED} {executor}")

    strike(study, Point(("prepare",), "power", cut="manifest.json:1:half"))
    study.run("prepare")
    strike_often(study, chance, kinds, "tune", num_tune)
    for point in tune_ends:
        strike(study, point)
    study.run("tune")
    for point in before_confirm:
        strike(study, point)
    strike_often(study, chance, kinds, "confirm", num_confirm)
    study.run("confirm")
    for point in confirm_ends:
        strike(study, point)
    study.run(*REPRO)

    study.compare(reference, (*RESULTS, *VERDICT))
    print(f"{executor}: {study.tally}", flush=True)
    planned = 1 + num_tune + num_confirm + len(before_confirm) + len(tune_ends) + len(confirm_ends)
    assert study.tally.kills.total() == planned
    assert not any(study.tally.faults().values()), study.tally
    assert not study.parts()
    assert "up to date" in study.run(*REPRO)


def strike_often(study, chance, kinds, stage, number):
    target = study.tally.kills.total() + number
    for _ in range(3 * number):  # a kill whose time never came is drawn anew
        if study.tally.kills.total() == target:
            return
        command = REPRO if chance.random() < 0.15 else (stage,)
        strike(study, draw(chance, (*kinds, "dvc") if command == REPRO else kinds, command))


def strike(study, point):
    start = time.monotonic()
    # A dvc that was killed may have removed a stage's outputs to make them anew.
    if point.command[0] in ("tune", "confirm") and not (study.folder / "data/prepared/manifest.json").exists():
        study.run("prepare")
    if point.command[0] == "confirm" and not (study.folder / RESULTS[0]).exists():
        study.run("tune")
    is_hit = study.kill(point)
    where = f"{point.cut or point.trained} +{point.wait_sec:.3f} s"
    print(
        f"{'hit' if is_hit else 'missed':6} {point.kind:8} {' '.join(point.command):10} after {where}; "
        f"{len(study.ledger())} kept, {time.monotonic() - start:.0f} s",
        flush=True,
    )
