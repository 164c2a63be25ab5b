"""How often is the verdict wrong? Studies whose truth is known, judged by losstune's rules and by naive ones.

    python benchmarks/validity.py            # writes docs/validity.md and docs/validity.svg

(a) Simulated studies: thirteen candidates and a control against a baseline. The searches of a loss vary. A score has a
spread of its own and one that all losses of a block share, in steps of one test sample. (b) A/A studies from a bank of
real trainings (`benchmarks/banks/digits.csv`, made by bank.py): every "loss" is cross-entropy with searches of its
own, so a loss called better or worse is a false claim. Both go through :mod:`losstune.verdict.comparison`, the report's
code.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from losstune.core.drawing import COLOURS, drawing_style, svg_of
from losstune.core.files import write_atomically
from losstune.core.progress import Progress
from losstune.core.seeds import derive_seed
from losstune.statistics import (
    SearchError,
    blocks_to_differ,
    blocks_to_match,
    first_decision,
    paired,
    searches_to_differ,
    searches_to_match,
)
from losstune.verdict.comparison import compare, decide
from losstune.verdict.rules import Rules

ROOT = Path(__file__).resolve().parent.parent
BANK = ROOT / "benchmarks" / "banks" / "digits.csv"
ALPHA, POWER = 0.05, 0.8
NUM_CANDIDATES, NUM_SEARCHES, NUM_TRIALS, NUM_BLOCKS = 13, 2, 12, 16  # the default study's
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
        num_searches: Searches of a loss.
        num_blocks: Blocks of a loss, over all its searches.
        luck: Standard deviation of what a search ends at.
        wild: The same for the last candidate, an unstable loss; None if it is like the others.
        sd: Standard deviation of a block's paired difference.
        rope: Of the rules.
        anytime: Whether blocks are added until the e-process decides.
    """

    name: str
    truth: str
    differences: tuple[float, ...]
    num_searches: int = NUM_SEARCHES
    num_blocks: int = NUM_BLOCKS
    luck: float = 0.001
    wild: float | None = None
    sd: float = 0.006
    rope: float = 0.0
    anytime: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What three protocols said of one study.

    Attributes:
        ours: Decision of each candidate by losstune's rules, in order.
        naive: The same by an unpaired t-test on three seeds.
        best: The same by comparing the best of three seeds.
        num_blocks: Mean number of blocks of a candidate.
    """

    ours: tuple[str, ...]
    naive: tuple[str, ...]
    best: tuple[str, ...]
    num_blocks: float


def scenarios() -> list[Scenario]:
    """Return the simulated kinds of study; where there is an effect, as large as the report would ask for."""
    none = (0.0,) * NUM_CANDIDATES
    found = [
        Scenario(name="null, searches without luck", truth="all equal", differences=none, luck=0.0),
        Scenario(name="null", truth="all equal", differences=none),
        Scenario(name="null, lucky searches", truth="all equal", differences=none, luck=0.003),
        Scenario(name="null, one loss a gamble", truth="all equal", differences=none, wild=0.05),
        Scenario(
            name="null, one loss a gamble",
            truth="all equal",
            differences=none,
            wild=0.05,
            num_searches=4,
            num_blocks=32,
        ),
        Scenario(name="null, ROPE 0.5", truth="all equal", differences=none, rope=0.005),
        Scenario(name="null, anytime", truth="all equal", differences=none, num_blocks=64, luck=0.003, anytime=True),
        Scenario(
            name="all on the ROPE's edge", truth="not equivalent", differences=(0.005,) * NUM_CANDIDATES, rope=0.005
        ),
    ]
    for effect, luck in ((0.006, 0.001), (0.004, 0.001), (0.006, 0.003)):
        found.append(
            _planned(
                Scenario(
                    name=f"one better by {100 * effect:g}, luck {100 * luck:g}",
                    truth="one better",
                    differences=(effect, *none[1:]),
                    luck=luck,
                )
            )
        )
    one = found[-3]
    found.append(replace(one, name=f"{one.name}, one loss a gamble", wild=0.05))
    found.append(
        _planned(Scenario(name="all equal, to be shown", truth="equivalent", differences=none, rope=0.005, luck=0.002))
    )
    found.append(
        Scenario(
            name="one better by 1, anytime",
            truth="one better",
            differences=(0.01, *none[1:]),
            num_searches=4,
            num_blocks=64,
            anytime=True,
        )
    )
    return found


def _planned(kind: Scenario) -> Scenario:
    """Give a kind of study as many searches and blocks as the report would ask for, with the power it promises."""
    by_search = NUM_BLOCKS // NUM_SEARCHES
    num_arms = NUM_CANDIDATES + 2
    error = SearchError(kind.luck**2 + kind.sd**2 / 2 / by_search, num_arms - 1)
    match kind.truth:
        case "one better":
            aim = {"alpha": ALPHA / NUM_CANDIDATES, "power": POWER}
            searches = searches_to_differ(kind.differences[0], error, 2, **aim)
            blocks = blocks_to_differ(kind.differences[0], kind.sd, **aim)
        case _:
            aim = {"rope": kind.rope, "alpha": ALPHA, "power": POWER}
            searches = searches_to_match(0.0, error, 2, **aim)
            blocks = blocks_to_match(0.0, kind.sd, **aim)
    num_searches = max(2, int(searches), math.ceil(blocks / by_search))
    return replace(kind, num_searches=num_searches, num_blocks=by_search * num_searches)


def simulated(scenario: Scenario, number: int) -> Decision:
    """Draw a study of that kind and judge it."""
    rng = np.random.default_rng(derive_seed(0, "validity", scenario.name, number))
    num_arms = NUM_CANDIDATES + 2  # the baseline, its identical loss, the candidates
    truth = np.array([0.0, 0.0, *scenario.differences])
    luck = np.full(num_arms, scenario.luck)
    if scenario.wild is not None:
        luck[-1] = scenario.wild
    searches = rng.normal(0.0, 1.0, (num_arms, scenario.num_searches)) * luck[:, None]

    def draw(search: Array, num_seeds: int, shared: bool) -> Array:
        own = rng.normal(0.0, scenario.sd / math.sqrt(2.0), (num_arms, num_seeds))
        # A block's seed moves all losses alike; without pairing every loss has seeds of its own.
        seed = rng.normal(0.0, scenario.sd, (1 if shared else num_arms, num_seeds))
        return np.round((0.95 + truth[:, None] + search + own + seed) * TEST_SAMPLES) / TEST_SAMPLES

    rounds = searches[:, np.arange(scenario.num_blocks) % scenario.num_searches]
    blocks = draw(rounds, scenario.num_blocks, True)
    unpaired = draw(searches[:, :1], NUM_NAIVE_SEEDS, False)
    return judge(blocks, unpaired, scenario.rope, scenario.num_searches, scenario.anytime)


def resampled(rope: float, effect: float, bank: tuple[Array, Array], number: int) -> Decision:
    """Draw an A/A study from the bank and judge it.

    Args:
        rope: Of losstune's rules.
        effect: What the first candidate's test scores are raised by; nothing for an A/A study.
        bank: Validation and test scores (configuration, seed).
        number: Of the study.
    """
    validation, test = bank
    rng = np.random.default_rng(derive_seed(0, "validity", "bank", number))
    num_configurations, num_seeds = test.shape

    def search() -> int:
        # As in a study: the published defaults, and others drawn, each on a seed of its own.
        drawn = 1 + rng.choice(num_configurations - 1, NUM_TRIALS - 1, replace=False)
        trials = np.concatenate([[0], drawn])
        scores = validation[trials, rng.integers(0, NUM_TUNING_SEEDS, NUM_TRIALS)]
        return int(trials[int(np.argmax(scores))])

    num_arms = NUM_CANDIDATES + 2
    winners = np.array([[search() for _ in range(NUM_SEARCHES)] for _ in range(num_arms)])
    seeds = NUM_TUNING_SEEDS + rng.permutation(num_seeds - NUM_TUNING_SEEDS)[:NUM_BLOCKS]
    blocks = test[winners[:, np.arange(NUM_BLOCKS) % NUM_SEARCHES], seeds]
    unpaired = np.array(
        [
            test[winner, NUM_TUNING_SEEDS + rng.permutation(num_seeds - NUM_TUNING_SEEDS)[:NUM_NAIVE_SEEDS]]
            for winner in winners[:, 0]
        ]
    )
    blocks[2] += effect
    unpaired[2] += effect
    return judge(blocks, unpaired, rope, NUM_SEARCHES, anytime=False)


def judge(blocks: Array, unpaired: Array, rope: float, num_searches: int, anytime: bool) -> Decision:
    """Judge a study by all protocols.

    Args:
        blocks: Paired test scores (arm, block): the baseline, its identical loss, the candidates.
        unpaired: Test scores (arm, seed) of the naive protocols.
        rope: Of losstune's rules.
        num_searches: Block b is of search b modulo `num_searches`.
        anytime: Whether to stop a candidate when its e-process decides.
    """
    rules = Rules(alpha=ALPHA, rope=rope, power=POWER, num_searches=num_searches, anytime=anytime)
    candidates = [f"candidate {number}" for number in range(NUM_CANDIDATES)]
    scores = dict(zip(["baseline", "identical loss", *candidates], blocks.tolist(), strict=True))
    if anytime:
        for loss in candidates:
            _, num_blocks = first_decision(
                np.subtract(scores[loss], scores["baseline"]),
                alpha=ALPHA,
                num_candidates=NUM_CANDIDATES,
                rope=rope,
                every=num_searches,
            )
            scores[loss] = scores[loss][:num_blocks]
    differences = compare(scores, "baseline", candidates, rules, lambda _: np.random.default_rng(0))
    floor = abs(differences["identical loss"].mean)
    ours = [decide(differences[loss], alpha=ALPHA, rope=rope, noise_floor=floor) for loss in candidates]
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
    best = ["better" if row.max() > unpaired[0].max() else "undecided" for row in unpaired[2:]]
    return Decision(
        ours=tuple(ours),
        naive=tuple(naive),
        best=tuple(best),
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


def false_claim(decisions: tuple[str, ...], differences: tuple[float, ...]) -> bool:
    """Whether a study calls a loss better or worse that is not, or the wrong way round."""
    return any(
        (decision == "better" and truth <= 0.0) or (decision == "worse" and truth >= 0.0)
        for decision, truth in zip(decisions, differences, strict=True)
    )


def run(jobs: list[Callable[[int], Decision]], num_studies: int, workers: int) -> list[list[Decision]]:
    """Judge so many studies of each kind."""
    found: list[list[Decision]] = []
    with (
        ProcessPoolExecutor(workers, initializer=_prepare) as pool,
        Progress(len(jobs) * num_studies, "validity", unit="study") as progress,
    ):
        for job in jobs:
            decisions = []
            for decision in pool.map(job, range(num_studies), chunksize=20):
                decisions.append(decision)
                progress.update(len(found) * num_studies + len(decisions))
            found.append(decisions)
    return found


def _prepare() -> None:
    # The bootstrap intervals are described, not decided by; a study's decisions are the same without them.
    paired.NUM_RESAMPLES = 9
    # Flips drawn at random keep the level, however few; ten thousand resolve alpha / 13 well enough.
    paired.MAX_EXACT_BLOCKS, paired.NUM_RANDOM_FLIPS = 12, 9_999


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--simulated", type=int, default=2000, help="studies of each simulated kind")
    parser.add_argument("--resampled", type=int, default=2000, help="A/A studies from the bank, for each ROPE")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "validity.md")
    options = parser.parse_args()
    kinds, bank = scenarios(), read_bank()
    real = [("A/A", 0.005, 0.0), ("A/A", 0.0, 0.0), ("one better by 0.6", 0.0, 0.006)]
    by_kind = run([partial(simulated, kind) for kind in kinds], options.simulated, options.workers)
    by_study = run(
        [partial(resampled, rope, effect, bank) for _, rope, effect in real], options.resampled, options.workers
    )
    rows = []
    for kind, decisions in zip(kinds, by_kind, strict=True):
        blocks = f"{np.mean([o.num_blocks for o in decisions]):.0f}"
        size = f"{kind.num_searches} x {kind.num_blocks // kind.num_searches}"
        rows.append(
            _row(
                f"{kind.name}, {blocks} blocks used" if kind.anytime else kind.name,
                size,
                kind.truth,
                kind.differences,
                decisions,
            )
        )
    for (name, rope, effect), decisions in zip(real, by_study, strict=True):
        truth = "one better" if effect else "all equal"
        rows.append(
            _row(
                f"{name}, real trainings, ROPE {100 * rope:g}",
                f"{NUM_SEARCHES} x {NUM_BLOCKS // NUM_SEARCHES}",
                truth,
                (effect, *(0.0,) * (NUM_CANDIDATES - 1)),
                decisions,
            )
        )
    for row in rows:
        print(f"{row[0]:50} {row[1]:>7}  wrong {[shown(w) for w in row[2]]}  found {[shown(r) for r in row[3]]}")
    write_atomically(options.output, page(rows, options.simulated, options.resampled))
    write_atomically(options.output.with_suffix(".svg"), figure([(name, wrong) for name, _, wrong, _ in rows]))
    print(f"wrote {options.output}")


def _row(name: str, size: str, truth: str, differences: tuple[float, ...], decisions: list[Decision]) -> Row:
    for drawn, said in WORDS.items():
        name = name.replace(drawn, said)
    protocols = [[getattr(o, who) for o in decisions] for who in ("ours", "naive", "best")]
    wrong = [share(false_claim(said, differences) for said in protocol) for protocol in protocols]
    right: list[tuple[int, int]] = []
    if truth == "one better":
        right = [share(said[0] == "better" for said in protocol) for protocol in protocols]
    elif truth == "equivalent":
        right = [share(o.ours[0] == "equivalent" for o in decisions)]
    elif truth == "not equivalent":
        # The error here is to call a loss equivalent whose difference is as large as the ROPE.
        wrong = [share(o.ours[0] == "equivalent" for o in decisions)]
    return name, size, wrong, right


PAGE = """# Validity: how often is the verdict wrong?

