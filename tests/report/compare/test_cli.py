"""The commands as a user gives them."""

import json

import pytest

from losstune.cli.main import main
from tests.report.compare.repo import git


@pytest.fixture
def run(history_repo, monkeypatch, capsys):
    monkeypatch.chdir(history_repo.folder)

    def run(*arguments):
        before = git(history_repo.folder, "status", "--porcelain")
        try:
            main(list(arguments))
            code = 0
        except SystemExit as error:
            code = error.code
        assert git(history_repo.folder, "status", "--porcelain") == before, "nothing may change"
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_compare_prints_the_answer_last(run):
    code, out, err = run("compare", "base", "refactor")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "Against base, refactor is identical to the bit for all 4 losses."
    assert "code of a training: the same" in out


def test_the_work_tree_is_the_second_side_by_default(run):
    code, out, _ = run("compare", "metric")
    assert code == 0
    assert "metric (" in out
    assert "against workspace (" in out


UNKNOWN = "found no such commit, branch, tag or DVC experiment; expected one of them, or 'workspace'"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("compare bse", f"revision 'bse': {UNKNOWN}; did you mean 'base'?"),
        ("compare base nowhere", f"revision 'nowhere': {UNKNOWN}"),
        (
            "compare base metric",
            "base and metric cannot be compared: tune.metric: accuracy at base, macro_f1 at metric; "
            "`--force` compares with a warning",
        ),
        (
            "compare base --format htm",
            "--format: found 'htm', expected one of table, markdown, json, html; did you mean 'html'?",
        ),
        ("log nowhere", f"revision 'nowhere': {UNKNOWN}"),
        ("log --format csv", "--format: found 'csv', expected one of table, json"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(run, command, message):
    code, out, err = run(*command.split())
    assert (code, out) == (2, "")
    assert err == f"losstune: {message}\n"


def test_force_warns(run):
    code, out, _ = run("compare", "base", "metric", "--force")
    assert code == 0
    assert out.startswith("WARNING: forced although the protocols differ in tune.metric: accuracy at base")


def test_links_say_why_there_are_none(run):
    code, out, _ = run("compare", "base", "range", "--mlflow")
    assert code == 0
    assert "MLflow, base: mlflow.db: no such database; `losstune track sync` fills it" in out


def test_log_and_its_figure(run, tmp_path):
    code, out, _ = run("log", "metric", "--plot", str(tmp_path / "history.svg"))
    assert code == 0
    assert "Judge by macro-F1" in out
    assert "baseline, oldest to newest:" in out
    assert (tmp_path / "history.svg").read_text().startswith("<?xml")
    code, out, err = run("log", "metric", "--format", "json", "-n", "1", "--plot", str(tmp_path / "other.svg"))
    assert len(json.loads(out)) == 1
    assert err.startswith("wrote ")
