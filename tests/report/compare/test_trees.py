import subprocess
from pathlib import Path

import pytest

from losstune.core.errors import LosstuneError
from losstune.report.compare.trees import find_tree, list_experiments
from tests.report.compare.repo import Repo, git


@pytest.fixture
def repo(tmp_path):
    repo = Repo(tmp_path)
    git(tmp_path, "init", "-q", "-b", "main")
    repo.put("results.json", "{}")
    repo.commit("First", "first")
    return repo


def experiment(repo, name, text):
    """What `dvc exp run` leaves: a commit that no branch holds, under refs/exps."""
    baseline = git(repo.folder, "rev-parse", "HEAD")
    repo.put("results.json", text)
    git(repo.folder, "add", "-A")
    tree = git(repo.folder, "write-tree")
    sha = git(repo.folder, "commit-tree", tree, "-p", baseline, "-m", "dvc: commit experiment")
    git(repo.folder, "update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}", sha)
    git(repo.folder, "reset", "-q", "--hard")
    return sha


def test_names_of_git(repo):
    sha = git(repo.folder, "rev-parse", "HEAD")
    for name in ("main", "first", "HEAD", sha, sha[:8]):
        assert find_tree(repo.folder, name).commit == sha
    assert find_tree(repo.folder, "main").title == f"main ({sha[:7]})"
    assert find_tree(repo.folder, sha).title == sha[:7]


def test_reads_what_was_committed_and_not_what_is_there(repo):
    repo.put("results.json", '{"now": 1}')
    assert find_tree(repo.folder, "HEAD").read(Path("results.json")) == b"{}"
    assert find_tree(repo.folder, "workspace").read(Path("results.json")) == b'{"now": 1}'
    assert find_tree(repo.folder, "HEAD").read(Path("absent.json")) is None


def test_a_study_in_a_folder_below(repo):
    below = Repo(repo.folder / "studies" / "one")
    below.put("results.json", '{"below": 1}')
    below.put("src/losstune/losses/focal.py", "GAMMA = 2\n")
    repo.commit("A study below", "below")
    tree = find_tree(below.folder, "HEAD")
    assert tree.read(Path("results.json")) == b'{"below": 1}'
    assert tree.sources(Path("src/losstune")) == {"losses/focal.py": b"GAMMA = 2\n"}
    assert find_tree(below.folder, "workspace").sources(Path("src/losstune")) == tree.sources(Path("src/losstune"))


def test_an_experiment_by_its_name(repo):
    sha = experiment(repo, "eerie-toad", '{"experiment": 1}')
    tree = find_tree(repo.folder, "eerie-toad")
    assert (tree.commit, tree.experiment) == (sha, "eerie-toad")
    assert list_experiments(repo.folder) == [("eerie-toad", sha)]


def test_what_dvc_keeps_beside_experiments_is_none(repo):
    git(repo.folder, "update-ref", "refs/exps/stash", "HEAD")
    git(repo.folder, "update-ref", "refs/exps/exec/EXEC_HEAD", "HEAD")
    assert list_experiments(repo.folder) == []


def test_one_name_for_two_experiments(repo):
    first = experiment(repo, "twin", "[1]")
    repo.put("other", "")
    repo.commit("Second", "second")
    second = experiment(repo, "twin", "[2]")
    with pytest.raises(LosstuneError, match="2 DVC experiments have this name") as raised:
        find_tree(repo.folder, "twin")
    assert first[:7] in str(raised.value)
    assert second[:7] in str(raised.value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("mian", "; did you mean 'main'?"),
        ("eerie-toat", "; did you mean 'eerie-toad'?"),
        ("--output=x", ""),
        ("HEAD~9", ""),
        ("first:results.json", ""),
    ],
)
def test_a_bad_revision_is_one_line(repo, name, hint):
    experiment(repo, "eerie-toad", "[]")
    with pytest.raises(LosstuneError) as raised:
        find_tree(repo.folder, name)
    message = str(raised.value)
    assert message.startswith(f"revision {name!r}: found no such commit, branch, tag or DVC experiment")
    assert hint in message
    assert "\n" not in message
    assert not (repo.folder / "x").exists()


def test_a_dirty_work_tree_is_named_so(repo):
    assert find_tree(repo.folder, "workspace").title.endswith(")")
    assert "-dirty" not in find_tree(repo.folder, "workspace").title
    repo.put("params.yaml", "a: 1\n")
    sha = git(repo.folder, "rev-parse", "HEAD")
    assert find_tree(repo.folder, "workspace").title == f"workspace ({sha[:7]}-dirty)"


def test_outside_git(tmp_path):
    with pytest.raises(LosstuneError, match="no Git repository"):
        find_tree(tmp_path, "HEAD")


def test_before_the_first_commit(tmp_path):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert find_tree(tmp_path, "workspace").title == "workspace (no commit)"
    with pytest.raises(LosstuneError, match="revision 'HEAD': the repository has no commit yet"):
        find_tree(tmp_path, "HEAD")
