"""Where a result comes from: commit, DVC experiment, versions and hardware."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from losstune.config.load import PARAMS_FILE
from losstune.core.git import GitError, NoRepositoryError, run_git, why_no_commit
from losstune.core.machine import num_cores
from losstune.core.records import Row
from losstune.core.secrets import masked, without_credentials

DISTRIBUTIONS = ("losstune", "torch", "torchvision", "ray", "mlflow", "dvc", "numpy", "scipy", "optuna")
GENERATED = (
    "dvc.lock",
    "metrics.json",
    "results.json",
    "results",
    "report",
    "data/prepared",
    "data/features",
    "studies",
    "across",
)
COMMAND_PATIENCE_SEC = 20.0
MAX_DIFFERENCE = 1_000_000
"""Maximum length of a stored patch, in characters."""


class Hardware(Row):
    """The machine.

    Attributes:
        cpu: Model name.
        num_cores: Logical cores that this process may use.
        memory_bytes: Memory of the machine.
        gpus: Name of each GPU, in the order of the driver.
    """

    cpu: str
    num_cores: int
    memory_bytes: int
    gpus: tuple[str, ...]


class GitState(Row):
    """State of the work tree. Every field is None outside Git.

    Attributes:
        commit: Full SHA of HEAD; also None before the first commit.
        branch: Name of the branch; None if HEAD is detached, as in DVC experiments.
        dirty: Whether any file besides the pipeline's own outputs differs from the commit, including new files.
        remote_url: URL of ``origin``, or else of the first remote, without credentials.
        problem: Why Git could not be read; None if it could, and outside Git.
    """

    commit: str | None = None
    branch: str | None = None
    dirty: bool | None = None
    remote_url: str | None = None
    problem: str | None = None

    @property
    def short_commit(self) -> str | None:
        """First seven digits of the commit, with ``-dirty`` if the work tree differs; None outside Git."""
        return None if self.commit is None else self.commit[:7] + ("-dirty" if self.dirty else "")


class Provenance(Row):
    """Facts about one execution.

    Attributes:
        git: State of the work tree.
        dvc_experiment: Name of the DVC experiment; None in a plain ``dvc repro``.
        dvc_baseline: Commit at which the DVC experiment starts.
        dvc_stage: Name of the DVC stage; None if losstune runs outside DVC.
        versions: Versions of Python, losstune, and the libraries that affect results.
        hardware: The machine.
    """

    git: GitState
    dvc_experiment: str | None
    dvc_baseline: str | None
    dvc_stage: str | None
    versions: dict[str, str]
    hardware: Hardware


def collect(folder: Path = Path(), gpus: Sequence[str] | None = None) -> Provenance:
    """Collect the facts about this execution without importing the libraries.

    Args:
        folder: Where the study's files are.
        gpus: Names of the GPUs, if the caller knows them; else they come from the NVIDIA driver.
    """
    return Provenance(
        git=git_state(folder),
        dvc_experiment=os.environ.get("DVC_EXP_NAME") or None,
        dvc_baseline=os.environ.get("DVC_EXP_BASELINE_REV") or None,
        dvc_stage=os.environ.get("DVC_STAGE") or None,
        versions=versions(),
        hardware=hardware(gpus),
    )


def git_state(folder: Path = Path(), generated: Iterable[str] = GENERATED) -> GitState:
    """Return the state of the work tree that contains `folder`. Never raises.

    Args:
        folder: Where the study's files are.
        generated: Files and folders, relative to `folder`, that the pipeline writes. DVC rewrites them while stages
            run, so a difference there says nothing about the code.
    """
    ignored = list(generated)
    if os.environ.get("DVC_EXP_NAME"):
        # `dvc exp run --set-param` edits it in place; the name of the experiment identifies this difference.
        ignored.append(str(PARAMS_FILE))
    excluded = [f":(exclude,literal){path}" for path in ignored]
    try:
        status = _git(folder, "status", "--porcelain=v2", "--branch", "--", ":(top)", *excluded)
        is_new = "# branch.oid (initial)" in status.splitlines()
        problem = why_no_commit(folder) if is_new else None
    except NoRepositoryError:
        return GitState()
    except GitError as error:
        return GitState(problem=str(error))
    headers = dict(line[2:].split(" ", 1) for line in status.splitlines() if line.startswith("# branch."))
    commit, branch = headers.get("branch.oid"), headers.get("branch.head")
    return GitState(
        commit=None if is_new else commit,
        branch=None if branch == "(detached)" else branch,
        dirty=any(not line.startswith("#") for line in status.splitlines()),
        remote_url=_remote_url(folder),
        problem=problem,
    )


def short_commit(folder: Path = Path()) -> str | None:
    """Return the first seven digits of the commit, with ``-dirty`` if the work tree differs; None outside Git."""
    return git_state(folder).short_commit


def difference(folder: Path = Path(), generated: Iterable[str] = GENERATED) -> str | None:
    """Return the difference of tracked files from the commit as a patch; None outside Git or if there is none.

    New files are not included, because they may be private. Passwords in URLs, and the values of environment variables
    whose names suggest a secret, are masked.

    Args:
        folder: Where the study's files are.
        generated: Files and folders, relative to `folder`, that are left out.
    """
    excluded = [f":(exclude,literal){path}" for path in generated]
    plain = ("--no-color", "--no-ext-diff", "--no-textconv")
    try:
        text = _git(folder, "diff", *plain, "HEAD", "--", ":(top)", *excluded)
    except GitError:
        return None
    if not text:
        return None
    text = masked(text)
    cut = "\n(cut here: the difference is larger)\n"
    return text if len(text) <= MAX_DIFFERENCE else text[:MAX_DIFFERENCE] + cut


def versions() -> dict[str, str]:
    """Return the version of Python and of each installed library of :data:`DISTRIBUTIONS`."""
    found = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def public_versions(names: Sequence[str]) -> dict[str, str]:
    """Return the public part of each library's version, ``"none"`` for a library that is not installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name).partition("+")[0]
        except PackageNotFoundError:
            found[name] = "none"
    return found