The benchmark creates studies whose true answer is known. losstune's rules judge each study. So do two naive protocols
on three seeds per loss: an unpaired t-test at {alpha:g} without correction, and a comparison of the best of the three
scores. Every study has {num_candidates} candidates. A *false claim* is a loss called better or worse that is not. The
figures are percentages of the studies, with Clopper-Pearson intervals at 95%.

![Studies with a false claim, by protocol](validity.svg)

| studies | searches x blocks per search | false claims: losstune | t-test | best of 3 | found: losstune | t-test |
|-|-|-|-|-|-|-|
{table}

`python benchmarks/validity.py --simulated {num_simulated} --resampled {num_resampled}` made this page. It used
{num_simulated} simulated studies of each kind, and {num_resampled} of each kind from a bank of real trainings.
`python benchmarks/bank.py digits` made the bank, `benchmarks/banks/digits.csv`: 64 configurations of cross-entropy on
the default study's data and model, with 40 seeds each.

## Simulated studies

A block's paired difference has a standard deviation of 0.6 points. The true scores of the configurations that the
searches of a loss end at have a standard deviation of 0.1 points, unless the name gives another (*SD*).

- *No search variance*, *large search variance*: this standard deviation is 0 or 0.3 points. It is also 0.3 in *null,
  anytime* and 0.2 in *all equal, to be shown equivalent*.
