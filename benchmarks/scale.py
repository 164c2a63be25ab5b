"""How the cost of a study grows: ``losstune tune`` with Ray and MLflow on studies of very short trials.

    python benchmarks/scale.py --trials 100 1000 10000

Each study is made in a fresh folder: digits, an mlp of 8 units, one epoch, five losses, two searches. It is tuned,
tuned again with all trials kept, confirmed on two blocks, reported, and compared with itself under another ROPE, as
two commits of a scratch repository. Starting Ray and the rest takes as long for 10 trials as for 10,000. So the script
prints the time of a trial twice: over the whole wall-clock, and from the start of the first training to the end of the
last. It also prints the driver's own CPU time, start included, which other work does not disturb. What a training costs
is printed twice, too: the driver's CPU time that each further trial adds between the first and the last study, and what
all cores did besides training from first to last, by trial. Exit code 1 if a trial costs the driver over 5 ms, takes
over 1.3 times as long in the last study as in the first, or memory exceeds 2 GiB. On 2 cores the three sizes take about
5 minutes.

Memory is the highest of the process that runs the stage, or of a process that it waited for, if that is more.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML

REPOSITORY = Path(__file__).resolve().parent.parent
LOSSES = ("cross_entropy", "label_smoothing", "focal", "gce", "tsallis_score")
NUM_SEARCHES = 2
MOST_RATIO, MOST_BYTES, MOST_DRIVER_MS = 1.3, 2 * 2**30, 5.0
"""A trial of the last study over one of the first; memory of the driver; its CPU time of a trial."""


class Cost(NamedTuple):
    """Of one run of a command: Unix time at its start, seconds by the clock and of CPU, bytes of memory at the most."""

    started_at: float
    wall: float
    cpu: float
    memory: int


class Size(NamedTuple):
    """The figures of one study."""

    trials: int
    tune: Cost
    start: float
    train: float
    trained: float
    again: Cost
    confirm: Cost
    report: Cost
    compare: Cost
    ledger: int
    rows: int
    database: int

    @property
    def all_ms(self) -> float:
        return 1e3 * self.tune.wall / self.trials

    @property
    def trial_ms(self) -> float:
        return 1e3 * self.train / self.trials

    @property
    def beside_ms(self) -> float:
        """What the cores did besides training, or did not do, from the first training to the last."""
        return 1e3 * (self.train * len(os.sched_getaffinity(0)) - self.trained) / self.trials

    @property
    def memory(self) -> int:
        return max(self.tune.memory, self.again.memory, self.confirm.memory)


def main() -> None:
    """Run the studies, print a row for each, and say whether the aims are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000, 10_000], help="of each study")
    options = parser.parse_args()
    step = NUM_SEARCHES * len(LOSSES)
    for trials in options.trials:
        if trials < step or trials % step:
            parser.error(f"--trials: expected multiples of {step}, found {trials}")
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"other work is running here (load {load:.1f}): it will be slower", file=sys.stderr)
    print(
        "  trials   tune  start  ms a trial  from first   besides  CPU of the  memory  ledger  trials.jsonl  mlflow.db"
    )
    print(
        "              s      s      in all  to last, ms  training   driver, s     MiB     MiB           MiB        MiB"
    )
    sizes = []
    for trials in options.trials:
        with tempfile.TemporaryDirectory(prefix="losstune-scale-") as folder:
            size = _measure(Path(folder), trials)
        sizes.append(size)
        print(
            f"{trials:8,}{size.tune.wall:7.1f}{size.start:7.1f}{size.all_ms:12.1f}"
            f"{size.trial_ms:13.1f}{size.beside_ms:10.1f}{size.tune.cpu:12.1f}{size.memory / 2**20:8.0f}"
            f"{size.ledger / 2**20:8.1f}{size.rows / 2**20:14.1f}{size.database / 2**20:11.1f}",
            flush=True,
        )
    print("\n  trials  tune again  confirm  report  compare   in seconds")
    for size in sizes:
        walls = (size.again.wall, size.confirm.wall, size.report.wall, size.compare.wall)
        print(f"{size.trials:8,}{walls[0]:12.1f}{walls[1]:9.1f}{walls[2]:8.1f}{walls[3]:9.1f}")
    last, memory = sizes[-1], max(size.memory for size in sizes)
    for size in sizes[:-1]:
        print(
            f"a trial of {last.trials:,} over one of {size.trials:,}: {last.all_ms / size.all_ms:.2f} in all, "
            f"{last.trial_ms / size.trial_ms:.2f} from first to last"
        )
    print(f"memory at the most: {memory / 2**30:.2f} GiB")
    ratio, driver_ms = last.all_ms / sizes[0].all_ms, 0.0
    if last.trials > sizes[0].trials:
        driver_ms = 1e3 * (last.tune.cpu - sizes[0].tune.cpu) / (last.trials - sizes[0].trials)
        print(f"a trial costs {driver_ms:.1f} ms of the driver's CPU, and {last.beside_ms:.1f} ms besides training")
    if ratio > MOST_RATIO or memory >= MOST_BYTES or driver_ms > MOST_DRIVER_MS:
        sys.exit(1)


