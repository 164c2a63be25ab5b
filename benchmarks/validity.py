"""Does the verdict keep its word? Studies whose truth is known, judged by losstune's rules and by a naive protocol.

    python benchmarks/validity.py            # writes docs/validity.md and docs/validity.svg

(a) Simulated studies: thirteen candidates and a control against a baseline, scores with a spread of their own and one
    that all losses of a block share, in steps of one test sample. (b) A/A studies from a bank of real trainings
    (`benchmarks/bank.csv`, made by bank.py): every "loss" is cross-entropy with a search of its own, so whoever calls
    one better or worse is wrong. Both go through :mod:`losstune.report.comparison`, the code of the report.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from losstune.drawing import COLOURS, drawing_style, svg_of
from losstune.files import write_atomically
from losstune.progress import Progress
from losstune.report.comparison import Rules, compare, outcome_of
from losstune.seeds import derive_seed
from losstune.statistics import blocks_to_differ, blocks_to_match, first_decision, paired

ROOT = Path(__file__).resolve().parent.parent
BANK = ROOT / "benchmarks" / "bank.csv"
ALPHA, POWER = 0.05, 0.8
NUM_CANDIDATES, NUM_TRIALS, NUM_BLOCKS = 13, 12, 16  # the default study's
NUM_NAIVE_SEEDS = 3
NUM_TUNING_SEEDS = 12  # of the bank's; the others confirm
TEST_SAMPLES = 359

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A kind of study.

    Attributes:
        name: For the table.
        truth: What holds of the candidates, in words.
        differences: True differences of the candidates, in accuracy.
        num_blocks: Blocks of a study.
        sd: Standard deviation of a block's paired difference.
        rope: Of the rules.
        anytime: Whether blocks are added until the e-process decides.
    """

    name: str
    truth: str
    differences: tuple[float, ...]
    num_blocks: int
    sd: float = 0.006
    rope: float = 0.0
    anytime: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What two protocols said of one study.

    Attributes:
        ours: Outcome of each candidate by losstune's rules, in order.
        naive: The same by the naive protocol.
        num_blocks: Mean number of blocks of a candidate.
    """

    ours: tuple[str, ...]
    naive: tuple[str, ...]
    num_blocks: float


def scenarios() -> list[Scenario]:
    """Return the simulated kinds of study; where there is an effect, as many blocks as the report would ask for."""
    none = (0.0,) * NUM_CANDIDATES
    found = [
        Scenario(name="null", truth="all equal", differences=none, num_blocks=NUM_BLOCKS),
        Scenario(
            name="null, ROPE 0.5", truth="all equal", differences=none, num_blocks=NUM_BLOCKS, rope=0.005
        ),
        Scenario(name="null, anytime", truth="all equal", differences=none, num_blocks=64, anytime=True),
    ]
    for effect in (0.006, 0.004, 0.003):
        num_blocks = int(blocks_to_differ(effect, 0.006, alpha=ALPHA / NUM_CANDIDATES, power=POWER))
        found.append(
            Scenario(
                name=f"one better by {100 * effect:g} points",
                truth="one better",
                differences=(effect, *none[1:]),
                num_blocks=num_blocks,
            )
        )
    num_blocks = int(blocks_to_match(0.0, 0.006, rope=0.005, alpha=ALPHA, power=POWER))
    found.append(
        Scenario(
            name="all equal, to be shown",
            truth="equivalent",
            differences=none,
            num_blocks=num_blocks,
            rope=0.005,
        )
    )
    found.append(
        Scenario(
            name="all on the ROPE's edge",
            truth="not equivalent",
            differences=(0.005,) * NUM_CANDIDATES,
            num_blocks=NUM_BLOCKS,
            rope=0.005,
        )
    )
    found.append(
        Scenario(
            name="one better by 0.6 points, anytime",
            truth="one better",
            differences=(0.006, *none[1:]),
            num_blocks=64,
            anytime=True,
        )
    )
    return found


def simulated(scenario: Scenario, number: int) -> Outcome:
    """Draw a study of that kind and judge it."""
    rng = np.random.default_rng(derive_seed(0, "validity", scenario.name, number))
    num_arms = NUM_CANDIDATES + 2  # the baseline, its twin, the candidates
    truth = np.array([0.0, 0.0, *scenario.differences])

    def draw(num_seeds: int, shared: bool) -> Array:
        own = rng.normal(0.0, scenario.sd / math.sqrt(2.0), (num_arms, num_seeds))
        # A block's seed moves all losses alike; without pairing every loss has seeds of its own.
        seed = rng.normal(0.0, scenario.sd, (1 if shared else num_arms, num_seeds))
        return np.round((0.975 + truth[:, None] + own + seed) * TEST_SAMPLES) / TEST_SAMPLES

    return judge(
        draw(scenario.num_blocks, True), draw(NUM_NAIVE_SEEDS, False), scenario.rope, scenario.anytime
    )


def resampled(rope: float, bank: tuple[Array, Array], number: int) -> Outcome:
    """Draw an A/A study from the bank and judge it; `bank` has validation and test scores (configuration, seed)."""
    validation, test = bank
    rng = np.random.default_rng(derive_seed(0, "validity", "bank", number))
    num_configurations, num_seeds = test.shape
    winners = []
    for _ in range(NUM_CANDIDATES + 2):
        # As in a study: the published defaults, and others drawn, each on a seed of its own.
        drawn = 1 + rng.choice(num_configurations - 1, NUM_TRIALS - 1, replace=False)
        trials = np.concatenate([[0], drawn])
        scores = validation[trials, rng.integers(0, NUM_TUNING_SEEDS, NUM_TRIALS)]
        winners.append(int(trials[int(np.argmax(scores))]))
    seeds = NUM_TUNING_SEEDS + rng.permutation(num_seeds - NUM_TUNING_SEEDS)
    blocks = test[winners][:, seeds[:NUM_BLOCKS]]
    unpaired = np.array(
        [
            test[winner, NUM_TUNING_SEEDS + rng.permutation(num_seeds - NUM_TUNING_SEEDS)[:NUM_NAIVE_SEEDS]]
            for winner in winners
        ]
    )
    return judge(blocks, unpaired, rope, anytime=False)


def judge(blocks: Array, unpaired: Array, rope: float, anytime: bool) -> Outcome:
    """Judge a study by both protocols.

    Args:
        blocks: Paired test scores (arm, block): the baseline, its twin, the candidates.
        unpaired: Test scores (arm, seed) of the naive protocol.
        rope: Of losstune's rules.
        anytime: Whether to stop a candidate when its e-process decides.
    """
    rules = Rules(alpha=ALPHA, rope=rope, power=POWER, anytime=anytime)
    candidates = [f"candidate {number}" for number in range(NUM_CANDIDATES)]
    scores = dict(zip(["baseline", "twin", *candidates], blocks.tolist(), strict=True))
    if anytime:
        for loss in candidates:
            difference = np.subtract(scores[loss], scores["baseline"])
            _, num_blocks = first_decision(difference, alpha=ALPHA, num_candidates=NUM_CANDIDATES, rope=rope)
            scores[loss] = scores[loss][:num_blocks]
    differences = compare(scores, "baseline", candidates, rules, lambda _: np.random.default_rng(0))
    floor = abs(differences["twin"].mean)
    ours = [outcome_of(differences[loss], alpha=ALPHA, rope=rope, noise_floor=floor) for loss in candidates]
    naive = []
    for row in unpaired[2:]:
        if np.ptp(row) == np.ptp(unpaired[0]) == 0.0:
            p_value = 1.0 if row[0] == unpaired[0, 0] else 0.0
        else:
            p_value = float(stats.ttest_ind(row, unpaired[0]).pvalue)
        if p_value > ALPHA:
            naive.append("undecided")
        else:
            naive.append("better" if row.mean() > unpaired[0].mean() else "worse")
    return Outcome(
        ours=tuple(ours),
        naive=tuple(naive),
        num_blocks=float(np.mean([len(scores[loss]) for loss in candidates])),
    )


def read_bank(path: Path = BANK) -> tuple[Array, Array]:
    """Return validation and test accuracy (configuration, seed)."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    shape = (1 + max(int(row["configuration"]) for row in rows), 1 + max(int(row["seed"]) for row in rows))
    validation, test = np.full(shape, np.nan), np.full(shape, np.nan)
    for row in rows:
        cell = int(row["configuration"]), int(row["seed"])
        validation[cell], test[cell] = float(row["validation"]), float(row["test"])
    return validation, test


