from dataclasses import replace

import pytest

from losstune.report.compare.changes import Change, changes_between
from losstune.report.compare.code import CodeChange, recorded_change
from losstune.report.compare.comparison import compare
from losstune.report.compare.lines import change_lines
from losstune.report.compare.revisions import read_revision
from losstune.report.compare.trees import find_tree
from losstune.stages.compare import PLACES, compare_revisions
from losstune.verdict.facts import CodeFacts
from tests.report.compare.repo import block_scores


def revisions(repo, a, b):
    return [read_revision(find_tree(repo.folder, name), PLACES) for name in (a, b)]


def test_lines_name_what_is_the_same_too(history_repo):
    found = compare_revisions(history_repo.folder, "base", "refactor", force=False)
    assert change_lines(found) == [
        "settings: the same",
        "data: the same",
        "code of a training: the same",
        "other code, which no training uses: differs in losstune.report.page",
        "versions: the same, as far as they are pinned",
        "hardware: not known, the executions are not in DVC's cache at both revisions",
    ]


def test_a_loss_of_its_own_is_named(history_repo):
    found = compare_revisions(history_repo.folder, "base", "default", force=False)
    assert "code of a training: differs in losstune.losses.focal (for focal alone)" in change_lines(found)
    assert "settings: spaces.focal.gamma: 0 to 5, first 2 → 0 to 5, first 3" in change_lines(found)


def test_settings_are_those_that_were_registered(history_repo):
    a, b = revisions(history_repo, "base", "seeds")
    found = changes_between(a, b, CodeChange(is_known=False))
    assert found.params == (Change(name="study.seed", a="20260", b="7"),)
    assert found.data == ()


def test_pins_that_moved(history_repo, tmp_path):
    a, b = revisions(history_repo, "base", "base")
    b = replace(b, pins={"torch": "2.16.0", "ray": "2.60"}, devices=("cuda",))
    a = replace(a, pins={"torch": "2.15.0", "ray": "2.60", "gone": "1"}, devices=("cpu",))
    found = changes_between(a, b, CodeChange(is_known=True))
    assert list(map(str, found.versions)) == ["torch: 2.15.0 → 2.16.0", "gone: 1 → nothing"]
    assert list(map(str, found.hardware)) == ["device: cpu → cuda"]


@pytest.fixture
def retrained(repo):
    """Two revisions that differ in the scores alone."""
    repo.write(block_scores(shift=0.003))
    repo.commit("Trained again", "again")
    return revisions(repo, "base", "again")


@pytest.mark.parametrize(
    ("ours", "theirs", "line", "note"),
    [
        (
            {"devices": ("cpu",), "processors": ("Xeon",)},
            {"devices": ("cpu",), "processors": ("EPYC",)},
            "hardware: processor: Xeon → EPYC",
            "Settings, data, code and versions are the same: the scores differ because of processor.",
        ),
        (
            {"devices": ("cpu",), "processors": ("Xeon",)},
            {"devices": ("cuda",), "processors": ("H100",)},
            "hardware: device: cpu → cuda; processor: Xeon → H100",
            "Settings, data, code and versions are the same: the scores differ because of device and processor.",
        ),
        (
            {"devices": ("cuda",), "processors": ("H100",)},
            {"devices": ("cuda",), "processors": ("H100",)},
            "hardware: the same",
            "The scores differ although settings, data, code and versions are the same. Device and processor are the "
            "same, too. Versions that constraints.txt does not pin, or kernels of a GPU, are possible causes.",
        ),
        (
            {},
            {"devices": ("cpu",)},
            "hardware: not known, the executions are not in DVC's cache at both revisions",
            "The scores differ although settings, data, code and versions are the same. Another processor or device "
            "may have trained them; their executions, which record it, are missing.",
        ),
    ],
)
def test_other_scores_without_another_setting_are_explained(retrained, ours, theirs, line, note):
    a, b = retrained
    found = compare(replace(a, **ours), replace(b, **theirs))
    assert change_lines(found)[-1] == line
    assert note in found.notes


def test_the_same_scores_need_no_explanation(retrained):
    a, _ = retrained
    found = compare(a, a)
    assert found.changes.has_none
    assert not [note for note in found.notes if "are the same" in note]


def facts(**changed):
    values = {"training": "t", "losses": {"focal": "f", "gce": "g"}, "own": {"model.name": "m"}}
    return CodeFacts(**(values | changed))


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (facts(), CodeChange(is_known=True)),
        (facts(training="new"), CodeChange(is_known=True, trial=("losstune.training.loop",))),
        (facts(losses={"gce": "new"}), CodeChange(is_known=True, losses={"gce": ("losstune.losses.gce",)})),
        (facts(own={"model.name": "new"}), CodeChange(is_known=True, own=("model.name",))),
        (facts(own={}), CodeChange(is_known=True, own=("model.name",))),
        (None, CodeChange(is_known=False)),
    ],
)
def test_recorded_digests_stand_in_for_a_source_that_is_elsewhere(other, expected):
    assert recorded_change(facts(), other, CodeChange(is_known=False)) == expected


def test_own_code_counts_beside_a_source_that_is_known():
    found = recorded_change(facts(), facts(own={"losses.tilted": "l", "model.name": "m"}), CodeChange(is_known=True))
    assert found.own == ("losses.tilted",)
    assert not found.is_identical
