"""What showing a study in MLflow costs: the wall-clock of ``losstune tune`` with tracking over that without.

    python benchmarks/tracking.py --repeats 3
    python benchmarks/tracking.py --repeats 3 --model mlp

Each study is 500 trainings on digits, in a fresh folder, from the start of the process to its end; the one with
tracking makes its database, too. The network is the default study's, or a small one that trains in a tenth of a second,
where what logging costs weighs most. The two of a pair run one after the other, the order changes from
pair to pair, and a pair gives one ratio, so that a machine that is slower for a while is so for both. Beside it stands
what other work doesn't disturb: the driver's own CPU time. On 2 cores a pair takes about
7 minutes, with mlp 2.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML

REPOSITORY = Path(__file__).resolve().parent.parent
LOSSES = ("cross_entropy", "label_smoothing", "focal", "gce", "tsallis_score")


class Cost(NamedTuple):
    """Of one run of ``losstune tune``, in seconds."""

    wall: float
    driver_cpu: float


def main() -> None:
    """Run the pairs and print a line for each, and the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=500, help="trainings of a study")
    parser.add_argument("--repeats", type=int, default=3, help="pairs")
    parser.add_argument("--model", choices=("cnn", "mlp"), default="cnn")
    parser.add_argument("--executor", choices=("ray", "inline"), default="ray")
    options = parser.parse_args()
    if options.trials < 1 or options.trials % (2 * len(LOSSES)):
        parser.error(f"--trials: expected a multiple of {2 * len(LOSSES)}, found {options.trials}")
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"other work is running here (load {load:.1f}): trust the CPU time more", file=sys.stderr)
    ratios, shares = [], []
    with tempfile.TemporaryDirectory(prefix="losstune-tracking-") as temp:
        template = Path(temp) / "template"
        template.mkdir()
        _write_params(template, options, enabled=False)
        _run(template, "prepare")
        print("pair  without      with     ratio   driver's CPU without and with")
        for pair in range(1, options.repeats + 1):
            costs = {}
            for enabled in (pair % 2 == 0, pair % 2 == 1):
                folder = Path(temp) / f"{pair}-{enabled}"
                shutil.copytree(template, folder)
                _write_params(folder, options, enabled=enabled)
                costs[enabled] = _run(folder, "tune")
                if enabled:
                    _require_shown(folder, options.trials)
            ratios.append(costs[True].wall / costs[False].wall)
            shares.append((costs[True].driver_cpu - costs[False].driver_cpu) / options.trials * 1e3)
            print(
                f"{pair:4}{costs[False].wall:8.1f} s{costs[True].wall:8.1f} s{ratios[-1]:10.3f}"
                f"{costs[False].driver_cpu:10.1f} s{costs[True].driver_cpu:8.1f} s",
                flush=True,
            )
    print(
        f"median ratio {statistics.median(ratios):.3f}; {statistics.median(shares):.1f} ms of CPU a training, the "
        "start of MLflow included"
    )


def _write_params(folder: Path, options: argparse.Namespace, *, enabled: bool) -> None:
    yaml = YAML()
    values = yaml.load(REPOSITORY / "params.yaml")
    if options.model == "mlp":
        values["model"].update(name="mlp", width=64, depth=2)
    values["training"]["epochs"] = 15
    values["losses"] = list(LOSSES)
    values["tune"].update(num_searches=2, trials_per_loss=options.trials // len(LOSSES) // 2)
    values["resources"]["executor"] = options.executor
    values["tracking"].update(enabled=enabled, uri=None)
    yaml.dump(values, folder / "params.yaml")


def _run(folder: Path, stage: str) -> Cost:
    """Run a stage and return its cost; the CPU time is that of the process itself, not of Ray's workers."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    start = time.perf_counter()
    with (folder / "output").open("w") as output:
        command = [sys.executable, "-m", "losstune", stage]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"losstune {stage} failed: {(folder / 'output').read_text()[-2000:]}")
    return Cost(time.perf_counter() - start, usage.ru_utime + usage.ru_stime)


def _require_shown(folder: Path, trials: int) -> None:
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        ((shown,),) = database.execute("select count(*) from tags where key = 'mlflow.parentRunId'")
        ((epochs,),) = database.execute("select count(*) from metrics where key = 'val_accuracy' and step = 15")
    if (shown, epochs) != (trials, trials):
        sys.exit(f"MLflow shows {shown} trainings, {epochs} of them to the last epoch; expected {trials}")


if __name__ == "__main__":
    main()
