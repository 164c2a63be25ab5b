"""Train a bank of real trainings that differ in configuration and seed alone: the raw material of validity.py.

Every training is of cross-entropy, on the default study's data, model and settings. A study whose losses are all drawn
from this bank is a study of losses that are equal in truth.

    dvc repro benchmarks/dvc.yaml     # or, from the repository's root: python benchmarks/bank.py
"""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path

from scipy.stats import qmc

from losstune.config.load import load_params
from losstune.config.schema import Params
from losstune.core.files import write_atomically
from losstune.core.records import Configuration
from losstune.core.seeds import derive_seed
from losstune.stages import execute
from losstune.stages.study import check_names, open_study, read_arrays
from losstune.stages.workers import find_device
from losstune.study.ledger import Ledger, locked
from losstune.study.plan import FixedPlan
from losstune.study.search import Space
from losstune.training.task import Task

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "benchmarks" / "bank.csv"
LOSS = "cross_entropy"
NUM_CONFIGURATIONS, NUM_SEEDS = 64, 40
STUDY_SEED = 77_001  # not that of params.yaml, so that the default study's own trainings are not in the bank


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--configurations", type=int, default=NUM_CONFIGURATIONS)
    parser.add_argument("--seeds", type=int, default=NUM_SEEDS)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    write_atomically(options.output, bank(options.configurations, options.seeds))
    print(f"wrote {options.output}")


def settings() -> Params:
    """Return the default study's settings, with a budget of the bank's and without MLflow."""
    params = load_params(ROOT / "params.yaml")
    return params.model_copy(update={"tracking": params.tracking.model_copy(update={"enabled": False})})


def points(space: Space, num_configurations: int) -> list[Configuration]:
    """Return the published defaults and scrambled Sobol points: a sequence of the bank's own, whatever a study's is."""
    num_bits = max(5, (num_configurations - 1).bit_length())
    sobol = qmc.Sobol(len(space.ranges), scramble=True, rng=derive_seed(STUDY_SEED, "search", LOSS) % 2**32)
    drawn = [
        {name: span.from_unit(float(job)) for (name, span), job in zip(space.ranges.items(), row, strict=True)}
        for row in sobol.random_base2(num_bits)
    ]
    return [space.configuration(values) for values in [space.defaults, *drawn][:num_configurations]]


def bank(num_configurations: int, num_seeds: int) -> str:
    """Train what the ledger lacks and return the bank as CSV text; interrupt and run again as you like."""
    params = settings()
    space = check_names(params)[LOSS]
    study = open_study(params, ROOT, ROOT, find_device)
    configurations = points(space, num_configurations)
    jobs = [
        study.make_job(
            Task(
                configuration=configuration,
                seeds=(derive_seed(STUDY_SEED, "bank", seed),),
                model=params.model,
                training=study.params.training,
                device=study.device,
                test=True,
            ),
            "confirm",
            "block",
            0,
            index * num_seeds + seed,
        )
        for index, configuration in enumerate(configurations)
        for seed in range(num_seeds)
    ]
    with locked(ROOT, "bank"):
        ledger = Ledger(ROOT)
        plan = FixedPlan(jobs, ledger)
        execute.execute_stage(study, "confirm", plan, ledger, lambda: read_arrays(study, with_test=True))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["configuration", "learning_rate", "weight_decay", "seed", "validation", "test"])
    # By position: a training that a bank of another size had kept has another index.
    for position, entry in enumerate(plan.entries()):
        record = entry.record
        index, seed = divmod(position, num_seeds)
        assert record.test is not None
        writer.writerow(
            [
                index,
                f"{record.configuration.learning_rate:.6g}",
                f"{record.configuration.weight_decay:.6g}",
                seed,
                f"{record.validation['accuracy']:.6f}",
                f"{record.test['accuracy']:.6f}",
            ]
        )
    return text.getvalue()


if __name__ == "__main__":
    main()
