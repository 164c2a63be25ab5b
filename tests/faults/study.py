"""A small study that is killed again and again, and what can be said of it from outside: files, processes, MLflow."""

import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.commands import clean_environment
from tests.paths import REPOSITORY

LOSSTUNE = ["env", "--default-signal=INT", sys.executable, "-m", "losstune"]
DVC = ["env", "--default-signal=INT", sys.executable, "-m", "dvc"]
HOOK = Path(__file__).with_name("hook")
RESULTS = ("results/tune/trials.jsonl", "results/confirm/blocks.jsonl", "results/confirm/registration.json")
VERDICT = ("results.json", "metrics.json")
MOST_WAITED_FOR = 3
"""Trainings, while a kill waits for its time."""

END_PATIENCE_SEC = 180.0
ORPHAN_PATIENCE_SEC = 15.0

SMALL = {
    "study.name": "faults",
    "model": {"name": "mlp", "width": 16, "depth": 1},
    "training.epochs": 3,
    "losses": ["cross_entropy", "kl_divergence", "focal"],
    "confirm.num_blocks": 10,
    "resources.executor": "inline",
    "tracking.enabled": True,
}

FEW = {"tune.trials_per_loss": 4, "confirm.num_blocks": 3}


@dataclass(frozen=True)
class Point:
    """When and how a study is killed.

    Attributes:
        command: What is run and killed: arguments of losstune, or ``("dvc", "repro")``.
        kind: Who is killed: the ``driver``, a ``worker``, the ``raylet`` or the ``gcs`` of Ray (and the driver a little
            later, unless ``alone``), ``dvc``, the process ``group``; or a signal to the group, or ``power``.
        trained: After how many trainings of this run.
        wait_sec: How much later.
        cut: Of a power cut: see ``hook/sitecustomize.py``.
    """

    command: tuple[str, ...]
    kind: str
    trained: int = 0
    wait_sec: float = 0.0
    cut: str = ""


@dataclass
class Tally:
    """What went wrong, counted; all of it has to be 0 but for `kills`."""

    kills: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    repeated: int = 0
    different: int = 0
    doubled: int = 0
    unseen: int = 0
    running: int = 0
    hung: int = 0
    unclear: int = 0
    orphans: int = 0
    left: int = 0
    notes: list[str] = field(default_factory=list)

    def faults(self) -> dict[str, int]:
        return {name: value for name, value in vars(self).items() if name not in ("kills", "notes")}

    def __str__(self) -> str:
        kills = ", ".join(f"{kind} {number}" for kind, number in sorted(self.kills.items()))
        faults = ", ".join(f"{name} {number}" for name, number in self.faults().items())
        return "\n".join([f"{self.kills.total()} kills ({kills}): {faults}", *self.notes])


