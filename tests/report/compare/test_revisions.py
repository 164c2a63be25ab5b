import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from losstune.core.errors import LosstuneError
from losstune.report.compare.comparability import comparability
from losstune.report.compare.outs import read_out
from losstune.report.compare.revisions import read_revision
from losstune.report.compare.trees import find_tree
from losstune.stages.compare import PLACES, compare_revisions
from tests.report.compare.repo import block_scores, git
from tests.report.pooled import make_pooled


def revision(repo, name="workspace"):
    return read_revision(find_tree(repo.folder, name), PLACES)


def test_a_side_knows_its_terms(repo):
    found = revision(repo, "base")
    assert found.seed == 20260
    assert found.version == "0.1.0"
    assert found.test_digest == "7e" * 32
    assert found.notes == ()


def test_no_results(repo):
    git(repo.folder, "rm", "-q", "results.json")
    repo.commit("Without", "without")
    with pytest.raises(LosstuneError) as raised:
        revision(repo, "without")
    assert "has no results.json in Git nor in DVC's cache" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "found no layout's number, expected 3"),
        ('{"results_version": 2}', "found layout 2, expected 3"),
        ('{"results_version": 3}', "is damaged (study: Field required)"),
    ],
)
def test_results_that_cannot_be_read(repo, text, message):
    repo.put("results.json", text)
    with pytest.raises(LosstuneError) as raised:
        revision(repo)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_settings_edited_after_the_run_are_noted(repo):
    params = (repo.folder / "params.yaml").read_text()
    assert "epochs: 15" in params
    repo.put("params.yaml", params.replace("epochs: 15", "epochs: 16"))
    (note,) = revision(repo).notes
    assert note == (
        "workspace: its results.json was made with other settings than those in its params.yaml (training.epochs); "
        "`dvc repro` updates it."
    )


def test_a_study_of_a_matrix_needs_no_settings_of_its_own(repo):
    (repo.folder / "params.yaml").unlink()
    found = revision(repo)
    assert (found.seed, found.notes) == (20260, ())


def test_a_registration_of_something_else_does_not_count(repo):
    values = json.loads((repo.folder / "results.json").read_text())
    repo.put("results.json", json.dumps(values | {"protocol": "00" * 32}))
    found = revision(repo)
    assert found.terms is None
    assert any("no results/confirm/registration.json matches" in note for note in found.notes)
    assert any("results.json differs from the committed one" in note for note in found.notes)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"test_digest": "00" * 32}, "test split: digits 7e7e7e7e7e7e at base, digits 000000000000 at workspace"),
        ({"seed": 1}, None),
        ({"digest": "11" * 32}, None),
        ({"params": {"model": {"width": 32}}}, None),
        ({"params": {"training": {"epochs": 3}}}, None),
        ({"params": {"tune": {"trials_per_loss": 3}}}, None),
    ],
)
def test_what_is_an_obstacle_and_what_a_change(repo, changed, line):
    repo.write(block_scores(), **changed)
    assert comparability(revision(repo, "base"), revision(repo)) == ([line] if line else [])


def test_other_data_without_a_manifest_is_an_obstacle(repo):
    repo.write(block_scores(), digest="11" * 32)
    (repo.folder / "data/prepared/manifest.json").unlink()
    (line,) = comparability(revision(repo, "base"), revision(repo))
    assert line.startswith("data.digest: digits 5f5f5f5f5f5f at base, digits 111111111111 at workspace")


def test_another_protocol_version_is_an_obstacle(repo):
    repo.put("src/losstune/__init__.py", '__version__ = "0.2.3"\n')
    assert comparability(revision(repo, "base"), revision(repo)) == [
        "losstune's protocol version: 0.1 at base, 0.2 at workspace"
    ]


def test_a_dirty_work_tree_is_named_and_left_as_it_is(repo):
    repo.put("src/losstune/training/metrics.py", "def accuracy(hits, all):\n    return hits / all + 0\n")
    before = git(repo.folder, "status", "--porcelain"), git(repo.folder, "stash", "list")
    found = compare_revisions(repo.folder, "base", "workspace", force=False)
    assert found.b.title.endswith("-dirty)")
    assert found.changes.code.trial == ("losstune.training.metrics",)
    assert (git(repo.folder, "status", "--porcelain"), git(repo.folder, "stash", "list")) == before


def test_the_training_code_is_found_in_the_layout_of_version_0_1(repo):
    git(repo.folder, "rm", "-rq", "src/losstune/training")
    repo.put("src/losstune/metrics.py", "def accuracy(hits, all):\n    return hits / all\n")
    repo.put("src/losstune/training.py", "from losstune.metrics import accuracy\n")
    repo.commit("As it was", "old")
    repo.put("src/losstune/metrics.py", "def accuracy(hits, all):\n    return 1 - hits / all\n")
    found = compare_revisions(repo.folder, "old", "workspace", force=False)
    assert found.changes.code.trial == ("losstune.metrics",)


def test_code_that_is_no_python_is_one_line(repo):
    repo.put("src/losstune/training/metrics.py", "def accuracy(:\n")
    with pytest.raises(LosstuneError, match=r"line 1 of metrics\.py is not Python"):
        compare_revisions(repo.folder, "base", "workspace", force=False)


def test_a_study_without_losstunes_source(repo):
    git(repo.folder, "rm", "-rq", "src")
    found = compare_revisions(repo.folder, "base", "workspace", force=False)
    assert not found.changes.code.is_known
    assert not found.changes.code.is_identical


def test_an_output_in_dvcs_cache_is_read_at_its_revision(repo):
    def dvc(*arguments):
        subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=repo.folder, check=True, capture_output=True)

    path = Path("results/confirm/executions.jsonl")
    dvc("init", "-q")
    for number in (1, 2):
        repo.put("dvc.yaml", f"stages:\n  s:\n    cmd: echo {number} > {path}\n    outs:\n    - {path}\n")
        dvc("repro", "-q")
        repo.commit(f"Output {number}", f"output{number}")
    (repo.folder / path).unlink()
    assert read_out(find_tree(repo.folder, "output1"), path) == b"1\n"
    assert read_out(find_tree(repo.folder, "output2"), path) == b"2\n"
    assert read_out(find_tree(repo.folder, "base"), path) is None
    assert not (repo.folder / path).exists()
    shutil.rmtree(repo.folder / ".dvc" / "cache")
    assert read_out(find_tree(repo.folder, "output1"), path) is None


def test_a_pooled_study_is_told_by_its_protocol_and_its_budget(repo):
    repo.write_study(make_pooled(budget=220))
    repo.commit("Pools", "pooled")
    found = revision(repo, "pooled")
    assert found.notes == ()
    changes = list(map(str, compare_revisions(repo.folder, "base", "pooled", force=False).changes.params))
    assert [change for change in changes if "budget" in change] == ["budget: nothing → 220 trainings"]
    assert [change.partition(",")[0] for change in changes if "protocol" in change] == ["protocol: nothing → pooled"]
