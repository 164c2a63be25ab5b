import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from losstune.core.errors import LosstuneError
from losstune.report.compare.history import history, sparkline
from losstune.report.compare.history_formats import history_svg, history_text
from tests.report.compare.repo import Repo, block_scores, git

RESULTS = Path("results.json")


def test_a_verdict_for_every_results_file_and_the_rest_folded(history_repo):
    entries = history(history_repo.folder, RESULTS, "metric")
    assert [entry.message for entry in entries] == [
        "Judge by macro-F1",
        "focal begins at another gamma",
        "A fifth of the training labels wrong",
        "Other seeds",
        "A narrower range of learning rates",
        "A study",
    ]
    assert entries[-1].num_folded == 1  # the refactor
    assert entries[-1].commit == git(history_repo.folder, "rev-parse", "base")
    scores = block_scores()["cross_entropy"]
    assert entries[-1].baseline_score.mean == pytest.approx(sum(scores) / len(scores))
    assert entries[-1].baseline_score.low < entries[-1].baseline_score.mean < entries[-1].baseline_score.high


def test_breaks_are_noted(history_repo):
    notes = {entry.message: entry.note for entry in history(history_repo.folder, RESULTS, "metric")}
    assert notes["Judge by macro-F1"] == "metric: accuracy → macro_f1"
    assert notes["A fifth of the training labels wrong"] == "other data"
    assert notes["focal begins at another gamma"] == "other data"
    assert notes["Other seeds"] == ""


def test_another_model_is_noted(old_repo):
    old_repo.put("results.json", '{"results_version": 3, "model": "cnn"}')
    old_repo.commit("cnn", "cnn")
    old_repo.put("results.json", '{"results_version": 3, "model": "mlp"}')
    old_repo.commit("mlp", "mlp")
    assert history(old_repo.folder, RESULTS)[0].note == "model: cnn → mlp"


def test_the_newest_only(history_repo):
    assert len(history(history_repo.folder, RESULTS, "metric", 2)) == 2


@pytest.fixture
def old_repo(tmp_path) -> Repo:
    repo = Repo(tmp_path)
    git(tmp_path, "init", "-q", "-b", "main")
    for number, text in enumerate(
        (
            "no JSON at all",
            "[1, 2]",
            '{"results_version": 1, "verdict": "keep it", "losses": {"cross_entropy": 0.9}}',
            json.dumps(
                {
                    "results_version": 2,
                    "metric": "accuracy",
                    "baseline": "cross_entropy",
                    "verdict": {"action": "keep", "loss": "cross_entropy"},
                    "losses": [{"loss": "cross_entropy", "scores": {"accuracy": {"mean": 0.5}}}],
                }
            ),
        )
    ):
        repo.put("results.json", text)
        repo.commit(f"State {number}", f"state{number}")
    git(tmp_path, "rm", "-q", "results.json")
    git(tmp_path, "commit", "-qm", "Without")
    repo.put("results.json", text)
    repo.commit("Back again", "back")
    return repo


def test_old_and_damaged_files_are_read_as_far_as_they_go(old_repo):
    entries = history(old_repo.folder, RESULTS)
    told = [(entry.message, entry.winner, entry.note) for entry in entries]
    assert told == [
        ("Back again", "cross_entropy", "layout 2"),
        ("State 3", "cross_entropy", "layout 2"),
        ("State 2", None, "layout 1"),
        ("State 1", None, "results.json is damaged"),
        ("State 0", None, "results.json is damaged"),
    ]
    table = history_text(entries, "table")
    assert "50.00%" in table
    assert table.count("–") >= 6
    ElementTree.fromstring(history_svg(entries))


def test_what_is_not_committed_comes_first(old_repo):
    old_repo.write(block_scores())
    entries = history(old_repo.folder, RESULTS)
    assert (entries[0].commit, entries[0].message, entries[0].winner) == (None, "not committed", "cross_entropy")
    assert history_text(entries, "table").splitlines()[2].startswith("work tree")
    assert history(old_repo.folder, RESULTS, "state1")[0].commit is not None


def test_a_merge_that_takes_one_parents_results_is_folded(tmp_path):
    repo = Repo(tmp_path)
    git(tmp_path, "init", "-q", "-b", "main")
    repo.put("results.json", "[1]")
    repo.commit("One", "one")
    git(tmp_path, "switch", "-qc", "revision")
    repo.put("results.json", "[2]")
    repo.commit("Two", "two")
    git(tmp_path, "switch", "-q", "main")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "Aside")
    git(tmp_path, "merge", "-q", "--no-ff", "-m", "Merge", "revision")
    found = history(tmp_path, RESULTS)
    assert sorted(entry.message for entry in found) == ["One", "Two"]
    assert sum(entry.num_folded for entry in found) == 2


def test_without_any_verdict(tmp_path):
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "Nothing")
    assert history(tmp_path, RESULTS) == []
    assert history_text([], "table") == "no commit has a results.json; `dvc repro` writes it\n"
    assert history_text([], "json") == "[]\n"
    with pytest.raises(LosstuneError, match="'HEAD~1'"):
        history(tmp_path, RESULTS, "HEAD~1")


def test_json_is_strict_and_whole(history_repo):
    values = json.loads(history_text(history(history_repo.folder, RESULTS, "metric"), "json"))
    assert values[0]["metric"] == "macro_f1"
    assert len(values) == 6


def test_the_figure_is_the_same_for_the_same_history(history_repo):
    entries = history(history_repo.folder, RESULTS, "metric")
    svg = history_svg(entries)
    assert svg == history_svg(entries)
    texts = "".join(ElementTree.fromstring(svg).itertext())
    for entry in entries:
        assert entry.commit[:7] in texts


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], ""), ([None], ""), ([0.5, 0.5], "▄▄"), ([1.0, 2.0], "▁█"), ([0.0, None, 7.0, 1.0], "▁ █▂")],
)
def test_sparkline(values, expected):
    assert sparkline(values) == expected