def _measure(folder: Path, trials: int) -> Size:
    _git(folder, "init", "-q")
    _write_params(folder, {"tune": {"trials_per_loss": trials // NUM_SEARCHES // len(LOSSES)}})
    _run(folder, "prepare")
    tune = _run(folder, "tune")
    rows = [json.loads(line) for line in (folder / "results/tune/executions.jsonl").read_text().splitlines()]
    if len(rows) != trials:
        sys.exit(f"losstune tune wrote {len(rows)} executions, expected {trials}")
    first = min(row["started_at"] for row in rows)
    last = max(row["started_at"] + row["duration_sec"] for row in rows)
    again = _run(folder, "tune")
    confirm, report = _run(folder, "confirm"), _run(folder, "report")
    _commit(folder)
    _write_params(folder, {"report": {"rope": 0.01}})
    _run(folder, "confirm")
    _run(folder, "report")
    _commit(folder)
    return Size(
        trials=trials,
        tune=tune,
        start=first - tune.started_at,
        train=last - first,
        trained=sum(row["duration_sec"] for row in rows),
        again=again,
        confirm=confirm,
        report=report,
        compare=_run(folder, "compare", "HEAD~1", "HEAD", "--force"),
        ledger=sum(path.stat().st_size for path in (folder / ".losstune/ledger").rglob("*.json")),
        rows=(folder / "results/tune/trials.jsonl").stat().st_size,
        database=(folder / "mlflow.db").stat().st_size,
    )


def _write_params(folder: Path, changes: dict[str, dict[str, object]]) -> None:
    yaml, path = YAML(), folder / "params.yaml"
    if path.exists():
        values = yaml.load(path)
    else:
        values = yaml.load(REPOSITORY / "params.yaml")
        values["model"].update(name="mlp", width=8, depth=1)
        values["training"]["epochs"] = 1
        values["losses"] = list(LOSSES)
        values["tune"]["num_searches"] = NUM_SEARCHES
        values["confirm"]["num_blocks"] = NUM_SEARCHES
        values["tracking"].update(enabled=True, uri=None)
    for section, settings in changes.items():
        values[section].update(settings)
    yaml.dump(values, path)


def _run(folder: Path, *arguments: str) -> Cost:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    started_at, start = time.time(), time.perf_counter()
    with (folder / "output").open("w") as output:
        command = [sys.executable, "-m", "losstune", *arguments]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"losstune {' '.join(arguments)} failed: {(folder / 'output').read_text()[-2000:]}")
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(started_at, time.perf_counter() - start, cpu, usage.ru_maxrss * 1024)


def _commit(folder: Path) -> None:
    kept = ["params.yaml", "data/prepared/manifest.json", "results/confirm", "results.json", "metrics.json"]
    _git(folder, "add", "-f", *kept)
    _git(folder, "-c", "user.name=Scale", "-c", "user.email=scale@example.com", "commit", "-qm", "A study")


def _git(folder: Path, *arguments: str) -> None:
    git = shutil.which("git") or sys.exit("git is needed")
    subprocess.run([git, *arguments], cwd=folder, check=True)


if __name__ == "__main__":
    main()
