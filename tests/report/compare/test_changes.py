from losstune.report.compare.changes import Change, changes_between
from losstune.report.compare.code import CodeChange
from losstune.report.compare.lines import change_lines
from losstune.report.compare.revisions import read_revision
from losstune.report.compare.trees import find_tree
from losstune.stages.compare import PLACES, compare_revisions


def revisions(repo, a, b):
    return [read_revision(find_tree(repo.folder, name), PLACES) for name in (a, b)]


def test_lines_name_what_is_the_same_too(history_repo):
    found = compare_revisions(history_repo.folder, "base", "refactor", force=False)
    assert change_lines(found) == [
        "settings: the same",
        "data: the same",
        "code of a training: identical",
        "other code, which no training rests on: differs in losstune.report.page",
        "versions: the same, as far as they are pinned",
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
    from dataclasses import replace

    b = replace(b, pins={"torch": "2.16.0", "ray": "2.60"}, devices=("cuda",))
    a = replace(a, pins={"torch": "2.15.0", "ray": "2.60", "gone": "1"}, devices=("cpu",))
    found = changes_between(a, b, CodeChange(is_known=True))
    assert list(map(str, found.versions)) == [
        "torch: 2.15.0 → 2.16.0",
        "gone: 1 → nothing",
        "device: cpu → cuda",
    ]
