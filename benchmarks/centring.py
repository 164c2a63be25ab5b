"""What centring every loss's learning rates on its gradient scale changes: digits, cnn, SGD, the whole catalogue.

    python benchmarks/centring.py --trials 16

Two studies of the same losses, budget and seeds, with and without ``search_space.centre_learning_rate``, through
``losstune prepare`` and ``losstune tune``. Printed for each: how many trainings diverged or learnt next to nothing
(no better than twice the share of guesses), the middle validation accuracy of all trainings, and how far the losses'
best learning rates lie apart, as the standard deviation of their decimal logarithm. A loss's best learning rate is
the geometric mean of those of its three best trials, one trial's being mostly luck.

On 2 cores some 15 minutes with the defaults. Figures, not timings: other work on the machine doesn't matter.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from ruamel.yaml import YAML

from losstune.core.records import Record
from losstune.losses.registry import registry
from losstune.stages.layout import TRIALS, read_records

REPOSITORY = Path(__file__).resolve().parent.parent
TOP = 3


def main() -> None:
    """Run both studies and print their table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=16, help="trials of a loss")
    parser.add_argument("--losses", nargs="+", default=list(registry()), help="all by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="losstune-centring-") as temp:
        found = {
            centre: _study(Path(temp) / f"centre-{centre}", options.losses, options.trials, centre=centre)
            for centre in (True, False)
        }
    print(f"{len(options.losses)} losses x {options.trials} trials")
    print(f"{'':<52}{'centred':>10}{'as given':>10}")
    for name, figure in (
        ("diverged", lambda rows: sum(row.status == "diverged" for row in rows)),
        ("learnt next to nothing, diverged ones included", lambda rows: sum(map(_has_failed, rows))),
        ("median validation accuracy of all trainings, %", lambda rows: 100 * _median_accuracy(rows)),
        ("median over losses of the best accuracy, %", lambda rows: 100 * _median_best(rows)),
        ("spread of the best learning rates, decades", _spread),
    ):
        print(f"{name:<52}" + "".join(f"{figure(found[centre]):10.4g}" for centre in (True, False)))
    print()
    print(f"{'loss':<22}{'centred: failed':>17}{'best rate':>12}{'as given: failed':>18}{'best rate':>12}")
    for loss in options.losses:
        cells = f"{loss:<22}"
        for centre, width in ((True, 17), (False, 18)):
            rows = [row for row in found[centre] if row.configuration.loss == loss]
            cells += f"{sum(map(_has_failed, rows)):{width}}{_best_rate(rows):12.3g}"
        print(cells)


def _study(folder: Path, losses: list[str], trials: int, *, centre: bool) -> list[Record]:
    yaml = YAML()
    params = yaml.load(REPOSITORY / "params.yaml")
    params["study"]["name"] = "centring"
    params["training"].update({"optimizer": "sgd", "momentum": 0.9, "schedule": "cosine"})
    params["losses"], params["baseline"] = losses, losses[0]
    params["search_space"].update({"centre_learning_rate": centre, "losses": {}})
    # Around the usual 0.03 for batches of 64 with momentum, a factor of 30 to each side.
    params["search_space"]["learning_rate"].update({"low": 1e-3, "high": 1.0, "default": 0.03})
    params["search_space"]["weight_decay"].update({"low": 1e-5, "high": 1e-2, "default": 5e-4})
    params["tune"].update({"num_searches": 2, "trials_per_loss": trials // 2, "sampler": "sobol", "scheduler": "fifo"})
    params["tracking"]["enabled"] = False
    folder.mkdir()
    yaml.dump(params, folder / "params.yaml")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "RAY_"))}
    for stage in ("prepare", "tune"):
        command = [sys.executable, "-m", "losstune", stage]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"losstune {stage} ended with code {done.returncode}:\n{done.stderr}")
    return list(read_records(folder / TRIALS))


def _has_failed(record: Record) -> bool:
    num_classes = 10
    return record.status in {"diverged", "failed"} or record.validation["accuracy"] < 2 / num_classes


def _median_accuracy(records: list[Record]) -> float:
    return statistics.median(record.validation["accuracy"] for record in records)


def _by_loss(records: list[Record]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[record.configuration.loss].append(record)
    return groups


def _median_best(records: list[Record]) -> float:
    return statistics.median(max(row.validation["accuracy"] for row in rows) for rows in _by_loss(records).values())


def _best_rate(records: list[Record]) -> float:
    best = sorted(records, key=lambda row: row.validation["accuracy"], reverse=True)[:TOP]
    return math.exp(statistics.mean(math.log(row.configuration.learning_rate) for row in best))


def _spread(records: list[Record]) -> float:
    return statistics.stdev(math.log10(_best_rate(rows)) for rows in _by_loss(records).values())


if __name__ == "__main__":
    main()