- *One unstable loss*: the searches of one candidate end at configurations with a standard deviation of 5 points.
- *Found*: the loss that is better is called better; where all are equal, the first candidate is called equivalent. The
  numbers of searches and blocks are those that the report would ask for to find it with a power of {power:g}, as in
  its "about 16 more blocks".
- *At the ROPE's limit*: the true difference of the first candidate is the ROPE itself. The false claim is to call it
  equivalent.
- *Anytime*: the e-process tests after every round of blocks, with at most 64 blocks.

## Real trainings

Every loss is cross-entropy, with {num_searches} searches of its own over {num_trials} trials, the size of the default
study. The searches end at configurations that really differ. A test over seeds alone takes this for a difference
between losses: with one search per loss, it called a loss better or worse in 18% of such studies (at `0412548`). The
rules therefore require two tests, one over the blocks and one over the searches, and use the larger p-value. In *one
better*, 0.6 points are added to the test scores of the first candidate.

## What two searches cannot show

The two searches of an unstable loss may end at similar configurations by chance. The loss then looks certain. The rows
with one unstable loss show how often this leads to a false claim, with two searches and with four.
"""

WORDS = {
    "searches without luck": "no search variance",
    "lucky searches": "large search variance",
    "one loss a gamble": "one unstable loss",
    "luck 0": "SD 0",
    "on the ROPE's edge": "at the ROPE's limit",
    "to be shown": "to be shown equivalent",
}
"""How the page words a scenario's name. The names stay as they are, because they seed the draws."""