class KilledStudy:
    """A study's folder, and a temp folder of its own, by which its processes are known.

    Args:
        folder: With the study's files; its data may be prepared or not.
        temp: Short, or Ray's sockets would lie elsewhere.
    """

    def __init__(self, folder: Path, temp: Path) -> None:
        self.folder, self.temp, self.tally = folder, temp, Tally()
        self._first: dict[str, bytes] = {}
        self._shared = set(_shared_memory())

    def kill(self, point: Point) -> bool:
        """Run the point's command and kill it; whether it was still at work when its time had come."""
        before, log = len(self.ledger()), self.temp / "log"
        with log.open("w") as stream:
            driver = subprocess.Popen(
                self._command(point.command),
                cwd=self.folder,
                env=environment(self.temp, point.cut),
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        try:
            is_hit = point.kind != "power" and self._strike(driver, point, before)
            try:
                driver.wait(END_PATIENCE_SEC)
            except subprocess.TimeoutExpired:
                self.tally.hung += 1
                self.tally.notes.append(f"hung after {point}: {log.read_text()[-2000:]}")
            if point.kind == "power":
                is_hit = driver.returncode == 9 or (point.command[0] == "dvc" and driver.returncode != 0)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(driver.pid, signal.SIGKILL)
            driver.wait()
        if is_hit:
            self.tally.kills[point.kind] += 1
        elif driver.returncode != 0:
            self.tally.unclear += 1
            self.tally.notes.append(f"{point} ended with {driver.returncode}: {log.read_text()[-2000:]}")
        if point.kind in ("SIGINT", "SIGTERM") and is_hit and "Traceback" in log.read_text():
            self.tally.unclear += 1
            self.tally.notes.append(f"a traceback after {point}: {log.read_text()[-2000:]}")
        self.look_around(str(point))
        return is_hit

    def run(self, *command: str) -> str:
        """Run a command to its end, which has to be a good one."""
        done = subprocess.run(
            self._command(command),
            cwd=self.folder,
            env=environment(self.temp),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.look_around(" ".join(command))
        return done.stdout

    def ledger(self) -> dict[str, bytes]:
        """Return the files of finished work by their key, without those that failed: these are tried again."""
        found = {}
        for path in (self.folder / ".losstune/ledger").glob("??/*.json"):
            found[path.stem] = path.read_bytes()
        return found

    def look_around(self, when: str) -> None:
        """Count what was lost or trained again since the last look, and what was left behind."""
        now = {}
        for key, content in self.ledger().items():
            try:
                if json.loads(content)["record"]["status"] != "failed":
                    now[key] = content
            except ValueError:
                self.tally.lost += 1
                self.tally.notes.append(f"half an entry after {when}: {key}")
        for key, content in self._first.items():
            self.tally.lost += key not in now
            self.tally.repeated += key in now and now[key] != content
        self._first |= now
        deadline = time.monotonic() + ORPHAN_PATIENCE_SEC
        while (found := self._left_behind()) and time.monotonic() < deadline:
            time.sleep(0.1)
        processes = [text for text in found if text.startswith("process")]
        self.tally.orphans += len(processes)
        self.tally.left += len(found) - len(processes)
        self.tally.notes += [f"{text}, after {when}" for text in found]
        for process in processes:  # or they would be counted again
            with contextlib.suppress(psutil.Error):
                psutil.Process(int(process.split()[1])).kill()

    def compare(self, reference: Path, names: tuple[str, ...]) -> None:
        """Count the files that differ from the reference's, and look at executions and MLflow."""
        for name in names:
            ours = self.folder / name
            if not ours.exists() or ours.read_bytes() != (reference / name).read_bytes():
                self.tally.different += 1
                self.tally.notes.append(f"{name} differs")
        asked = set()
        for name in ("results/tune/executions.jsonl", "results/confirm/executions.jsonl"):
            for line in (self.folder / name).read_text().splitlines():
                execution = json.loads(line)
                asked.add(execution["key"])
                first = json.loads(self._first[execution["key"]])["execution"]
                self.tally.repeated += execution != first
        self.tally.repeated += len(self._first.keys() - asked)  # trained, and nobody wants it
        with closing(sqlite3.connect(self.folder / "mlflow.db")) as database:
            rows = database.execute(
                "select status, value from runs join tags using (run_uuid)"
                " where key = 'losstune.key' and lifecycle_stage = 'active'"
            ).fetchall()
            (total,) = database.execute("select count(*) from runs where lifecycle_stage = 'active'").fetchone()
        shown = Counter(key for _, key in rows)
        self.tally.doubled += sum(number - 1 for number in shown.values()) + total - len(rows)
        self.tally.unseen += len(asked - shown.keys())
        self.tally.running += sum(status not in ("FINISHED", "FAILED") for status, _ in rows)

    def parts(self) -> list[Path]:
        """Return what interrupted writing left."""
        return [path for path in self.folder.rglob(".*.part*") if ".git" not in path.parts]

    def _command(self, command: tuple[str, ...]) -> list[str]:
        return [*DVC, *command[1:]] if command[0] == "dvc" else [*LOSSTUNE, *command]

    def _strike(self, driver: "subprocess.Popen[bytes]", point: Point, before: int) -> bool:
        while driver.poll() is None and len(self.ledger()) < before + point.trained:
            time.sleep(0.005)
        # Not so long that a quick machine trains everything, and leaves nothing to be killed.
        most, deadline = before + point.trained + MOST_WAITED_FOR, time.monotonic() + point.wait_sec
        while driver.poll() is None and time.monotonic() < deadline and len(self.ledger()) < most:
            time.sleep(0.001)
        if driver.poll() is not None:
            return False
        if point.kind in ("SIGINT", "SIGTERM", "group"):
            os.killpg(driver.pid, getattr(signal, point.kind, signal.SIGKILL))
            return True
        victims = self._victims(driver, point.kind.removesuffix(" alone"))
        for victim in victims:
            with contextlib.suppress(psutil.Error):
                victim.kill()
        if point.kind in ("worker", "raylet", "gcs") and victims:
            # What the study does by itself then is taken in, and a little later it is killed, too.
            target, deadline = len(self.ledger()) + 3, time.monotonic() + 5.0
            while driver.poll() is None and len(self.ledger()) < target and time.monotonic() < deadline:
                time.sleep(0.005)
            driver.kill()
        return bool(victims)

    def _victims(self, driver: "subprocess.Popen[bytes]", kind: str) -> list[psutil.Process]:
        found = [psutil.Process(driver.pid), *psutil.Process(driver.pid).children(recursive=True)]
        if kind == "dvc":
            return found[:1]
        signs = {"raylet": "raylet/raylet", "gcs": "gcs/gcs_server"}
        chosen = []
        for process in found:
            with contextlib.suppress(psutil.Error):
                command = process.cmdline()
                if kind == "driver":
                    fits = command[1:3] == ["-m", "losstune"] or os.path.basename(command[1]) == "losstune"
                elif kind == "worker":
                    fits = command[0].startswith("ray::") and "Agent" not in command[0]
                else:
                    fits = signs[kind] in command[0]
                if fits:
                    chosen.append(process)
        return chosen[:1]

    def _left_behind(self) -> list[str]:
        mark = str(self.temp)
        found = [
            f"process {process.pid} {' '.join(process.cmdline())[:200]}"
            for process in psutil.process_iter()
            if process.pid != os.getpid() and _mentions(process, mark)
        ]
        found += [f"folder {path}" for path in self.temp.glob("losstune-ray-*")]
        return found + [f"shared memory {name}" for name in set(_shared_memory()) - self._shared]


def _mentions(process: psutil.Process, mark: str) -> bool:
    # Looked for otherwise than the package does: in the environment, the command line and all open files.
    try:
        folder = Path("/proc") / str(process.pid)
        if any(mark in text for text in (*process.cmdline(), *process.environ().values())):
            return True
        return any(mark in os.readlink(file) for file in (folder / "fd").iterdir())
    except (psutil.Error, OSError):
        return False


def _shared_memory() -> list[str]:
    # Ray's and torch's; others on this machine have theirs.
    folder = Path("/dev/shm")
    return [path.name for path in folder.glob("*") if path.name.startswith(("plasma", "ray", "torch_"))]


def environment(temp: Path, cut: str = "") -> dict[str, str]:
    """Return what a study is run with: nothing of DVC, MLflow or Ray from outside, and its own temp folder."""
    kept = clean_environment()
    path = [str(REPOSITORY / "src"), *filter(None, [kept.get("PYTHONPATH")])]
    if cut:
        path.insert(0, str(HOOK))
        kept["FAULTS_CUT"] = cut
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(path),
        "TMPDIR": str(temp),
    }


@contextlib.contextmanager
def short_temp() -> Iterator[Path]:
    """Give a temp folder whose path is short enough for Ray's sockets."""
    folder = Path("/tmp") / f"lt{secrets.token_hex(2)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def draw(chance: random.Random, kinds: tuple[str, ...], command: tuple[str, ...]) -> Point:
    """Draw a kill point: its kind, after how many trainings, and some milliseconds more."""
    kind = chance.choice(kinds)
    trained, wait_sec = max(0, chance.randint(-1, 3)), chance.uniform(0.0, 0.05)
    if kind == "power":
        moment = chance.choice(("before", "half", "after"))
        return Point(command, kind, cut=f"*.json:{1 + trained}:{moment}")
    if kind in ("worker", "raylet", "gcs"):
        trained += 1  # or there would be none yet
    elif trained == 0:
        wait_sec = chance.uniform(0.0, 15.0)  # while it starts
    return Point(command, kind, trained, wait_sec)
