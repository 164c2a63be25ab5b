"""A Ray that stays up between two stages of one ``dvc repro``, so that the second one need not start it.

The first stage starts a keeper, a process that holds this Ray (:mod:`losstune.execution.trials.keeper`). When the stage
is complete, it offers the Ray in a file of the Ray's folder. The next stage takes it, if nothing differs: the same
``dvc`` process, the study's folder, the environment, the code and the libraries. The keeper ends Ray if nobody takes it
in time, if a stage ends without offering it again, and if ``dvc`` ends. Does not import Ray.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

import losstune
from losstune.core.dvc import dvc_parent
from losstune.core.files import digest
from losstune.execution import orphans

OFFER, USER_LOCK, ROOT = "offer.json", "user.lock", "root"
KEEPER = "losstune.execution.trials.keeper"

WARM_UP = "warm-up"
"""File in the Ray's folder that tells its spare workers to import what a training needs."""

FOLDER_VARIABLE = "LOSSTUNE_RAY_FOLDER"
"""Environment variable with the Ray's folder, for its workers."""

LIBRARIES = ("ray", "torch")
DIFFERS_BY_STAGE = {"DVC_STAGE", "_", "SHLVL"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a Ray may stay up.

    Attributes:
        root: Root of the study.
        dvc: The process of ``dvc``.
        identity: Hash of all that must be equal for a stage to take the Ray of another one.
    """

    root: Path
    dvc: psutil.Process
    identity: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A Ray that a keeper holds.

    Attributes:
        folder: Its folder.
        address: Its address.
        token: The secret with which it lets a driver in.
        lock: Held as long as this process uses it.
    """

    folder: Path
    address: str
    token: str
    lock: FileLock

    def offer(self, place: Place) -> None:
        """Let the next stage take this Ray."""
        (self.folder / WARM_UP).touch()
        content = {"address": self.address, "token": self.token, "identity": place.identity}
        part = self.folder / f".{OFFER}"
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(content, file)  # nobody else may read the token
        os.replace(part, self.folder / OFFER)


def place_of(root: Path) -> Place | None:
    """Return where the Ray of this stage may stay up; None if ``dvc`` has not started the stage."""
    dvc = dvc_parent()
    if dvc is None:
        return None
    here = psutil.Process()
    package = Path(losstune.__file__).parent
    # The environment at the start of this process, because libraries change it.
    environment = {name: value for name, value in here.environ().items() if name not in DIFFERS_BY_STAGE}
    facts = {
        "root": str(root),
        "folder": os.getcwd(),
        "dvc": [dvc.pid, dvc.create_time()],
        "environment": environment,
        "python": [sys.executable, sys.version],
        "libraries": [version(name) for name in LIBRARIES],
        "code": sorted((str(path), *_stamp(path)) for path in package.rglob("*.py")),
    }
    return Place(root, dvc, digest(facts))


def take(place: Place) -> Kept | None:
    """Take the Ray that an earlier stage of this ``dvc repro`` has offered; None if there is none."""
    for folder, offer in _offers():
        if offer["identity"] != place.identity:
            continue
        lock = FileLock(folder / USER_LOCK)
        with suppress(Timeout, OSError):
            lock.acquire(timeout=1)
            with suppress(FileNotFoundError):  # the keeper has just lost patience
                (folder / OFFER).unlink()
                return Kept(folder, offer["address"], offer["token"], lock)
            lock.release()
    return None


def end_others(root: Path, place: Place | None) -> None:
    """End every Ray that a stage of this study has left up and that this stage cannot take.

    Its workers may still store trainings, so call it with the study's lock and before the ledger is looked into.
    """
    offered = {folder: offer["identity"] for folder, offer in _offers()}
    for file in orphans.temp_folder().glob(f"{orphans.PREFIX}*/{ROOT}"):
        folder = file.parent
        with suppress(OSError):
            is_ours = place is not None and offered.get(folder) == place.identity
            if file.read_text(encoding="utf-8") == str(root) and not is_ours:
                with suppress(psutil.Error, ValueError):
                    keeper = psutil.Process(orphans.owner_of(folder))
                    if KEEPER in keeper.cmdline():
                        keeper.kill()
                orphans.end(folder)


def _offers() -> Iterator[tuple[Path, dict[str, str]]]:
    for file in sorted(orphans.temp_folder().glob(f"{orphans.PREFIX}*/{OFFER}")):
        with suppress(OSError, ValueError):
            if file.stat().st_uid == os.getuid():
                yield file.parent, json.loads(file.read_text(encoding="utf-8"))


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size
