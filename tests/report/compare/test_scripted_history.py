"""A real history, trained commit by commit: eight states of one study, each compared with each by every way there is.

Some minutes; by name: ``pytest -m slow tests/compare/test_scripted_history.py``.
"""

import json
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from itertools import combinations
from statistics import fmean

import numpy as np
import pytest
from sklearn.datasets import load_digits

from losstune.core.errors import LosstuneError
from losstune.report.compare.formats import FORMATS
from losstune.stages.compare import compare_revisions
from tests.commands import DVC, environment
from tests.test_dvc_repro import make_checkout
from tests.test_pipeline import ledger, rows, write_params

pytestmark = pytest.mark.slow

BASE = {
    "study.name": "history",
    "data.name": "npz",
    "data.root": "data/raw/history.npz",
    "model": {"name": "mlp", "width": 32, "depth": 1},
    "training.epochs": 5,
    "losses": ["cross_entropy", "kl_divergence", "label_smoothing", "focal"],
    "search_space.learning_rate": {"low": 1.0e-3, "high": 1.0e-2, "scale": "log", "default": 3.0e-3},
    "tune.trials_per_loss": 4,
    "confirm.num_blocks": 8,
    "resources.executor": "inline",
    "tracking.enabled": True,
}
NARROWER = {"low": 2.0e-3, "high": 5.0e-3, "scale": "log", "default": 3.0e-3}
STATES = ("base", "range", "seeds", "noise", "default", "refactor", "metric", "again")


class History:
    """The checkout, and what every state's confirmation came to."""

    def __init__(self, folder):
        self.folder = folder
        self.blocks = {}

    def run(self, *command, code=0):
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment() | {"PYTHONPATH": str(self.folder / "src")},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def dvc(self, *arguments):
        return self.run(*DVC, *arguments)

    def losstune(self, *arguments, code=0):
        return self.run(sys.executable, "-m", "losstune", *arguments, code=code)

    def git(self, *arguments):
        return self.run("git", "-c", "user.name=Test", "-c", "user.email=test@example.com", *arguments)

    def commit(self, tag, message):
        said = self.dvc("repro")
        self.blocks[tag] = rows(self.folder / "results/confirm/blocks.jsonl")
        self.git("add", "-A")
        self.git("commit", "-qm", message)
        self.git("tag", tag)
        return said

    def write_data(self, noise):
        """All digits, every fifth for the test; a share of the training labels is replaced by the next class."""
        images, labels = load_digits(return_X_y=True)
        images = images.reshape(-1, 8, 8).astype(np.uint8)
        test = np.arange(len(labels)) % 5 == 0
        train_labels = labels[~test]
        wrong = np.random.default_rng(0).random(len(train_labels)) < noise
        train_labels = np.where(wrong, (train_labels + 1) % 10, train_labels)
        np.savez(
            self.folder / "data/raw/history.npz",
            x_train=images[~test],
            y_train=train_labels,
            x_test=images[test],
            y_test=labels[test],
        )
        self.dvc("add", "data/raw/history.npz")

    def replace(self, name, old, new):
        path = self.folder / "src/losstune" / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def scores(self, tag, loss, metric="accuracy"):
        return {
            (row["search"], row["index"]): row["test"][metric]
            for row in self.blocks[tag]
            if row["role"] == "block" and row["configuration"]["loss"] == loss
        }


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    folder = tmp_path_factory.mktemp("history")
    history = History(make_checkout(folder, BASE))
    history.write_data(noise=0.0)
    history.commit("base", "A small study")

    write_params(folder, {"search_space.learning_rate": NARROWER})
    history.commit("range", "A narrower range of learning rates")
    write_params(folder, {"search_space.learning_rate": BASE["search_space.learning_rate"], "study.seed": 7})
    history.commit("seeds", "Other seeds")
    write_params(folder, {"study.seed": 20260})
    history.write_data(noise=0.4)
    history.commit("noise", "Four in ten of the training labels are wrong")

    history.write_data(noise=0.0)
    gamma = re.search(r"default=[\d.]+", (folder / "src/losstune/losses/focal.py").read_text())
    history.replace("losses/focal.py", gamma[0], "default=0.5")
    history.commit("default", "focal begins at another gamma")
    history.replace("losses/focal.py", "default=0.5", gamma[0])
    history.replace("training.py", "total += losses.detach().sum()", "total = total + losses.detach().sum()")
    history.refactored = history.commit("refactor", "The same sum in other words")

    history.git("checkout", "base", "--", "src")
    write_params(folder, {"tune.metric": "macro_f1"})
    history.commit("metric", "Judge by macro-F1")
    write_params(folder, {"tune.metric": "accuracy"})
    history.again = history.commit("again", "Judge by accuracy again")
    return history


