"""How long a command takes that has nothing to train, beside ``python -c "import torch"``.

    python benchmarks/startup.py --repeats 7

A tiny study (digits, mlp, 3 losses, executor inline, MLflow on) is run once; then every command is timed in its folder,
``dvc repro`` in a fresh checkout each time. Before and after each, torch is imported alone: a ratio is the command's
time over the mean of its two neighbours, so that a machine that is slower for a while is so for both. The table shows
the median of the ratios and the middle half of them, and the median for the processor's time, which other work disturbs
less.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

REPOSITORY = Path(__file__).resolve().parent.parent
TORCH = (sys.executable, "-c", "import torch")
LOSSTUNE = (sys.executable, "-m", "losstune")
REPRO = "dvc repro, four stages"
SETTINGS: dict[str, Any] = {
    "study.name": "tiny",
    "model.name": "mlp",
    "training.epochs": 3,
    "losses": ["cross_entropy", "kl_divergence", "focal"],
    "tune.trials_per_loss": 3,
    "confirm.num_blocks": 3,
    "resources.executor": "inline",
}
Seconds = tuple[float, float]
"""Of the clock, and of the processor."""

AIMS = {
    "losstune check": 1.3,
    "losstune losses list": 1.3,
    "losstune prepare": 1.3,
    "losstune tune": 2.5,
    "losstune confirm": 2.5,
    "losstune report": 2.5,
    REPRO: 8.0,
}
"""The commands, with the ratio that each may reach."""


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="how often everything is run, at least 2")
    parser.add_argument("--only", nargs="+", default=list(AIMS), choices=list(AIMS), help="these commands")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ratios, torch = measure(Path(folder), options.only, options.repeats)
    wall, cpu = (statistics.median(column) for column in zip(*torch, strict=True))
    print(f'\n`python -c "import torch"`: {wall:.2f} s, {cpu:.2f} s of the processor (medians).\n')
    print("| command | ratio | middle half | processor | aim |\n|-|-|-|-|-|")
    for command in options.only:
        walls, cpus = zip(*ratios[command], strict=True)
        low, median, high = statistics.quantiles(walls, n=4)
        cpu = statistics.median(cpus)
        print(f"| `{command}` | {median:.2f} | {low:.2f} to {high:.2f} | {cpu:.2f} | {AIMS[command]} |")


def measure(folder: Path, commands: Sequence[str], repeats: int) -> tuple[dict[str, list[Seconds]], list[Seconds]]:
    """Return the ratios by command, and what torch took."""
    study = make_study(folder / "study")
    for stage in ("prepare", "tune", "confirm", "report"):
        seconds((*LOSSTUNE, stage), study)
    ratios: dict[str, list[Seconds]] = defaultdict(list)
    torch = [seconds(TORCH, study)]
    for number in range(repeats):
        for command in commands:
            if command == REPRO:
                checkout = make_study(folder / f"checkout{number}")
                took = seconds((sys.executable, "-m", "dvc", "repro", "report"), checkout)
                shutil.rmtree(checkout)
            else:
                took = seconds((*LOSSTUNE, *command.split()[1:]), study)
            torch.append(seconds(TORCH, study))
            both = zip(took, *torch[-2:], strict=True)
            wall, cpu = (own / statistics.mean(neighbours) for own, *neighbours in both)
            ratios[command].append((wall, cpu))
            print(f"{number + 1}/{repeats} {command}: {took[0]:.2f} s, {wall:.2f}, {cpu:.2f}", flush=True)
    return ratios, torch


def make_study(folder: Path) -> Path:
    """Return a repository with this one's code and the tiny study."""
    for name in ("src", ".dvc/config", "dvc.yaml", "matrix.yaml", "params.yaml", ".gitignore"):
        source, target = REPOSITORY / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, target)
    (folder / "data/raw").mkdir(parents=True)
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load((folder / "params.yaml").read_text())
    for path, value in SETTINGS.items():
        *sections, key = path.split(".")
        section = values
        for name in sections:
            section = section[name]
        section[key] = value
    with (folder / "params.yaml").open("w") as file:
        yaml.dump(values, file)
    identity = ["-c", "user.name=Benchmark", "-c", "user.email=benchmark@example.com"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "A tiny study"]):
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)
    return folder


def seconds(command: Sequence[str], folder: Path) -> Seconds:
    """Run a command to its good end; return how long it took, and how long the processor's cores were at it."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    start, cpu_start = time.perf_counter(), _cpu_sec()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    took = time.perf_counter() - start, _cpu_sec() - cpu_start
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return took


def _cpu_sec() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
