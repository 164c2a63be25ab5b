"""The stages as a user runs them, by the command line in a folder of their own: resumption, rebirth, mistakes."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.commands import LOSSTUNE, clean_environment, losstune, losstune_process
from tests.paths import REPOSITORY
from tests.shared import made_once

SMALL = {
    "study.name": "small",
    "model": {"name": "mlp", "width": 16, "depth": 1},
    "training.epochs": 3,
    "losses": ["cross_entropy", "kl_divergence", "focal"],
    "tune.trials_per_loss": 3,
    "confirm.num_blocks": 3,
    "resources.executor": "inline",
    "tracking.enabled": False,
}


@pytest.fixture
def study(tmp_path):
    """A folder with a study that takes a second to train."""
    write_params(tmp_path, SMALL)
    return tmp_path


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished study, for reading: its stages ran in processes of their own."""
    return made_once(tmp_path_factory, "pipeline", make_finished) / "study"


def make_finished(folder):
    (folder / "study").mkdir()
    write_params(folder / "study", SMALL)
    for stage, ended in run_all(folder / "study", losstune_process).items():
        (folder / f"{stage}.out").write_text(ended.stdout)
        (folder / f"{stage}.err").write_text(ended.stderr)


@pytest.fixture
def finished(done, tmp_path):
    """A finished study that a test may change."""
    return Path(shutil.copytree(done, tmp_path / "study"))


def write_params(folder, changes):
    source = folder / "params.yaml"
    yaml = YAML(typ="safe", pure=True)
    if source.exists():
        values = yaml.load(source.read_text())
    else:
        values = yaml.load((REPOSITORY / "params.yaml").read_text())
        # The numbers of a small study are its limits, and too small for a pool.
        values |= {"protocol": "replicated", "budget": None}
        values["tune"]["trials_per_loss"] = 12
    for path, value in changes.items():
        *sections, key = path.split(".")
        section = values
        for name in sections:
            section = section[name]
        section[key] = value
    with source.open("w") as file:
        yaml.dump(values, file)


def run_all(folder, run=losstune):
    return {stage: run(folder, stage) for stage in ("prepare", "tune", "confirm", "report")}


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_four_stages_end_in_a_sentence(done):
    study, said = done, {path.name: path.read_text() for path in done.parent.glob("*.*")}
    assert "kept 0, to train 18" in said["tune.out"]
    assert "kept 0, to train 13" in said["confirm.out"]  # three losses, three blocks, a control, three degraded
    sentence = json.loads((study / "results.json").read_text())["verdict"]["sentence"]
    assert " ".join(said["report.out"].split()).endswith(sentence)
    assert json.loads((study / "metrics.json").read_text())["winner"]
    page = (study / "report/report.html").read_text()
    assert page.count("<svg") >= 3
    assert not re.search(
        r"""(src|href|data|action)\s*=\s*["']?(https?:)?//|url\((?!#)|@import|<link""", page
    )  # fetches nothing
    assert len(said) == 8
    assert "Warning" not in "".join(said.values())

    blocks = rows(study / "results/confirm/blocks.jsonl")
    (control,) = [row for row in blocks if row["role"] == "control"]
    (equal_loss,) = [
        row
        for row in blocks
        if (row["search"], row["index"], row["role"]) == (0, 0, "block")
        and row["configuration"]["loss"] == "cross_entropy"
    ]
    degraded = [row for row in blocks if row["role"] == "degraded"]
    assert [(row["search"], row["index"]) for row in degraded] == [(0, 0), (1, 0), (0, 1)]
    rates = {
        row["search"]: row["configuration"]["learning_rate"]
        for row in blocks
        if (row["configuration"]["loss"], row["role"]) == ("cross_entropy", "block")
    }
    for row in degraded:
        assert row["configuration"]["learning_rate"] == pytest.approx(rates[row["search"]] / 100)
    for field in ("seed", "curve", "validation", "test", "confusion", "predictions", "calibration"):
        assert control[field] == equal_loss[field]
    assert control["configuration"] == equal_loss["configuration"] | {"loss": "kl_divergence"}
    seeds = {(row["search"], row["index"], row["seed"]) for row in blocks}
    assert len(seeds) == 3
    trial_seeds = {row["seed"] for row in rows(study / "results/tune/trials.jsonl")}
    assert trial_seeds.isdisjoint(seed for _, _, seed in seeds)
    assert len(trial_seeds) == 18