def test_what_was_trained_before_is_kept(history):
    assert "tune: kept 0, to train 32" in history.refactored
    assert set(re.findall(r"to train (\d+)", history.again)) == {"0"}


@pytest.mark.parametrize(("a", "b"), list(combinations(STATES, 2)))
def test_every_pair(history, a, b):
    if "metric" in (a, b):
        with pytest.raises(LosstuneError, match=r"cannot be compared: tune\.metric: .*; `--force`"):
            compare_revisions(history.folder, a, b, force=False)
        assert compare_revisions(history.folder, a, b, force=True).comparability
        return
    there, back = (compare_revisions(history.folder, *pair, force=False) for pair in ((a, b), (b, a)))
    paired = "seeds" not in (a, b)
    assert there.scores.design == ("paired" if paired else "unpaired")
    reverse = {loss.loss: loss for loss in back.scores.losses}
    assert set(reverse) == set(BASE["losses"])
    for loss in there.scores.losses:
        of_a, of_b = (history.scores(tag, loss.loss) for tag in (a, b))
        assert loss.is_identical == (of_a == of_b) == reverse[loss.loss].is_identical
        if loss.is_identical:
            continue
        expected = (
            fmean(of_b[block] - of_a[block] for block in of_a)
            if paired
            else fmean(of_b.values()) - fmean(of_a.values())
        )
        assert loss.difference.mean == pytest.approx(expected, abs=1e-12)
        assert loss.difference.low < expected < loss.difference.high
        mirrored = reverse[loss.loss].difference
        assert (mirrored.low, mirrored.high) == pytest.approx((-loss.difference.high, -loss.difference.low))
        assert mirrored.p_value == pytest.approx(loss.difference.p_value)


@pytest.mark.parametrize("state", ["refactor", "again"])
def test_the_refactor_is_identical(history, state):
    said = history.losstune("compare", "base", state)
    assert "code of a training: " + ("differs in losstune.training.loop" if state == "refactor" else "the same") in said
    assert f"Against base, {state} is identical to the bit for all 4 losses." in " ".join(said.split())
    assert history.dvc("metrics", "diff", "base", state).strip() == ""
    assert history.dvc("params", "diff", "base", state).strip() == ""


def test_the_noise_shows_a_drop_with_an_interval(history):
    comparison = json.loads(history.losstune("compare", "base", "noise", "--format", "json"))
    assert comparison["changes"]
    losses = {loss["loss"]: loss for loss in comparison["scores"]["losses"]}
    assert losses["cross_entropy"]["decision"] == "worse"
    assert losses["cross_entropy"]["difference"]["high"] < 0
    said = history.losstune("compare", "base", "noise")
    assert "data: data.digest: " in said
    assert "settings: the same" in said
    found = json.loads(history.dvc("metrics", "diff", "base", "noise", "--json"))
    change = found["metrics.json"]["mean.cross_entropy"]["diff"]
    assert change == pytest.approx(losses["cross_entropy"]["difference"]["mean"], abs=1e-5)


