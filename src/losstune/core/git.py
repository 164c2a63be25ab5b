"""Run Git, and pass on its reason when it fails. Git never waits for a lock here."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from losstune.core.errors import LosstuneError, in_one_line

PATIENCE_SEC = 60.0

_PREFIX = re.compile(r"^(fatal|error|warning): ")
_NOT_A_REPOSITORY = "not a git repository (or any"
_BOUNDARY = "GIT_DISCOVERY_ACROSS_FILESYSTEM"
_NO_WORK_TREE = "must be run in a work tree"
_FATAL = 128


class GitError(LosstuneError):
    """A Git command failed; the message gives the reason, with Git's own message where there is one."""


class NoRepositoryError(GitError):
    """The folder is not in a Git repository."""


def run_git(folder: Path, *arguments: str, request: bytes = b"", patience_sec: float = PATIENCE_SEC) -> bytes:
    """Run a Git command in a folder with `request` on standard input and return its standard output.

    Raises:
        NoRepositoryError: If the folder is not in a Git repository.
        GitError: If Git is not installed, fails, or times out.
    """
    done = _done(folder, arguments, request, patience_sec)
    if done.returncode:
        raise _error(folder, arguments[0], done.stderr.decode(errors="replace"))
    return done.stdout


def commit_of(folder: Path, name: str) -> str | None:
    """Return the SHA of the commit that a name refers to; None if Git knows no such commit.

    Raises:
        GitError: As :func:`run_git`, and if Git reports any other error.
    """
    arguments = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    done = _done(folder, arguments, b"", PATIENCE_SEC)
    if done.returncode == _FATAL and done.stderr.strip():
        raise _error(folder, arguments[0], done.stderr.decode(errors="replace"))
    return done.stdout.decode().strip() or None


def why_no_commit(folder: Path, name: str = "HEAD") -> str | None:
    """Explain a name that refers to no commit because there is no commit yet; return None for any other cause.

    Raises:
        GitError: As :func:`run_git`, and if commits are missing or damaged.
    """
    if not run_git(folder, "rev-list", "--max-count=1", "--all"):
        return "the repository has no commit yet"
    if re.match(r"(HEAD|@)(?![^~^@:])", name) and commit_of(folder, "HEAD") is None:
        return f"the branch {run_git(folder, 'symbolic-ref', '--short', 'HEAD').decode().strip()!r} has no commit yet"
    return None


def require_work_tree(folder: Path) -> None:
    """Check that a folder is in a work tree that Git can read.

    Raises:
        NoRepositoryError: If it is not in a Git repository.
        GitError: If the repository is bare, or Git cannot read it.
    """
    run_git(folder, "rev-parse", "--show-toplevel")


def _done(
    folder: Path, arguments: tuple[str, ...], request: bytes, patience_sec: float
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            # Without optional locks, reading the status never blocks a concurrent commit.
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            input=request,
            capture_output=True,
            timeout=patience_sec,
            check=False,
            env=os.environ | {"LC_ALL": "C"},  # its messages are matched in English
        )
    except subprocess.TimeoutExpired:
        raise GitError(f"git {arguments[0]}: no answer in {patience_sec:g} seconds") from None
    except OSError as error:
        if _dot_git(folder) is None:
            raise NoRepositoryError(f"{folder}: no Git repository") from None
        reason = "is not installed" if isinstance(error, FileNotFoundError) else error.strerror
        raise GitError(f"git: cannot be run: it {reason}; Debian and Ubuntu have it as the package git") from None


def _error(folder: Path, command: str, said: str) -> GitError:
    lines = [_PREFIX.sub("", line.strip()) for line in said.splitlines()]
    words = in_one_line("; ".join(dict.fromkeys(line for line in lines if line)).replace(":;", ":"))
    if _NOT_A_REPOSITORY not in words:
        if _NO_WORK_TREE in words:
            return GitError(f"{folder.absolute()}: is in a bare Git repository; expected a clone with a work tree")
        message = f"Git cannot read the repository: {words or f'git {command} failed without a message'}"
        variable = next((name for name in ("GIT_DIR", "GIT_WORK_TREE") if os.environ.get(name)), None)
        return GitError(message + (f"; {variable} is set, which may be the cause" if variable else ""))
    if (found := _dot_git(folder)) is not None:
        reason = words if _BOUNDARY in words else "it is empty or damaged"
        return GitError(f"{found}: Git does not recognise it as a repository: {reason}")
    return NoRepositoryError(f"{folder}: no Git repository")


def _dot_git(folder: Path) -> Path | None:
    here = folder.absolute()
    ceilings = {Path(path) for path in os.environ.get("GIT_CEILING_DIRECTORIES", "").split(os.pathsep) if path}
    for above in (here, *here.parents):
        if above in ceilings and above != here:
            return None
        if (above / ".git").exists():
            return above / ".git"
    return None