def test_what_one_machine_has_trained_another_keeps(finished, tmp_path):
    write_params(finished, {"resources.ledger": str(tmp_path / "shared")})
    for stage in ("tune", "confirm"):
        assert "to train 0" in losstune(finished, stage).stdout  # a study that was finished before shares, too
    other = tmp_path / "other"
    shutil.copytree(finished, other, ignore=shutil.ignore_patterns(".losstune", "results*", "report"))
    write_params(other, {"losses": [*SMALL["losses"], "gce"], "report.rope": 0.02})
    tuned = losstune(other, "tune").stdout
    assert "ledger: took 31 finished trainings from " in tuned
    assert "kept 18, to train 6" in tuned
    confirmed = losstune(other, "confirm").stdout
    assert "kept 13, to train 3" in confirmed
    assert "report.rope: registered 0.005, found 0.02" in confirmed  # the test split had been read elsewhere
    losstune(other, "report")
    back = losstune(finished, "tune").stdout
    assert "ledger: took 9 finished trainings from " in back
    assert ledger(finished) == ledger(other)


def test_a_second_run_from_scratch_gives_the_same_bytes(done, study):
    run_all(study)
    for name in ("results.json", "metrics.json", "results/tune/trials.jsonl", "results/confirm/blocks.jsonl"):
        assert (study / name).read_bytes() == (done / name).read_bytes(), name
    for plot in {*(study / "report/plots").iterdir()} - {study / "report/plots/cost.csv"}:  # it tells of times
        assert plot.read_bytes() == (done / "report/plots" / plot.name).read_bytes(), plot.name


GROWTH = {
    "another loss": ({"losses": [*SMALL["losses"], "gce"]}, (18, 6), (13, 3)),
    "more blocks": ({"confirm.num_blocks": 4}, (18, 0), (13, 4)),  # one of each loss, one of the degraded
    "more trials": ({"tune.trials_per_loss": 4}, (18, 6), None),  # where they win, their blocks are new
    "all of it": (
        {"losses": [*SMALL["losses"], "gce"], "tune.trials_per_loss": 4, "confirm.num_blocks": 4},
        (18, 14),
        None,
    ),
}


@pytest.mark.parametrize(
    "growth",
    [
        "another loss",
        "all of it",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("more blocks", "more trials")),
    ],
)
def test_a_study_that_grows_trains_only_the_new(finished, growth):
    changes, tune, confirm = GROWTH[growth]
    before = ledger(finished)
    write_params(finished, changes)
    foreseen = losstune(finished, "cost").stdout
    said = {stage: losstune(finished, stage).stdout for stage in ("tune", "confirm")}
    assert "tune: kept {}, to train {}\n".format(*tune) in said["tune"]
    after = ledger(finished)
    assert {key: after[key] for key in before} == before  # when each of them was trained is in it, too
    asked = {}
    for stage in ("tune", "confirm"):
        records, executions = (
            rows(finished / f"results/{stage}/{name}.jsonl")
            for name in ({"tune": "trials", "confirm": "blocks"}[stage], "executions")
        )
        old = {key: json.loads(before[key])["execution"] for key in before}
        assert [row["key"] for row in executions] == [row["key"] for row in records]
        assert all(row == old[row["key"]] for row in executions if row["key"] in old)
        asked[stage] = [row["key"] for row in records]
        num_kept = sum(key in before for key in asked[stage])
        assert f"kept {num_kept}, to train {len(asked[stage]) - num_kept}\n" in said[stage]
        if stage == "tune" or confirm:
            assert (num_kept, len(asked[stage]) - num_kept) == (tune if stage == "tune" else confirm)
    if "losses" in changes:
        trained = [json.loads(after[key])["record"] for key in after.keys() - before.keys()]
        of_others = [row for row in trained if row["configuration"]["loss"] != "gce"]
        assert not of_others or growth == "all of it"
    # What `losstune cost` had said of it.
    assert f"kept {tune[0]}, to train {tune[1]} of {sum(tune)}" in foreseen
    if confirm:
        most = "at most " * (tune[1] > 0)
        assert f"kept {confirm[0]}, to train {most}{confirm[1]} of {sum(confirm)}" in foreseen