def test_the_changed_protocol_is_refused(history):
    said = history.losstune("compare", "base", "metric", code=2)
    assert said.startswith("losstune: base and metric cannot be compared: tune.metric: accuracy at base, macro_f1")
    assert len(said.splitlines()) == 1
    assert "tune.metric" in history.losstune("compare", "base", "metric", "--force")


def test_only_the_loss_whose_default_changed_differs(history):
    comparison = compare_revisions(history.folder, "base", "default", force=False)
    differing = {loss.loss for loss in comparison.scores.losses if not loss.is_identical}
    assert differing <= {"focal"}
    assert "losses.focal" in history.losstune("compare", "base", "default")


def test_settings_that_changed_are_named(history):
    said = " ".join(history.losstune("compare", "base", "range").split())
    assert "learning_rate: 0.001 to 0.01, log, first 0.003 → 0.002 to 0.005, log, first 0.003" in said
    assert "study.seed: 20260 → 7" in " ".join(history.losstune("compare", "base", "seeds").split())
    found = json.loads(history.dvc("params", "diff", "base", "range", "--json"))["params.yaml"]
    low = found["search_space.learning_rate.low"]
    assert (low["old"], low["new"]) == (1e-3, 2e-3)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format(history, form):
    said = history.losstune("compare", "base", "noise", "--format", form, "--mlflow")
    assert "cross_entropy" in said
    assert "http://127.0.0.1" in said


def test_the_plots_show_both(history):
    history.dvc("plots", "diff", "base", "noise", "-o", "plots_of_both")
    page = (history.folder / "plots_of_both/index.html").read_text()
    assert all(rev in page for rev in ("base", "noise", "differences.svg", "vega-lite"))


def test_the_log_tells_the_states_newest_first(history):
    entries = json.loads(history.losstune("log", "--format", "json"))
    messages = [entry["message"] for entry in entries][:7]
    assert messages[0] == "Judge by accuracy again"
    assert messages[1] == "Judge by macro-F1"
    assert "Four in ten of the training labels are wrong" in messages
    assert all(entry["action"] for entry in entries[:7])
    history.losstune("log", "--plot", "history.svg")
    assert (history.folder / "history.svg").read_text().count("<svg") == 1
    (history.folder / "history.svg").unlink()


def test_two_queued_experiments_share_one_store(history):
    folder = history.folder
    history.git("checkout", "-q", ".")
    history.dvc("exp", "run", "--queue", "-S", "training.epochs=6", "-n", "longer")
    history.dvc("exp", "run", "--queue", "-S", "study.seed=1", "-n", "reseeded")
    history.dvc("queue", "start", "-j", "2")
    deadline = time.monotonic() + 500
    while "Running" in (status := history.dvc("queue", "status")) or "Queued" in status:
        assert time.monotonic() < deadline, status
        time.sleep(2)
    assert status.count("Success") == 2, status
    assert {"longer", "reseeded"} <= set(re.findall(r"\w+", history.dvc("exp", "show", "--csv")))

    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        shown = Counter(
            key
            for (key,) in database.execute(
                "select value from tags where key = 'losstune.key' and run_uuid in"
                " (select run_uuid from tags where key = 'mlflow.parentRunId')"
            )
        )
        (num_running,) = database.execute("select count(*) from runs where status = 'RUNNING'").fetchone()
        names = dict(
            database.execute(
                "select value, count(*) from tags where key = 'losstune.dvc_exp_name' and run_uuid in"
                " (select run_uuid from tags where key = 'mlflow.parentRunId') group by value"
            )
        )
    assert set(shown.values()) == {1}
    assert set(shown) == set(ledger(folder))
    assert num_running == 0
    assert set(names) == {"longer", "reseeded"}

    assert compare_revisions(folder, "again", "longer", force=False).scores.design == "paired"
    history.dvc("exp", "apply", "longer")
    applied = compare_revisions(folder, "longer", "workspace", force=False)
    assert all(loss.is_identical for loss in applied.scores.losses)