Row = tuple[str, str, list[tuple[int, int]], list[tuple[int, int]]]


def page(rows: list[Row], num_simulated: int, num_resampled: int) -> str:
    """Return docs/validity.md."""
    table = []
    for name, size, wrong, right in rows:
        cells = [shown(value) for value in wrong] + [""] * (3 - len(wrong))
        cells += [shown(value) for value in right[:2]] + [""] * (2 - len(right))
        table.append(f"| {name} | {size} | {' | '.join(cells)} |")
    return PAGE.format(
        alpha=ALPHA,
        power=POWER,
        num_candidates=NUM_CANDIDATES,
        num_searches=NUM_SEARCHES,
        num_trials=NUM_TRIALS,
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
                (0.2, 0.0, -0.2), ("better", "worse", "control"), "osD", counts, strict=False
            ):
                interval = stats.binomtest(*value).proportion_ci(0.95, method="exact")
                at = row + offset
                axes.plot([100 * interval.low, 100 * interval.high], [at, at], color=COLOURS[colour], linewidth=1.6)
                axes.plot([100 * value[0] / value[1]], [at], marker, color=COLOURS[colour], markersize=5)
        axes.axvline(100 * ALPHA, color=COLOURS["ink"], linewidth=0.9, linestyle=(0, (2, 2)))
        axes.set_yticks(range(len(bars)), [name for name, _ in reversed(bars)])
        axes.tick_params(axis="y", labelcolor=COLOURS["ink"])
        axes.set_xlim(left=0.0)
        axes.grid(axis="x", color=COLOURS["line"], linewidth=0.7)
        axes.set_xlabel("studies with a false claim, % (95% interval; dashed: alpha)")
        legend = (("better", "● losstune"), ("worse", "■ t-test on 3 seeds"), ("control", "◆ best of 3 seeds"))
        for place, (colour, text) in enumerate(legend):
            axes.annotate(
                text,
                (0.28 * place, 1.0),
                xycoords="axes fraction",
                xytext=(0, 5),
                textcoords="offset points",
                fontsize=9,
                color=COLOURS[colour],
            )
        return svg_of(drawing)


if __name__ == "__main__":
    main()
