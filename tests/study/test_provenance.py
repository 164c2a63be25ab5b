import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML

from losstune.study import provenance
from tests.paths import REPOSITORY

CPUINFO = Path("/proc/cpuinfo")
URL = "https://me:secret@example.com/group/study.git"


@pytest.fixture(autouse=True)
def _no_dvc(monkeypatch):
    for name in ("DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.delenv(name, raising=False)


def git(folder, *arguments):
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
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
    assert provenance.git_state(tmp_path) == provenance.GitState(
        branch="main", dirty=False, problem="the repository has no commit yet"
    )
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


def test_public_versions_leave_out_the_build(monkeypatch):
    monkeypatch.setattr(provenance, "version", lambda name: {"torch": "2.15.0+cu132+x"}.get(name) or version(name))
    assert provenance.public_versions(["torch", "numpy", "no-such-distribution"]) == {
        "torch": "2.15.0",
        "numpy": version("numpy").split("+")[0],
        "no-such-distribution": "none",
    }


def put_command(folder, monkeypatch, name, script):
    """A command of that name, before all others on the path."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_gpus_are_what_the_driver_names(tmp_path, monkeypatch):
    put_command(tmp_path, monkeypatch, "nvidia-smi", 'echo " NVIDIA H200"; echo; echo "NVIDIA A100 "; echo "$@" >&2')
    assert provenance.hardware().gpus == ("NVIDIA H200", "NVIDIA A100")
    assert provenance.hardware(()).gpus == ()
    put_command(tmp_path, monkeypatch, "nvidia-smi", "printf 'NVIDIA \\377\\n'")
    assert provenance.hardware().gpus == ("NVIDIA \ufffd",)
    asked = 'test "$*" = "--query-gpu=name --format=csv,noheader" && echo yes'
    put_command(tmp_path, monkeypatch, "nvidia-smi", asked)
    assert provenance.hardware().gpus == ("yes",)


@pytest.mark.parametrize("script", ["echo NVIDIA H200; exit 9", "sleep 5; echo too late", "kill -9 $$"])
def test_a_driver_that_does_not_answer_names_no_gpu(tmp_path, monkeypatch, script):
    monkeypatch.setattr(provenance, "COMMAND_PATIENCE_SEC", 0.5)
    put_command(tmp_path, monkeypatch, "nvidia-smi", script)
    assert provenance.hardware().gpus == ()


def test_a_machine_without_a_driver_has_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.hardware().gpus == ()


def test_the_cpu_is_what_linux_names_and_else_what_python_does(monkeypatch):
    def reads(text):
        monkeypatch.setattr(provenance.Path, "read_text", lambda path, encoding: text if path == CPUINFO else None)
        return provenance.hardware(()).cpu

    assert reads("processor\t: 0\nmodel name\t: A CPU @ 3 GHz \nmodel name\t: Another\n") == "A CPU @ 3 GHz"
    monkeypatch.setattr(provenance.platform, "processor", lambda: "by Python")
    assert reads("the model name : in the middle\n") == "by Python"
    monkeypatch.setattr(provenance.platform, "processor", lambda: "")
    assert reads("") == platform.machine()


def test_the_cpu_of_a_mac_is_asked_for(tmp_path, monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(provenance.Path, "read_text", missing)
    put_command(tmp_path, monkeypatch, "sysctl", 'test "$*" = "-n machdep.cpu.brand_string" && echo "Apple M9 "')
    assert provenance.hardware(()).cpu == "Apple M9"


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 5, 7} if pid == 0 else set(), raising=False)
    assert provenance.hardware(()).num_cores == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert provenance.hardware(()).num_cores == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert provenance.hardware(()).num_cores == 1


def test_a_patch_has_what_differs_but_for_what_the_pipeline_writes_and_what_is_secret(work_tree):
    assert provenance.difference(work_tree) is None
    (work_tree / "new.py").write_text("y = 1\n")
    assert provenance.difference(work_tree) is None
    (work_tree / "code.py").write_text(f"x = '{URL}'\n")
    (work_tree / "params.yaml").write_text("seed: 2\n")
    git(work_tree, "config", "color.ui", "always")
    patch = provenance.difference(work_tree)
    assert "\n-x = 1\n+x = 'https://" in patch
    assert "+seed: 2" in patch
    assert "secret" not in patch
    assert "\x1b" not in patch
    assert "seed" not in provenance.difference(work_tree, generated=["params.yaml"])


@pytest.mark.parametrize(("spare", "is_cut"), [(0, False), (-1, True)])
def test_a_patch_is_cut_at_the_limit(work_tree, monkeypatch, spare, is_cut):
    (work_tree / "code.py").write_text("x = 2\n")
    whole = provenance.difference(work_tree)
    limit = len(whole) + spare
    monkeypatch.setattr(provenance, "MAX_DIFFERENCE", limit)
    cut = "\n(cut here: the difference is larger)\n"
    assert provenance.difference(work_tree) == (whole[:limit] + cut if is_cut else whole)


def test_outside_git_there_is_no_patch(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.difference(tmp_path) is None


def test_without_an_origin_the_first_remote_counts(work_tree):
    assert provenance.git_state(work_tree).remote_url is None
    git(work_tree, "remote", "add", "upstream", URL)
    git(work_tree, "remote", "add", "fork", "https://example.com/fork.git")
    assert provenance.git_state(work_tree).remote_url == "https://example.com/group/study.git"


def test_a_plain_run_has_no_dvc_facts(work_tree):
    facts = provenance.collect(work_tree, gpus=[])
    assert (facts.dvc_stage, facts.dvc_experiment, facts.dvc_baseline) == (None, None, None)
    assert facts.git == provenance.git_state(work_tree)
    assert facts.hardware.gpus == ()


def test_the_processor_is_that_of_the_device():
    provenance.processor_name.cache_clear()
    assert provenance.processor_name("cpu") == provenance.hardware().cpu
    assert torch.cuda.is_available() or provenance.processor_name("cuda") is None