def hardware(gpus: Sequence[str] | None = None) -> Hardware:
    """Describe the machine; for `gpus` see :func:`collect`."""
    return Hardware(
        cpu=_cpu_name(),
        num_cores=num_cores(),
        memory_bytes=psutil.virtual_memory().total,
        gpus=tuple(_nvidia_gpus() if gpus is None else gpus),
    )


def _git(folder: Path, *arguments: str) -> str:
    return run_git(folder, *arguments, patience_sec=COMMAND_PATIENCE_SEC).decode(errors="replace")


def _remote_url(folder: Path) -> str | None:
    try:
        found = _git(folder, "config", "--get-regexp", r"^remote\..*\.url$")
    except GitError:  # there is no remote
        return None
    urls = dict(line.split(" ", 1) for line in found.splitlines() if " " in line)
    url = urls.get("remote.origin.url") or next(iter(urls.values()), None)
    return None if url is None else without_credentials(url)


def _cpu_name() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
        name = found.group(1) if found else None
    except OSError:
        name = _output(["sysctl", "-n", "machdep.cpu.brand_string"])
    return (name or platform.processor() or platform.machine()).strip()


@cache
def processor_name(device: str) -> str | None:
    """Return the model of this machine's CPU, or of the GPU that torch uses; None if not known."""
    if device == "cpu":
        return _cpu_name()
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _nvidia_gpus() -> list[str]:
    # Not by torch, which would open a CUDA context that the driver process does not need.
    if shutil.which("nvidia-smi") is None:
        return []
    names = _output(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]) or ""
    return [name.strip() for name in names.splitlines() if name.strip()]


def _output(command: list[str]) -> str | None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=COMMAND_PATIENCE_SEC, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