def share(studies: Iterable[bool]) -> tuple[int, int]:
    """Return how many of how many."""
    values = list(studies)
    return sum(values), len(values)


def shown(counts: tuple[int, int]) -> str:
    """Return a share in percent with its Clopper-Pearson interval at 95%."""
    interval = stats.binomtest(*counts).proportion_ci(0.95, method="exact")
    return f"{100 * counts[0] / counts[1]:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def false_claim(outcomes: tuple[str, ...], differences: tuple[float, ...]) -> bool:
    """Whether a study calls a loss better or worse that is not, or the wrong way round."""
    return any(
        (outcome == "better" and truth <= 0.0) or (outcome == "worse" and truth >= 0.0)
        for outcome, truth in zip(outcomes, differences, strict=True)
    )


def run(jobs: list[Callable[[int], Outcome]], num_studies: int, workers: int) -> list[list[Outcome]]:
    """Judge so many studies of each kind."""
    found: list[list[Outcome]] = []
    with (
        ProcessPoolExecutor(workers, initializer=_prepare) as pool,
        Progress(len(jobs) * num_studies, "validity", unit="study") as progress,
    ):
        for job in jobs:
            outcomes = []
            for outcome in pool.map(job, range(num_studies), chunksize=20):
                outcomes.append(outcome)
                progress.update(len(found) * num_studies + len(outcomes))
            found.append(outcomes)
    return found


