"""Whether a study on a Ray cluster is as quick as its nodes allow, also when one of them dies and another joins.

    python -m benchmarks.cluster

The cluster is that of ``tests/cluster``: nodes in namespaces of one machine (Linux, root). Its trainings mostly wait,
because their loss sleeps. So the nodes do not compete for the cores. The driver's node takes one training at a time,
the other node takes two. The script tunes one study undisturbed, then another one of the same size. In the second, the
larger node is killed once a quarter is finished, while a node of the same size starts. The ratio is the wall-clock
from the start of the first training to the end of the last one, divided by the time that the places that were there
would have needed for the same trainings. It includes the work that the killed node had begun, and the time until Ray
notices its death. The script takes about 5 minutes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil
from ruamel.yaml import YAML
from tests.cluster.nodes import ADDRESS, Node, cluster, environment, missing

REPOSITORY = Path(__file__).resolve().parent.parent
HEAD_PLACES, NODE_PLACES = 1, 2
NUM_SEARCHES = 2
WAITS = """
import time
from dataclasses import replace

from losstune.losses.cross_entropy import SPEC as CROSS_ENTROPY
from losstune.losses.cross_entropy import cross_entropy


def waits(logits_NC, target_N):
    time.sleep({seconds})
    return cross_entropy(logits_NC, target_N)


SPEC = replace(CROSS_ENTROPY, name="waits", function=waits, aliases=())
"""


class Timing(NamedTuple):
    """Times of one study, in seconds: wall-clock, time at full use of its places, sum of all trainings."""

    wall: float
    ideal: float
    busy: float


def main() -> None:
    """Tune both studies and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40, help="of each study")
    parser.add_argument("--seconds", type=float, default=0.1, help="that a step sleeps")
    options = parser.parse_args()
    if missing() is not None:
        sys.exit(f"a cluster of namespaces: {missing()}")
    print("study         trainings  busy, s  wall, s  ideal, s  wall / ideal")
    for name, disturbed in (("undisturbed", False), ("a node dies", True)):
        with tempfile.TemporaryDirectory(prefix="losstune-cluster-") as folder:
            timing = _tune(Path(folder), options.trials, options.seconds, disturbed=disturbed)
        print(
            f"{name:12}{options.trials:11}{timing.busy:9.1f}{timing.wall:9.1f}{timing.ideal:10.1f}"
            f"{timing.wall / timing.ideal:14.2f}",
            flush=True,
        )


def _tune(folder: Path, trials: int, seconds: float, *, disturbed: bool) -> Timing:
    study, source = folder / "study", folder / "src"
    study.mkdir()
    shutil.copytree(REPOSITORY / "src", source, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    (source / "losstune/losses/waits.py").write_text(WAITS.format(seconds=seconds), encoding="utf-8")
    _write_params(study / "params.yaml", trials)
    variables = environment() | {"RAY_ADDRESS": ADDRESS, "PYTHONPATH": str(source)}
    losstune = [sys.executable, "-m", "losstune"]
    subprocess.run([*losstune, "prepare"], cwd=study, env=variables, check=True, capture_output=True)
    changes: list[tuple[float, int]] = []
    with cluster(hidden=[study, REPOSITORY / "src"], num_cpus=HEAD_PLACES) as nodes:
        lost = nodes.add(2, num_cpus=NODE_PLACES)
        nodes.wait_for(2)
        with (study / "output").open("w") as output:
            tuning = subprocess.Popen([*losstune, "tune"], cwd=study, env=variables, stdout=output, stderr=output)
        if disturbed:
            while tuning.poll() is None and len(_finished(study)) < trials // 4:
                time.sleep(0.1)
            lost.kill()
            changes.append((time.time(), HEAD_PLACES))
            joined = nodes.add(3, num_cpus=NODE_PLACES)
            while tuning.poll() is None and not _has_started(joined):
                time.sleep(0.1)
            changes.append((time.time(), HEAD_PLACES + NODE_PLACES))
        if tuning.wait():
            sys.exit(f"losstune tune failed: {(study / 'output').read_text()[-2000:]}")
    rows = [json.loads(line) for line in (study / "results/tune/executions.jsonl").read_text().splitlines()]
    first = min(row["started_at"] for row in rows)
    last = max(row["started_at"] + row["duration_sec"] for row in rows)
    busy = sum(row["duration_sec"] for row in rows)
    return Timing(last - first, _ideal(busy, first, changes), busy)


def _ideal(busy: float, first: float, changes: list[tuple[float, int]]) -> float:
    """Return how long the places need for `busy` seconds of training, if none of them ever waits."""
    at, places, left = first, HEAD_PLACES + NODE_PLACES, busy
    for then, following in changes:
        done = (then - at) * places
        if done >= left:
            break
        at, places, left = then, following, left - done
    return at + left / places - first


def _finished(study: Path) -> list[Path]:
    return list((study / ".losstune/ledger").glob("??/*.json"))


def _has_started(node: Node) -> bool:
    names = []
    for process in psutil.Process(node.process.pid).children(recursive=True):
        try:
            names.append(process.name())
        except psutil.Error:
            continue
    return "raylet" in names


def _write_params(path: Path, trials: int) -> None:
    yaml = YAML()
    values = yaml.load(REPOSITORY / "params.yaml")
    values["model"].update(name="mlp", width=8, depth=1)
    values["training"]["epochs"] = 4
    values["losses"], values["baseline"] = ["waits"], "waits"
    values["tune"].update(num_searches=NUM_SEARCHES, trials_per_loss=trials // NUM_SEARCHES)
    values["tracking"]["enabled"] = False
    yaml.dump(values, path)


if __name__ == "__main__":
    main()
