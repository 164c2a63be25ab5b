"""Studies with a training loop of one's own, run as a user runs them: in a folder outside the clone."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from importlib.util import find_spec

import pytest
from ruamel.yaml import YAML

from tests.commands import LOSSTUNE, environment, losstune, losstune_process
from tests.paths import REPOSITORY

LOOPS = REPOSITORY / "examples/own/loops"
STAGES = ("prepare", "tune", "confirm", "report")
SCORES = """
import math, random
from losstune import Result

def train(job):
    level = -0.05 * abs(math.log10(job.learning_rate) + 3) + float((job.data_root / "level.txt").read_text())
    score = lambda: level + 0.1 * (job.loss == "focal") + 0.02 * random.random()
    for epoch in range(1, job.epochs + 1):
        job.report(epoch, score())
    return Result(validation=score(), test=score() if job.score_test else None)
"""
SETTINGS = {
    "study": {"name": "scores"},
    "data": {"name": "files", "root": "mine"},
    "training": {"loop": "mine.py:train", "epochs": 2},
    "losses": ["cross_entropy", "kl_divergence", "focal"],
    "tune": {"num_searches": 2, "trials_per_loss": 2, "metric": {"name": "mean_iou", "percent": True}},
    "confirm": {"num_blocks": 8},
    "resources": {"executor": "inline", "device": "cpu"},
    "tracking": {"enabled": False},
}


def write(folder, settings=SETTINGS, level="0.5"):
    (folder / "mine").mkdir(exist_ok=True)
    (folder / "mine/level.txt").write_text(level, encoding="utf-8")
    (folder / "mine.py").write_text(SCORES, encoding="utf-8")
    dump(folder, settings)


def dump(folder, settings):
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(settings, file)


def results_of(folder):
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def rows(folder, name):
    return [json.loads(line) for line in (folder / "results" / name).read_text(encoding="utf-8").splitlines()]


def headings(folder):
    return re.findall(r"<h[23]>(.*?)</h[23]>", (folder / "report/report.html").read_text(encoding="utf-8"))


def test_a_loop_that_reads_its_own_files_gets_a_verdict_on_its_scores(tmp_path):
    write(tmp_path)
    said = losstune(tmp_path, "check").stdout
    assert "training loop mine.train, 2 epochs per training" in said
    out = [losstune(tmp_path, stage).stdout for stage in STAGES]
    assert out[0].startswith("files: only the training loop reads them; digest ")
    results = results_of(tmp_path)
    assert results["verdict"]["sentence"].startswith("On mine with the training loop mine.train, use focal: it beats ")
    assert results["control"]["identity"]["passed"]
    assert not results["data"]["class_names"]
    assert results["data"]["num_train"] == 0
    note = "Left out, because the training loop returns scores only: calibration and reliability, confusion matrices, "
    assert results["notes"][0].startswith(note)
    assert "Left out, because the number of classes is not known" in results["notes"][1]
    assert note in re.sub(r"\s+", " ", out[-1])
    assert note in (tmp_path / "report/report.html").read_text(encoding="utf-8")
    assert not {"Calibration", "Reliability", "Confusion matrices", "Changed predictions"} & set(headings(tmp_path))
    assert {"All losses", "Controls", "Learning curves of the winners"} <= set(headings(tmp_path))
    blocks = rows(tmp_path, "confirm/blocks.jsonl")
    assert all(set(row["test"]) == {"mean_iou"} and row["confusion"] is None for row in blocks)
    seeds = {}
    for row in blocks:
        if row["role"] == "block":
            seeds.setdefault(row["configuration"]["loss"], []).append(row["seed"])
    assert seeds["focal"] == seeds["cross_entropy"]  # paired


def test_other_files_are_other_trainings(tmp_path):
    write(tmp_path)
    for stage in ("prepare", "tune"):
        losstune(tmp_path, stage)
    assert "tune: kept 12, to train 0" in losstune(tmp_path, "tune").stdout
    (tmp_path / "mine/level.txt").write_text("0.6", encoding="utf-8")
    refused = losstune(tmp_path, "confirm", check=False)
    assert refused.returncode == 2
    assert "the files are not those that were prepared; `dvc repro`" in refused.stderr
    losstune(tmp_path, "prepare")
    assert "tune: kept 0, to train 12" in losstune(tmp_path, "tune").stdout
    write(tmp_path)  # the old files are known again
    losstune(tmp_path, "prepare")
    assert "tune: kept 12, to train 0" in losstune(tmp_path, "tune").stdout
    (tmp_path / "mine.py").write_text(SCORES.replace("0.02", "0.03"), encoding="utf-8")
    assert "tune: kept 0, to train 12" in losstune(tmp_path, "tune").stdout


def test_dvc_is_told_of_other_files(tmp_path):
    write(tmp_path)
    told = []
    for level in ("0.5", "0.5 ", "0.5 "):
        if (tmp_path / "mine/level.txt").read_text(encoding="utf-8") != level:
            write(tmp_path, level=level)
        losstune(tmp_path, "fingerprint")
        told.append([(tmp_path / f"fingerprints/{stage}.json").read_bytes() for stage in ("prepare", "tune")])
    assert told[0][0] != told[1][0] == told[2][0]
    assert told[0][1] == told[1][1]  # the prepared digest tells it to the trainings


def test_the_other_commands_know_such_a_study(tmp_path):
    write(tmp_path, SETTINGS | {"tracking": {"enabled": True, "uri": "sqlite:///mlflow.db"}})
    losstune(tmp_path, "prepare")
    assert "to train 12 of 12" in losstune(tmp_path, "cost").stdout
    for stage in STAGES[1:]:
        losstune(tmp_path, stage)
    refused = losstune(tmp_path, "promote", check=False)
    assert refused.returncode == 2
    assert "training.loop: mine.py:train builds a network that losstune does not know" in refused.stderr
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        found = database.execute("select distinct key from metrics").fetchall()
        assert {("val_mean_iou",), ("test_mean_iou",)} <= set(found)
        (model,) = database.execute("select distinct value from params where key = 'model'").fetchone()
    assert model == "training loop mine.train"


def test_check_says_what_it_noticed(tmp_path):
    write(tmp_path)
    (tmp_path / "mine.py").write_text(
        SCORES.replace("    score =", "    print('an epoch'); random.seed(1)\n    score =")
    )
    said = re.sub(r"\s+", " ", losstune(tmp_path, "check").stdout)
    assert "your code mine.py:train: 3 seeds give the same score" in said
    assert "your code the study's own code prints, such as 'an epoch'; with many trainings" in said
    (tmp_path / "mine.py").write_text(
        SCORES.replace("score() if job.score_test else None", "score()"), encoding="utf-8"
    )
    refused = losstune(tmp_path, "check", check=False)
    assert refused.returncode == 2
    assert refused.stderr.startswith("losstune: params.yaml: training.loop: mine.py:train returned a test score")


MISPLACED = {
    "files without a loop": (
        {"training": {"epochs": 2}, "tune": {}},
        "data.name: found 'files', which losstune does not read; it needs a training.loop that does",
    ),
    "a metric's name without a loop": (
        {"training": {"epochs": 2}, "data": {"name": "digits"}},
        "tune.metric.name: found 'mean_iou', expected your own as path/to/file.py:name or module:name; other names",
    ),
    "an option that files lack": (
        {"data": {"name": "files", "options": {"classes": 3}}},
        "data: options: found {'classes': 3}, expected {num_classes: ...}, 2 or more, or nothing",
    ),
    "no such files": ({"data": {"name": "files", "root": "yours"}}, "data.root: "),
    "no such loop": (
        {"training": {"loop": "mine.py:fit"}},
        "training.loop: found 'mine.py:fit', but mine.py has no 'fit'",
    ),
}


@pytest.mark.parametrize("mistake", MISPLACED)
def test_a_setting_that_does_not_fit_is_one_line(tmp_path, mistake):
    changes, expected = MISPLACED[mistake]
    write(tmp_path, SETTINGS | changes)
    refused = losstune(tmp_path, "check", check=False)
    assert refused.returncode == 2
    assert expected in refused.stderr
    assert refused.stderr.count("\n") == 1


def example(folder, name, **changes):
    """Copy an example, make its data, and change its settings."""
    shutil.copytree(LOOPS / name, folder, dirs_exist_ok=True)
    (module,) = folder.glob("*.py")
    if "__main__" in module.read_text(encoding="utf-8"):
        subprocess.run([sys.executable, module.name], cwd=folder, check=True)
    settings = YAML(typ="safe", pure=True).load((folder / "params.yaml").read_text(encoding="utf-8"))
    dump(folder, settings | changes)


def run(folder, *stages):
    for stage in stages or ("check", *STAGES):
        losstune_process(folder, stage)
    return results_of(folder)


def needs(library):
    return pytest.mark.skipif(find_spec(library) is None, reason=f"the example needs the library {library}")


@pytest.mark.slow
@needs("lightning")
def test_a_lightning_module(tmp_path):
    example(tmp_path, "lightning")
    results = run(tmp_path)
    assert results["model"] == "training loop digits_lightning.train"
    assert results["control"]["identity"]["passed"]
    assert results["verdict"]["action"] in ("use", "keep")
    assert {"Calibration", "Confusion matrices"} <= set(headings(tmp_path))
    assert {row["status"] for row in rows(tmp_path, "confirm/blocks.jsonl")} == {"finished"}
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        (num_points,) = database.execute("select count(*) from metrics where key = 'val_accuracy'").fetchone()
    assert num_points >= 2 * (12 + 17)


@pytest.mark.slow
@needs("transformers")
def test_the_trainer_of_hugging_face_with_early_stopping(tmp_path):
    example(tmp_path, "transformer")
    results = run(tmp_path)
    trials = rows(tmp_path, "tune/trials.jsonl")
    assert {row["status"] for row in trials} == {"finished", "stopped"}
    assert {len(row["curve"]) for row in trials if row["status"] == "stopped"} <= {1, 2}
    assert results["control"]["identity"]["passed"]
    assert results["notes"][0].startswith("Left out, because the training loop returns scores only: ")
    assert max(row["validation"]["accuracy"] for row in trials) > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "ray"])
def test_a_segmentation_that_is_killed_goes_on(tmp_path, executor):
    resources = {"executor": executor, "device": "cpu", "max_concurrent": 2}
    for name in ("whole", "killed"):
        example(tmp_path / name, "segmentation", resources=resources)
    results = run(tmp_path / "whole")
    assert results["metric"] == "mean_iou"
    assert results["verdict"]["action"] in ("use", "keep")
    assert results["control"]["identity"]["passed"]
    folder = tmp_path / "killed"
    losstune_process(folder, "prepare")
    kill(folder, "tune", after=3)
    assert re.search(r"tune: kept [3-9], to train [3-9]", losstune_process(folder, "tune").stdout)
    run(folder, "confirm", "report")
    for name in ("results/tune/trials.jsonl", "results/confirm/blocks.jsonl", "results.json", "metrics.json"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def kill(folder, stage, after):
    """Kill a stage without warning, as soon as so many trainings are in the ledger."""
    process = subprocess.Popen(
        [*LOSSTUNE, stage], cwd=folder, env=environment(), start_new_session=True, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while len(list((folder / ".losstune").rglob("*.json"))) < after and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert process.poll() is None, "it ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