def test_rules_that_were_changed_after_looking_are_refused_and_then_told(finished):
    write_params(finished, {"report.rope": 0.02})
    refused = losstune(finished, "report", check=False)
    assert refused.returncode == 2
    assert "report.rope: registered 0.005, found 0.02" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    losstune(finished, "confirm")
    losstune(finished, "report")
    results = json.loads((finished / "results.json").read_text())
    assert results["earlier"][0]["differs"] == ["report.rope: registered 0.005, found 0.02"]
    assert results["verdict"]["sentence"].endswith("after the test split was read.")


def test_records_that_are_not_what_was_registered_are_refused(finished):
    path = finished / "results/tune/trials.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    refused = losstune(finished, "report", check=False)
    assert refused.returncode == 2
    assert "search 1 of focal has 2 trials, expected 3" in refused.stderr


def test_a_study_that_is_too_small_is_undecided(done):
    results = json.loads((done / "results.json").read_text())
    focal = next(loss for loss in results["losses"] if loss["loss"] == "focal")
    assert (focal["decision"], results["verdict"]["action"]) == ("undecided", "keep")
    assert focal["blocks_needed"] > 0
    assert results["control"]["positive"]["detected"] is None
    assert any("positive control is not informative" in note for note in results["notes"])


def test_anytime_stopping_ends_early_and_says_what_it_saved(study):
    # In so wide a ROPE the degraded baseline would be equivalent, too.
    anytime = {"confirm.stopping": "anytime", "confirm.num_blocks": 40, "confirm.positive_control": False}
    write_params(study, anytime | {"report.rope": 0.9})
    done = run_all(study)
    assert "to train at most 121" in done["confirm"].stdout
    results = json.loads((study / "results.json").read_text())
    focal = next(loss for loss in results["losses"] if loss["loss"] == "focal")
    # Seven blocks within so wide a ROPE decide, eight are the first to be as many of both searches.
    assert (focal["decision"], len(focal["blocks"])) == ("equivalent", 8)
    assert results["num_saved"] == 3 * 40 - 3 * 8
    blocks = (study / "results/confirm/blocks.jsonl").read_bytes()
    assert "to train 0" in losstune(study, "confirm").stdout
    assert (study / "results/confirm/blocks.jsonl").read_bytes() == blocks


def test_losing_the_results_costs_no_training(finished):
    study = finished
    before = (study / "results.json").read_bytes()
    for path in (study / "results").rglob("*.jsonl"):
        path.unlink()
    assert "kept 18, to train 0" in losstune(study, "tune").stdout
    assert "kept 13, to train 0" in losstune(study, "confirm").stdout
    losstune(study, "report")
    assert (study / "results.json").read_bytes() == before


def ledger(folder):
    return {path.stem: path.read_bytes() for path in (folder / ".losstune/ledger").glob("??/*.json")}


