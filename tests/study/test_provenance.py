import subprocess
import sys
from importlib.metadata import version

import pytest
from ruamel.yaml import YAML

from losstune.study import provenance
from tests.paths import REPOSITORY

URL = "https://me:secret@example.com/group/study.git"


@pytest.fixture(autouse=True)
def _no_dvc(monkeypatch):
    for name in ("DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.delenv(name, raising=False)


def git(folder, *arguments):
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def work_tree(tmp_path):
    folder = tmp_path / "a study"
    folder.mkdir()
    git(folder, "init", "--initial-branch=topic")
    (folder / "params.yaml").write_text("seed: 1\n")
    (folder / "code.py").write_text("x = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "--message=one")
    return folder


def values():
    return YAML(typ="safe").load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))


def test_a_clean_work_tree(work_tree):
    git(work_tree, "remote", "add", "upstream", "https://example.com/other.git")
    git(work_tree, "remote", "add", "origin", URL)
    head = git(work_tree, "rev-parse", "HEAD")
    assert provenance.git_state(work_tree) == provenance.GitState(
        commit=head, branch="topic", dirty=False, remote_url="https://example.com/group/study.git"
    )
    assert provenance.short_commit(work_tree) == head[:7]


def test_a_changed_a_new_and_a_deleted_file_make_it_dirty(work_tree):
    head = git(work_tree, "rev-parse", "HEAD")[:7]
    (work_tree / "code.py").write_text("x = 2\n")
    assert provenance.short_commit(work_tree) == f"{head}-dirty"
    git(work_tree, "checkout", "code.py")
    assert provenance.short_commit(work_tree) == head
    (work_tree / "new.py").write_text("")
    assert provenance.short_commit(work_tree) == f"{head}-dirty"
    (work_tree / "new.py").unlink()
    (work_tree / "code.py").unlink()
    assert provenance.short_commit(work_tree) == f"{head}-dirty"


def test_what_the_pipeline_writes_makes_nothing_dirty(work_tree):
    for name in ("dvc.lock", "results.json", "report/report.html", "results/tune/trials.jsonl"):
        (work_tree / name).parent.mkdir(parents=True, exist_ok=True)
        (work_tree / name).write_text("")
    assert provenance.git_state(work_tree).dirty is False


def test_params_set_by_a_dvc_experiment_make_nothing_dirty(work_tree, monkeypatch):
    (work_tree / "params.yaml").write_text("seed: 2\n")
    assert provenance.git_state(work_tree).dirty is True
    monkeypatch.setenv("DVC_EXP_NAME", "puny-axle")
    assert provenance.git_state(work_tree).dirty is False


def test_code_above_the_study_folder_counts(work_tree):
    study = work_tree / "studies" / "one"
    study.mkdir(parents=True)
    (study / "metrics.json").write_text("")
    assert provenance.git_state(study).dirty is False
    (work_tree / "code.py").write_text("x = 2\n")
    assert provenance.git_state(study).dirty is True


def test_a_detached_head_has_no_branch(work_tree):
    git(work_tree, "checkout", "--detach")
    assert provenance.git_state(work_tree).branch is None


def test_before_the_first_commit(tmp_path):
    git(tmp_path, "init", "--initial-branch=main")
    assert provenance.git_state(tmp_path).commit is None
    assert provenance.short_commit(tmp_path) is None


def test_outside_git_all_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.git_state(tmp_path) == provenance.GitState()


def test_without_git_installed_all_is_none_and_it_says_why(work_tree, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    state = provenance.git_state(work_tree)
    assert state.commit is None
    assert "git" in state.problem


def test_the_repository_of_another_user_is_told_with_gits_own_cure(work_tree, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    state = provenance.git_state(work_tree)
    assert state.commit is None
    assert "git config --global --add safe.directory" in state.problem


def test_facts_of_a_dvc_stage(work_tree, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "tune")
    monkeypatch.setenv("DVC_EXP_NAME", "puny-axle")
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "f" * 40)
    facts = provenance.collect(work_tree, gpus=["NVIDIA H200"])
    assert (facts.dvc_stage, facts.dvc_experiment, facts.dvc_baseline) == ("tune", "puny-axle", "f" * 40)
    assert facts.versions["torch"] == version("torch")
    assert facts.versions["python"] == ".".join(str(part) for part in sys.version_info[:3])
    assert facts.hardware.gpus == ("NVIDIA H200",)
    assert facts.hardware.num_cores >= 1
    assert facts.hardware.memory_bytes > 2**28
    assert facts.hardware.cpu
    assert provenance.Provenance.model_validate_json(facts.model_dump_json()) == facts


def test_facts_are_gathered_without_importing_a_library():
    code = (
        "import sys; from losstune.study import provenance; provenance.collect(); "
        "print(sorted({'torch', 'ray', 'mlflow', 'dvc', 'numpy', 'optuna'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_not_installed_has_no_version(monkeypatch):
    monkeypatch.setattr(provenance, "DISTRIBUTIONS", ("numpy", "no-such-distribution"))
    assert provenance.versions().keys() == {"python", "numpy"}