def _prepare() -> None:
    # The bootstrap intervals are described, not decided by; a study's outcomes are the same without them.
    paired.NUM_RESAMPLES = 9


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--simulated", type=int, default=2000, help="studies of each simulated kind")
    parser.add_argument(
        "--resampled", type=int, default=2000, help="A/A studies from the bank, for each ROPE"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "validity.md")
    options = parser.parse_args()
    kinds, bank, ropes = scenarios(), read_bank(), (0.005, 0.0)
    by_kind = run([partial(simulated, kind) for kind in kinds], options.simulated, options.workers)
    by_rope = run([partial(resampled, rope, bank) for rope in ropes], options.resampled, options.workers)
    rows, bars = [], []
    for kind, outcomes in zip(kinds, by_kind, strict=True):
        wrong = [
            share(false_claim(getattr(o, who), kind.differences) for o in outcomes)
            for who in ("ours", "naive")
        ]
        if kind.truth == "one better":
            right = [share(getattr(o, who)[0] == "better" for o in outcomes) for who in ("ours", "naive")]
        elif kind.truth == "equivalent":
            right = [share(o.ours[0] == "equivalent" for o in outcomes)]
        else:
            right = []
        if kind.truth == "not equivalent":
            # The error here is to call a loss equivalent whose difference is as large as the ROPE.
            wrong = [share(o.ours[0] == "equivalent" for o in outcomes)]
        blocks = f"{np.mean([o.num_blocks for o in outcomes]):.1f}" + (
            f" of {kind.num_blocks}" if kind.anytime else ""
        )
        rows.append((kind.name, blocks, wrong, right))
        bars.append((kind.name, wrong))
    none = (0.0,) * NUM_CANDIDATES
    for rope, outcomes in zip(ropes, by_rope, strict=True):
        wrong = [share(false_claim(getattr(o, who), none) for o in outcomes) for who in ("ours", "naive")]
        name = f"A/A, real trainings, ROPE {100 * rope:g}"
        rows.append((name, str(NUM_BLOCKS), wrong, []))
        bars.append((name, wrong))
    for name, blocks, wrong, right in rows:
        print(f"{name:40} {blocks:>12}  wrong {[shown(w) for w in wrong]}  right {[shown(r) for r in right]}")
    write_atomically(options.output, page(rows, options.simulated, options.resampled))
    write_atomically(options.output.with_suffix(".svg"), figure(bars))
    print(f"wrote {options.output}")