# With Ray a kill among those of tests/faults; this one, of 96 trials, by name.
@pytest.mark.integration
@pytest.mark.parametrize("executor", ["inline", pytest.param("ray", marks=pytest.mark.slow)])
def test_after_kill_9_the_finished_trials_are_kept(study, executor):
    write_params(study, {"tune.trials_per_loss": 16, "training.epochs": 10, "resources.executor": executor})
    losstune(study, "prepare")
    with subprocess.Popen([*LOSSTUNE, "tune"], cwd=study, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while len(ledger(study)) < 10 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    finished = ledger(study)
    assert 10 <= len(finished) < 96
    assert not (study / "results/tune/trials.jsonl").exists()

    resumed = losstune(study, "tune")
    assert f"kept {len(finished)}, to train {96 - len(finished)}" in resumed.stdout
    after = ledger(study)
    assert len(after) == 96
    assert {key: after[key] for key in finished} == finished  # not one was written again


@pytest.mark.parametrize(
    ("kind", "executor"),
    [
        (signal.SIGINT, "inline"),
        (signal.SIGTERM, "inline"),
        pytest.param(signal.SIGINT, "ray", marks=pytest.mark.integration),
        pytest.param(signal.SIGTERM, "ray", marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_stage_ends_with_a_code_that_dvc_takes_for_a_failure(study, executor, kind):
    write_params(study, {"tune.trials_per_loss": 200, "training.epochs": 10, "resources.executor": executor})
    losstune(study, "prepare")
    # The stage would inherit it if Ctrl-C were ignored here, as it is where a script runs the tests in the background.
    with subprocess.Popen(
        ["env", "--default-signal=INT", *LOSSTUNE, "tune"], cwd=study, stderr=subprocess.PIPE, text=True
    ) as process:
        while len(ledger(study)) < 3:
            time.sleep(0.02)
        process.send_signal(kind)
        message = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "interrupted; finished trainings are kept" in message
    assert "Traceback" not in message
    assert not (study / "results/tune/trials.jsonl").exists()


MISTAKES = {
    "an unknown loss": (
        {"losses": ["cross_entropy", "focall"]},
        "tune",
        "unknown loss 'focall'; did you mean 'focal'?",
    ),
    "an unknown model": ({"model.name": "cn"}, "tune", "'cnn'"),
    "an unknown dataset": ({"data.name": "digit"}, "prepare", "'digits'"),
    "a GPU that isn't there": ({"resources.device": "cuda"}, "tune", "resources.device: found 'cuda'"),
    "an unknown key": ({"tune.trials": 3}, "tune", "unknown key 'tune.trials'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(study, mistake):
    changes, stage, message = MISTAKES[mistake]
    if mistake == "a GPU that isn't there":
        import torch

        if torch.cuda.is_available():
            pytest.skip("there is a GPU here")
    losstune(study, "prepare")
    before = sorted(path for path in study.rglob("*") if path.is_file() and path.name != "params.yaml")
    write_params(study, changes)
    run = losstune_process if mistake == "an unknown loss" else losstune
    done = run(study, stage, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    after = sorted(path for path in study.rglob("*") if path.is_file() and path.name != "params.yaml")
    assert after == before


@pytest.mark.parametrize("stage", ["tune", "confirm", "report"])
def test_a_stage_out_of_turn_says_which_comes_first(study, stage):
    done = losstune(study, stage, check=False)
    assert done.returncode == 2
    assert "no such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_folder_without_params_is_told(tmp_path):
    done = losstune(tmp_path, "tune", check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "losstune: params.yaml: no such file; run losstune in the folder of the study\n",
    )


def test_the_tuning_stage_never_opens_the_test_split(study):
    losstune(study, "prepare")
    for path in (study / "data/prepared/test").iterdir():
        path.unlink()
    assert "to train 18" in losstune(study, "tune").stdout
    done = losstune(study, "confirm", check=False)
    assert done.returncode == 2
    assert str(Path("data/prepared/test")) in done.stderr


def counts(folder):
    """Runs in MLflow's database by name of the stage: parents, children, children below a parent."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        tags = defaultdict(dict)
        for run, key, value in database.execute("select run_uuid, key, value from tags"):
            tags[run][key] = value
    parents = {run: tag["losstune.stage"] for run, tag in tags.items() if tag["losstune.role"] == "stage"}
    below = Counter(parents[tag["mlflow.parentRunId"]] for tag in tags.values() if "mlflow.parentRunId" in tag)
    return Counter(parents.values()), below


@pytest.mark.integration
def test_mlflow_shows_the_study_and_can_be_filled_again(finished):
    # The records are there, and MLflow has seen none of them: it was switched off.
    write_params(finished, {"tracking.enabled": True})
    whole = {"tune": 1, "confirm": 1, "report": 1}, {"tune": 18, "confirm": 13}
    losstune(finished, "track", "sync")
    assert counts(finished) == whole
    losstune(finished, "track", "sync")
    assert counts(finished) == whole

    # In new processes: MLflow keeps a database open, and here it is deleted.
    (finished / "mlflow.db").unlink()
    shutil.rmtree(finished / "mlruns")
    before = (finished / "results.json").read_bytes()
    losstune_process(finished, "report")
    assert (finished / "results.json").read_bytes() == before
    assert counts(finished) == ({"report": 1}, {})
    losstune_process(finished, "track", "sync")
    assert counts(finished) == whole
    assert list((finished / "mlruns").rglob("report.html"))


PREDICT = """
import json, sys
import mlflow, numpy as np
images, labels = (np.load(f"data/prepared/test/{name}.npy") for name in ("images", "labels"))
scores = {}
for alias in ("champion", "baseline"):
    probabilities = mlflow.pyfunc.load_model(f"models:/digits-mlp@{alias}").predict(images)
    of_label = np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)
    scores[alias] = [float((probabilities.argmax(1) == labels).mean()), float(-np.log(of_label).mean())]
assert "losstune" not in sys.modules
print(json.dumps(scores))
"""


@pytest.mark.integration
def test_promoted_models_score_without_losstune_what_the_study_says(finished):
    write_params(finished, {"tracking.enabled": True})
    first = losstune(finished, "promote").stdout.splitlines()
    again = losstune(finished, "promote").stdout.splitlines()
    assert [line.split(":/")[1].split(":")[0] for line in first] == ["digits-mlp@champion", "digits-mlp@baseline"]
    assert [line.removesuffix(", as before") for line in first] == [line.removesuffix(", as before") for line in again]
    assert all(line.endswith("as before") for line in again)
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{finished}/mlflow.db"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PREDICT],
        cwd=finished,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    scores = json.loads(done.stdout.splitlines()[-1])
    results = json.loads((finished / "results.json").read_text())
    losses = {"champion": results["verdict"]["loss"], "baseline": results["baseline"]}
    blocks = rows(finished / "results/confirm/blocks.jsonl")
    for alias, loss in losses.items():
        block = next(row for row in blocks if (row["configuration"]["loss"], row["role"]) == (loss, "block"))
        assert scores[alias] == pytest.approx([block["test"]["accuracy"], block["test"]["nll"]], rel=1e-4)


def test_promoting_what_is_not_there_is_told(study):
    write_params(study, {"tracking.enabled": True})
    losstune(study, "prepare")
    done = losstune(study, "promote", check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert done.stderr.startswith("losstune: results.json: cannot be read")
    write_params(study, {"tracking.enabled": False})
    assert "tracking.enabled is false" in losstune(study, "promote", check=False).stderr


@pytest.mark.integration
@pytest.mark.parametrize("home", ["/proc/nohome", None])
def test_ray_trains_without_a_home(study, home):
    write_params(study, {"resources.executor": "ray", "losses": SMALL["losses"][:2], "tune.trials_per_loss": 1})
    losstune(study, "prepare")
    clean = clean_environment()
    clean.pop("HOME", None)
    done = subprocess.run(
        [*LOSSTUNE, "tune"],
        cwd=study,
        env=clean | ({} if home is None else {"HOME": home}),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert {row["status"] for row in rows(study / "results/tune/trials.jsonl")} == {"finished"}
