"""The files of a study at a commit, in a DVC experiment or in the work tree. Reads Git and changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from losstune.core.errors import LosstuneError, did_you_mean
from losstune.core.git import GitError, NoRepositoryError, commit_of, require_work_tree, run_git, why_no_commit
from losstune.study.provenance import git_state

WORKSPACE = "workspace"
"""Name of the work tree as a revision."""

_EXPERIMENT = re.compile(r"^refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(?P<name>[^/]+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The files in a study's folder at a revision.

    Attributes:
        folder: The study's folder, somewhere in a Git work tree.
        name: Name that the user gave.
        commit: Full SHA; for the work tree, that of HEAD, or None before the first commit.
        is_workspace: Whether it is the work tree, including uncommitted changes.
        is_dirty: Whether the work tree differs from its commit, apart from the pipeline's outputs.
        experiment: Name of the DVC experiment, or None.
    """

    folder: Path
    name: str
    commit: str | None
    is_workspace: bool = False
    is_dirty: bool = False
    experiment: str | None = None

    @property
    def title(self) -> str:
        """The name and the commit's first seven digits: ``main (3f2a1bc)`` or ``workspace (3f2a1bc-dirty)``."""
        sha = (self.commit[:7] if self.commit else "no commit") + ("-dirty" if self.is_dirty else "")
        return self.name if self.name == sha else f"{self.name} ({sha})"

    def read(self, path: Path) -> bytes | None:
        """Return a file's content, or None if the revision has no such file."""
        if self.is_workspace:
            file = self.folder / path
            return file.read_bytes() if file.is_file() else None
        return read_blobs(self.folder, [f"{self.commit}:./{path.as_posix()}"])[0]

    def sources(self, folder: Path) -> dict[str, bytes]:
        """Return the Python files below a folder, by path relative to it; empty if there are none."""
        if self.is_workspace:
            root = self.folder / folder
            return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.py"))}
        prefix = f"{folder.as_posix()}/"
        listed = git(self.folder, "ls-tree", "-r", "-z", str(self.commit), "--", prefix)
        rows = [row.split("\t", 1) for row in listed.split("\0") if row]
        found = {path.removeprefix(prefix): facts.split()[2] for facts, path in rows if path.endswith(".py")}
        contents = read_blobs(self.folder, found.values())
        return {path: content or b"" for path, content in zip(found, contents, strict=True)}


def find_tree(folder: Path, name: str) -> Tree:
    """Return the files of the revision with this name.

    Names are resolved in this order: ``workspace``, any commit that Git knows (branch, tag, SHA, ``HEAD~3``), and the
    names of DVC experiments.

    Raises:
        LosstuneError: If the folder is in no Git repository or Git cannot read it, or the name is unknown or matches
            several experiments.
    """
    try:
        require_work_tree(folder)
    except NoRepositoryError as error:
        raise LosstuneError(f"{error}; `losstune compare` and `losstune log` read its history") from None
    if name == WORKSPACE:
        state = git_state(folder)
        if state.commit is None and why_no_commit(folder) is None:
            raise GitError(str(state.problem))
        return Tree(folder=folder, name=name, commit=state.commit, is_workspace=True, is_dirty=bool(state.dirty))
    commit = commit_of(folder, name)
    if commit is not None:
        return Tree(folder=folder, name=commit[:7] if name == commit else name, commit=commit)
    experiments = list_experiments(folder)
    found = sorted({commit for other, commit in experiments if other == name})
    if len(found) > 1:
        shas = ", ".join(commit[:7] for commit in found)
        raise LosstuneError(
            f"revision {name!r}: {len(found)} DVC experiments have this name; use the SHA of one: {shas}"
        )
    if not found:
        if reason := why_no_commit(folder, name):
            raise LosstuneError(f"revision {name!r}: {reason}; expected a committed study")
        refs = git(folder, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags").split()
        head = ["HEAD"] if commit_of(folder, "HEAD") else []
        known = [WORKSPACE, *head, *refs, *(other for other, _ in experiments)]
        raise LosstuneError(
            f"revision {name!r}: found no such commit, branch, tag or DVC experiment; expected one of them, or "
            f"{WORKSPACE!r}{did_you_mean(name, known)}"
        )
    return Tree(folder=folder, name=name, commit=found[0], experiment=name)


def list_experiments(folder: Path) -> list[tuple[str, str]]:
    """Return name and commit of every finished DVC experiment.

    DVC stores an experiment as ``refs/exps/<SHA of its baseline, cut after two digits>/<name>``.
    """
    listed = git(folder, "for-each-ref", "--format=%(refname) %(objectname)", "refs/exps")
    found = []
    for line in listed.splitlines():
        ref, _, commit = line.partition(" ")
        if match := _EXPERIMENT.match(ref):
            found.append((match["name"], commit))
    return found


def read_blobs(folder: Path, names: Iterable[str]) -> list[bytes | None]:
    """Return the contents of Git objects such as ``<commit>:./results.json``, in order; None if it is no file."""
    request = "".join(f"{name}\n" for name in names)
    if not request:
        return []
    output = run_git(folder, "cat-file", "--batch", request=request.encode())
    found: list[bytes | None] = []
    at = 0
    for _ in request.splitlines():
        end = output.find(b"\n", at)
        kind = output[at:end].split()[-2:]
        at = end + 1
        if len(kind) == 2 and kind[1].isdigit():
            size = int(kind[1])
            found.append(output[at : at + size] if kind[0] == b"blob" else None)
            at += size + 1
        else:
            found.append(None)
    return found


def git(folder: Path, *arguments: str, request: str = "") -> str:
    """Return the output of a Git command with `request` as input; for errors see :func:`losstune.core.git.run_git`."""
    return run_git(folder, *arguments, request=request.encode()).decode(errors="replace")
