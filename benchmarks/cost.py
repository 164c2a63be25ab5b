"""Whether ``losstune cost`` is right: what it says before each stage of a study, and what the stage then takes.

    python benchmarks/cost.py

The default study in a fresh folder: as it is, with a loss more, and with four
blocks more. Before each of the three `losstune cost` says what is left, and then `tune` and `confirm` are run and held
against it: the wall-clock of the process, and the trainings' own durations together. On 2 cores it takes about
8 minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

REPOSITORY = Path(__file__).resolve().parent.parent
FORETOLD = re.compile(r"to train (?:at most )?([\d,]+) .*?about ([\d,.]+) core-minutes, ([\d:]+) to ([\d:]+),")
STAGES = ("tune", "confirm")


def main() -> None:
    """Run the three studies and print a row for each stage that trains."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print("study           stage    to train  trained  core-minutes said  taken  wall-clock said      taken")
    num, num_within = 0, 0
    with tempfile.TemporaryDirectory(prefix="losstune-cost-") as temp:
        folder = Path(temp)
        for name in ("as it is", "a loss more", "4 blocks more"):
            _write_params(folder, name)
            if name == "as it is":
                _run(folder, "prepare")
            start = time.perf_counter()
            said = " ".join(_run(folder, "cost").split())
            asked_sec = time.perf_counter() - start
            for stage in STAGES:
                before = _keys(folder)
                start = time.perf_counter()
                _run(folder, stage)
                wall_sec = time.perf_counter() - start
                new = [row for row in _executions(folder, stage) if row["key"] not in before]
                found = FORETOLD.search(said[said.index(f"{stage} kept") :].split(" timed by ")[0])
                if not new or found is None:
                    continue
                low, high = _seconds(found[3]), _seconds(found[4])
                num, num_within = num + 1, num_within + (low <= wall_sec <= high)
                busy = sum(row["duration_sec"] for row in new) / 60
                print(
                    f"{name:<16}{stage:<9}{found[1]:>8}{len(new):>9}{found[2]:>19}{busy:>7.1f}"
                    f"{f'{found[3]} to {found[4]}':>17}{f'{wall_sec // 60:.0f}:{wall_sec % 60:02.0f}':>11}",
                    flush=True,
                )
            timed_by = said.partition("timed by ")[2]
            load = os.getloadavg()[0]
            print(f"  (asked for {asked_sec:.0f} s; by {timed_by}; load {load:.1f} afterwards)", flush=True)
    print(f"{num_within} of {num} within the range")


def _write_params(folder: Path, name: str) -> None:
    yaml, path = YAML(), folder / "params.yaml"
    values = yaml.load(path if path.exists() else REPOSITORY / "params.yaml")
    if name == "a loss more":
        values["losses"].append("spherical")
    if name == "4 blocks more":
        values["confirm"]["num_blocks"] += 4
    yaml.dump(values, path)


def _run(folder: Path, command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run(
        [sys.executable, "-m", "losstune", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"losstune {command} failed: {done.stderr[-2000:]}")
    return done.stdout


def _keys(folder: Path) -> set[str]:
    return {path.stem for path in (folder / ".losstune/ledger").glob("??/*.json")}


def _executions(folder: Path, stage: str) -> list[dict[str, Any]]:
    lines = (folder / f"results/{stage}/executions.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def _seconds(text: str) -> int:
    total = 0
    for part in text.split(":"):
        total = 60 * total + int(part)
    return total


if __name__ == "__main__":
    main()