PAGE = """# Does the verdict keep its word?

Studies whose truth is known, judged by losstune's rules and by a naive protocol: three seeds a loss, an
unpaired t-test at {alpha:g}, no correction. Every study has {num_candidates} candidates. A false claim is a loss
called better or worse that is not. Percent of the studies, with Clopper-Pearson intervals at 95%.

![Studies with a false claim, by protocol](validity.svg)

| studies | blocks | false claims, losstune | false claims, naive | found, losstune | found, naive |
|-|-|-|-|-|-|
{table}

`python benchmarks/validity.py --simulated {num_simulated} --resampled {num_resampled}` made this page:
{num_simulated} simulated studies of each kind, and {num_resampled} A/A studies for each ROPE from a bank of real
trainings (`benchmarks/bank.csv`, made by `python benchmarks/bank.py`: 64 configurations of cross-entropy on
the default study's data and model, 40 seeds each).

*Simulated*: a block's paired difference has a standard deviation of 0.6 points; blocks are as many as the
report would ask for to find the difference with a power of {power:g}. *Found*: the loss that is better is called
better, or, where all are equal, the first candidate equivalent. *On the ROPE's edge*: the false claim is to
call the first candidate equivalent, whose true difference is the ROPE itself.

*A/A, real trainings*: every loss is cross-entropy, with a search of its own over twelve trials. Here the rules
do **not** keep alpha. The searches end at configurations that really differ, a comparison of configurations on
paired seeds finds that, and the difference is the search's, not the loss's. The noise floor, one pair of
identical losses, catches part of it. Until the rules take the search's luck into account, read "better" and
"worse" as said of the two winning configurations, not of the losses.
"""

Row = tuple[str, str, list[tuple[int, int]], list[tuple[int, int]]]


def page(rows: list[Row], num_simulated: int, num_resampled: int) -> str:
    """Return docs/validity.md."""
    table = []
    for name, blocks, wrong, right in rows:
        cells = [shown(value) for value in wrong] + [""] * (2 - len(wrong))
        cells += [shown(value) for value in right] + [""] * (2 - len(right))
        table.append(f"| {name} | {blocks} | {' | '.join(cells)} |")
    return PAGE.format(
        alpha=ALPHA,
        power=POWER,
        num_candidates=NUM_CANDIDATES,
        num_simulated=num_simulated,
        num_resampled=num_resampled,
        table="\n".join(table),
    )


def figure(bars: list[tuple[str, list[tuple[int, int]]]]) -> str:
    """Draw the rates of false claims with their intervals, and alpha."""
    with drawing_style("validity"):
        drawing = Figure(figsize=(8.0, 0.9 + 0.34 * len(bars)))
        axes = drawing.add_axes((0.33, 0.0, 0.63, 1.0))
        height = drawing.get_figheight()
        axes.set_position((0.33, 0.5 / height, 0.63, 1 - 0.85 / height))
        for row, (_, counts) in enumerate(reversed(bars)):
            for offset, colour, marker, value in zip(
                (0.12, -0.12), ("better", "worse"), "os", counts, strict=False
            ):
                interval = stats.binomtest(*value).proportion_ci(0.95, method="exact")
                at = row + offset
                axes.plot(
                    [100 * interval.low, 100 * interval.high], [at, at], color=COLOURS[colour], linewidth=1.6
                )
                axes.plot([100 * value[0] / value[1]], [at], marker, color=COLOURS[colour], markersize=5)
        axes.axvline(100 * ALPHA, color=COLOURS["ink"], linewidth=0.9, linestyle=(0, (2, 2)))
        axes.set_yticks(range(len(bars)), [name for name, _ in reversed(bars)])
        axes.tick_params(axis="y", labelcolor=COLOURS["ink"])
        axes.set_xlim(left=0.0)
        axes.grid(axis="x", color=COLOURS["line"], linewidth=0.7)
        axes.set_xlabel("studies with a false claim, % (95% interval; dashed: alpha)")
        axes.set_title(
            "● losstune    ■ three seeds, unpaired t-test, no correction",
            loc="left",
            fontsize=9,
            color=COLOURS["muted"],
        )
        return svg_of(drawing)


if __name__ == "__main__":
    main()
