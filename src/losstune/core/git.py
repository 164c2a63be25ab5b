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
    """Git does not answer; the message says why, in Git's own words where it has some."""


class NoRepositoryError(GitError):
    """The folder lies in no Git repository."""


def run_git(folder: Path, *arguments: str, request: bytes = b"", patience_sec: float = PATIENCE_SEC) -> bytes:
    """Return what a Git command prints in a folder when it is given `request`.

    Raises:
        NoRepositoryError: If the folder lies in no Git repository.
        GitError: If Git is not installed, refuses, fails, or does not answer in time.
    """
    done = _done(folder, arguments, request, patience_sec)
    if done.returncode:
        raise _error(folder, arguments[0], done.stderr.decode(errors="replace"))
    return done.stdout


def commit_of(folder: Path, name: str) -> str | None:
    """Return the SHA of the commit that a name stands for; None where Git knows no commit of that name.

    Raises:
        GitError: As :func:`run_git`, and where Git says more than that it knows none.
    """
    arguments = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    done = _done(folder, arguments, b"", PATIENCE_SEC)
    if done.returncode == _FATAL and done.stderr.strip():
        raise _error(folder, arguments[0], done.stderr.decode(errors="replace"))
    return done.stdout.decode().strip() or None


def why_no_commit(folder: Path, name: str = "HEAD") -> str | None:
    """Return why a name stands for no commit if that is because there is none yet; None where it has another cause.

    Raises:
        GitError: As :func:`run_git`; where commits are missing or damaged, too.
    """
    if not run_git(folder, "rev-list", "--max-count=1", "--all"):
        return "the repository has no commit yet"
    if re.match(r"(HEAD|@)(?![^~^@:])", name) and commit_of(folder, "HEAD") is None:
        return f"the branch {run_git(folder, 'symbolic-ref', '--short', 'HEAD').decode().strip()!r} has no commit yet"
    return None


def require_work_tree(folder: Path) -> None:
    """Raise where a folder lies in no work tree that Git reads.

    Raises:
        NoRepositoryError: If it lies in no Git repository.
        GitError: If it lies in a bare one, or Git does not read it.
    """
    run_git(folder, "rev-parse", "--show-toplevel")


def _done(
    folder: Path, arguments: tuple[str, ...], request: bytes, patience_sec: float
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            # Without optional locks, a look at the status never stands in the way of a commit made meanwhile.
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            input=request,
            capture_output=True,
            timeout=patience_sec,
            check=False,
            env=os.environ | {"LC_ALL": "C"},  # one of its messages is looked for
        )
    except subprocess.TimeoutExpired:
        raise GitError(f"git {arguments[0]}: no answer in {patience_sec:g} seconds") from None
    except OSError as error:
        if _dot_git(folder) is None:
            raise NoRepositoryError(f"{folder}: no Git repository") from None
        reason = "is not installed" if isinstance(error, FileNotFoundError) else error.strerror
        raise GitError(
            f"git: cannot be run: it {reason}; Debian and Ubuntu have it as the package git"
        ) from None


def _error(folder: Path, command: str, said: str) -> GitError:
    lines = [_PREFIX.sub("", line.strip()) for line in said.splitlines()]
    words = in_one_line("; ".join(dict.fromkeys(line for line in lines if line)).replace(":;", ":"))
    if _NOT_A_REPOSITORY not in words:
        if _NO_WORK_TREE in words:
            return GitError(
                f"{folder.absolute()}: lies in a bare Git repository; expected a clone, with a work tree"
            )
        message = f"Git does not read the repository: {words or f'git {command} failed without a word'}"
        variable = next((name for name in ("GIT_DIR", "GIT_WORK_TREE") if os.environ.get(name)), None)
        return GitError(message + (f"; {variable} is set, which may be why" if variable else ""))
    if (found := _dot_git(folder)) is not None:
        reason = words if _BOUNDARY in words else "it is empty or damaged"
        return GitError(f"{found}: Git does not take it for a repository: {reason}")
    return NoRepositoryError(f"{folder}: no Git repository")


def _dot_git(folder: Path) -> Path | None:
    here = folder.absolute()
    ceilings = {
        Path(path) for path in os.environ.get("GIT_CEILING_DIRECTORIES", "").split(os.pathsep) if path
    }
    for above in (here, *here.parents):
        if above in ceilings and above != here:
            return None
        if (above / ".git").exists():
            return above / ".git"
    return None
