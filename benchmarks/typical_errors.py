"""The typical variances of differences that ``losstune cost`` plans with before a study has trainings of its own.

Draws pooled studies from the banks of real trainings, and prints for each bank and number of trials the two variances
that the estimator finds, in the median over draws and losses: of one search, and of one block. The table in
``losstune.verdict.typical`` holds them.

    python benchmarks/typical_errors.py
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

from losstune.statistics import Order, Pool, PooledStudy, allocate, search_weights

BANKS = ("digits_noise", "features")
SIZES = (3, 4, 6, 8, 12, 16)
SEARCHES, BLOCKS, DRAWS = 3, 8, 60


def main() -> None:
    for bank in BANKS:
        runs: dict[str, dict[int, list[tuple[float, float, float]]]] = defaultdict(lambda: defaultdict(list))
        with (Path(__file__).parent / f"banks/{bank}.csv").open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                scores = (float(row["validation"]), float(row["validation_mean"]), float(row["test"]))
                runs[row["loss"]][int(row["configuration"])].append(scores)
        # The losses that a study would go on with: the test scores of their best configurations are close.
        best = {loss: max(np.mean([r[2] for r in seeds]) for seeds in of.values()) for loss, of in runs.items()}
        losses = [loss for loss in runs if best[loss] > best["cross_entropy"] - 0.03]
        print(bank, len(losses), "losses")
        for size in SIZES:
            print(f"  {size}: ({_variances(runs, losses, size)}),")


def _variances(runs: dict[str, dict[int, list[tuple[float, float, float]]]], losses: list[str], size: int) -> str:
    generator, search, seed = np.random.default_rng(0), [], []
    num_configurations, num_seeds = len(runs[losses[0]]), len(runs[losses[0]][0])
    for _ in range(DRAWS):
        drawn = generator.choice(np.arange(1, num_configurations), SEARCHES * (size - 1), replace=True)
        numbers = np.insert(drawn, np.arange(SEARCHES) * (size - 1), 0)  # each search begins with the defaults
        is_default = np.arange(numbers.size) % size == 0
        trial_seeds = generator.integers(num_seeds, size=numbers.size)
        block_seeds = generator.choice(num_seeds, BLOCKS, replace=False)
        pools = []
        for loss in losses:
            trials = [runs[loss][int(number)][s] for number, s in zip(numbers, trial_seeds, strict=True)]
            order = np.lexsort(([-t[1] for t in trials], [-t[0] for t in trials]))
            configuration = np.where(is_default, 0, np.arange(numbers.size))
            ranks = Order.of(np.argsort(order), is_default)
            weights = np.bincount(configuration, search_weights(ranks, size), minlength=numbers.size)
            chosen = allocate(weights, np.zeros(numbers.size, int), BLOCKS)
            tested = [runs[loss][int(numbers[trial])][s][2] for trial, s in zip(chosen, block_seeds, strict=True)]
            pools.append(
                Pool(
                    order=ranks,
                    configuration_T=configuration,
                    validation_T=np.array([t[0] for t in trials]),
                    failed_T=np.zeros(numbers.size, bool),
                    trial_K=np.array(chosen),
                    block_K=np.arange(BLOCKS),
                    score_K=np.array(tested),
                )
            )
        base = losses.index("cross_entropy")
        others = [number for number in range(len(losses)) if number != base]
        for difference in PooledStudy(pools, size, None).differences(base, others):
            search.append(difference.search.value * SEARCHES)
            seed.append(difference.seed.value * BLOCKS)
    return f"{np.median(search):.2e}, {np.median(seed):.2e}"


if __name__ == "__main__":
    main()
