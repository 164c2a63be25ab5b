"""What a user's own code has to do with the identity of a training, and what the report says about it."""

import sys
from importlib.metadata import version

import pytest

from losstune.config.load import load_params
from losstune.config.references import digests, references
from losstune.losses.registry import use_own
from losstune.stages.own import unverified
from losstune.stages.study import open_study
from losstune.stages.tune import make_plan
from losstune.stages.workers import find_device
from losstune.study.ledger import Ledger
from tests.commands import losstune
from tests.test_pipeline import SMALL, write_params

MODEL = """
from torch import nn
from parts import hidden

def build(num_classes, input_shape):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.Linear(hidden, num_classes))
"""
LOSS = """
import torch.nn.functional as F

def {name}(logits, target):
    return {factor} * F.cross_entropy(logits, target, reduction="none")
"""
SETTINGS = SMALL | {
    "model": {"name": "mine.py:build"},
    "losses": ["cross_entropy", "first.py:first", "second.py:second"],
    "tune.trials_per_loss": 1,
}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A prepared study with a model and two losses of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    write(tmp_path, mine=MODEL, parts="hidden = 4\n")
    write(tmp_path, first=LOSS.format(name="first", factor=2), second=LOSS.format(name="second", factor=3))
    write_params(tmp_path, SETTINGS)
    losstune(tmp_path, "prepare")
    yield tmp_path
    use_own([])


def write(folder, **modules):
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")


def opened(folder):
    return open_study(load_params(folder / "params.yaml"), folder, folder, find_device)


def keys(folder):
    """Return the keys of the trials of each loss."""
    plan = make_plan(opened(folder), Ledger(folder / "empty"))
    found = {}
    while (job := plan.next()) is not None:
        found.setdefault(job.task.configuration.loss, []).extend(job.keys)
    return found


def test_what_changes_which_trainings(study):
    before = keys(study)
    assert before.keys() == {"cross_entropy", "first", "second"}
    write(study, mine=f'"""A model."""\n{MODEL}# the end\n', unused="X = 1\n")
    assert keys(study) == before
    write(study, second=LOSS.format(name="second", factor=4))
    after = keys(study)
    assert {loss for loss in before if after[loss] != before[loss]} == {"second"}
    write(study, parts="hidden = 5\n")
    last = keys(study)
    assert all(last[loss] != after[loss] for loss in before)


def test_a_file_that_moved_changes_nothing(study):
    before = keys(study)
    (study / "lib").mkdir()
    for name in ("mine", "parts", "first"):
        (study / f"{name}.py").rename(study / f"lib/{name}.py")
    moved = {"model": {"name": "lib/mine.py:build"}, "losses": ["cross_entropy", "lib/first.py:first", "second:second"]}
    write_params(study, SETTINGS | moved)
    assert keys(study) == before


def test_libraries_of_ones_own_count_with_their_versions(study):
    before = keys(study)
    write(study, parts="import scipy\nhidden = 4\n")
    assert opened(study).versions["scipy"] == version("scipy")
    assert all(found != before[loss] for loss, found in keys(study).items())


def test_references_by_their_keys(study):
    params = load_params(study / "params.yaml")
    assert references(params) == {
        "model.name": "mine.py:build",
        "losses.first": "first.py:first",
        "losses.second": "second.py:second",
    }
    assert digests(params).keys() == references(params).keys()


def test_the_report_says_what_it_could_not_verify(study):
    params = opened(study).params
    code, link = unverified(params)
    assert code.startswith("first, second: the study's own code.")
    assert link.startswith("first, second: no link is declared, so the probabilities are softmax of the outputs.")
    write_params(study, SMALL)
    assert unverified(load_params(study / "params.yaml")) == []
