"""How good is the advice? Leave one study, or one data set, out of the database, advise, and look at what won there.

python benchmarks/advice.py              # the shipped database and invented ones; writes the figures of docs/advice.md
python benchmarks/advice.py FILE         # another database; prints, and writes nothing
"""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from losstune.advice.choice import NUMBER, advise, study_of
from losstune.advice.database import SHIPPED, read
from losstune.advice.records import Data, Noise, PastVerdict
from losstune.losses.tools.sets import CONTROL, SCREEN, losses_of
from losstune.statistics import wilson_interval

PAGE = Path(__file__).resolve().parent.parent / "docs" / "advice.md"
START, END = "<!-- figures: start -->", "<!-- figures: end -->"
NUM_INVENTED = 5
"""Invented databases, each of 24 studies."""

FIXED = frozenset(losses_of(SCREEN)) - {*CONTROL}


@dataclass(frozen=True, slots=True)
class Trial:
    """What one held-out study says about one choice of losses.

    Attributes:
        hit: Probability that the choice has the best loss, or one within the ROPE of it: 0 or 1, or between for a
            choice at random.
        missed: By how many points the best of the choice is below the best of all.
        num_losses: Losses chosen.
        is_enough: Whether the evidence was enough for advice.
    """

    hit: float
    missed: float
    num_losses: int
    is_enough: bool = True


Gains = Mapping[str, float]
"""Difference to cross-entropy of each loss that a study tried, in points; positive if the loss is better."""


def held_out(
    verdicts: Sequence[PastVerdict],
    group_of: Callable[[PastVerdict], object],
    truth: Mapping[object, Gains] | None = None,
) -> Iterator[dict[str, Trial]]:
    """Judge each study's choices with the evidence of the other groups alone, by the name of the choice.

    Args:
        verdicts: The database.
        group_of: Studies of the same group are left out together.
        truth: The true gains by study; None takes the study's estimates for it.
    """
    by_study: dict[object, list[PastVerdict]] = {}
    for one in verdicts:
        by_study.setdefault(study_of(one), []).append(one)
    for study, found in by_study.items():
        tried = [one for one in found if one.is_evidence]
        if len(tried) <= NUMBER:
            continue  # every choice of six would have the best one
        rest = [one for one in verdicts if group_of(one) != group_of(found[0])]
        gains = truth[study] if truth is not None else {one.loss: points(one) for one in tried}
        names = sorted(one.loss for one in tried)
        advice = advise(found[0].data, rest, among=names)
        margin = 100 * found[0].unit
        best = max(0.0, *gains.values())
        if best <= margin:
            continue  # every choice is with cross-entropy, which is as good as the best
        good = [name for name in names if gains[name] >= best - margin]
        screen = [name for name in names if name in FIXED]

        yield {
            "the advice": judged(advice.chosen, gains, good, best, is_enough=advice.is_enough),
            "six at random": at_random(gains, names, good, best),
            "the fixed screen": judged(screen, gains, good, best),
            "six of the screen": at_random(gains, screen, [name for name in screen if name in good], best),
        }


def judged(chosen: Sequence[str], gains: Gains, good: Sequence[str], best: float, *, is_enough: bool = True) -> Trial:
    """Return the trial of a choice."""
    missed = best - max((gains[name] for name in chosen), default=0.0)
    return Trial(float(any(name in good for name in chosen)), missed, len(chosen), is_enough)


def points(verdict: PastVerdict) -> float:
    assert verdict.difference is not None
    return 100 * (-1 if verdict.minimize else 1) * verdict.difference


def at_random(gains: Gains, names: Sequence[str], good: Sequence[str], best: float) -> Trial:
    """Return the expected trial of six of these losses at random, or of all if they are fewer, exactly."""
    total, size = len(names), min(NUMBER, len(names))
    hit = 1.0 - math.comb(total - len(good), size) / math.comb(total, size)
    ordered = sorted((gains[name] for name in names), reverse=True)
    # The best of the sample has rank r if it has r, and the others are of those below.
    chances = [math.comb(total - rank, size - 1) / math.comb(total, size) for rank in range(1, total + 1)]
    missed = sum(chance * (best - gain) for chance, gain in zip(chances, ordered, strict=True))
    return Trial(hit, missed, size)


def family(verdict: PastVerdict) -> str:
    """Return what several data sets have in common: ``mnist`` of ``mnist_rgb``, so that none gives another away."""
    return verdict.data.name.partition("_")[0]


def invented(
    rng: np.random.Generator, num_sets: int = 6, common: float = 0.7
) -> tuple[list[PastVerdict], dict[object, Gains]]:
    """Return the verdicts of made-up studies, and the true gains: 20 losses on clean, noisy and unequal data.

    The gain of a loss is the sum of a part that all studies of a condition have in common, and one that is the study's
    alone. The standard error of a study is half a point.

    Args:
        rng: Draws the gains.
        num_sets: Data sets, each under four conditions.
        common: Share of the variance of gains that studies of a condition have in common.
    """
    losses = sorted(FIXED) + [f"made_up_{number}" for number in range(10)]
    conditions = {
        "": (Noise(), 1.0, 0.3),
        "noisy": (Noise(kind="symmetric", rate=0.4, basis="measured"), 1.0, 3.0),
        "asymmetric": (Noise(kind="asymmetric", rate=0.2, basis="measured"), 1.0, 2.0),
        "tail": (Noise(), 50.0, 2.0),
    }
    shared = {name: rng.normal(0.0, math.sqrt(common) * sd, len(losses)) for name, (_, _, sd) in conditions.items()}
    verdicts, truth = [], dict[object, Gains]()
    for number in range(num_sets):
        size, kind = int(10 ** rng.uniform(2.5, 4)), ("image", "table", "features")[number % 3]
        for name, (noise, imbalance, sd) in conditions.items():
            true = shared[name] + rng.normal(0.0, math.sqrt(1.0 - common) * sd, len(losses))
            data = Data.model_validate(
                {"name": f"set{number}", "digest": f"{number}{name}", "kind": kind, "num_classes": 10}
                | {"num_train": size, "imbalance": imbalance, "noise": noise.model_dump()}
            )
            gains = dict(zip(losses, true.tolist(), strict=True))
            for loss, gain in gains.items():
                found = PastVerdict(
                    source=f"set{number}{name}",
                    protocol=f"{number}{name}",
                    data=data,
                    model="cnn",
                    optimizer="adamw",
                    loss=loss,
                    part="candidate",
                    metric="accuracy",
                    rope=0.005,
                    difference=(gain + float(rng.normal(0.0, 0.5))) / 100,
                    error=0.005,
                    decision="undecided",
                )
                verdicts.append(found)
            truth[study_of(found)] = gains
    return verdicts, truth


def rows(trials: Sequence[Mapping[str, Trial]], what: str) -> Iterator[str]:
    """Yield the rows of the table."""
    for choice in trials[0] if trials else ():
        found = [trial[choice] for trial in trials]
        hits, number = sum(one.hit for one in found), len(found)
        low, high = wilson_interval(hits / number, number, confidence=0.95)
        losses = f"{np.mean([one.num_losses for one in found]):.3g}"
        yield (
            f"| {what} | {choice} | {losses} | {hits:.3g} of {number} | {100 * hits / number:.0f} "
            f"[{100 * low:.0f}, {100 * high:.0f}] | {np.mean([one.missed for one in found]):.2f} |"
        )


def paired(trials: Sequence[Mapping[str, Trial]], other: str) -> str:
    """Return how often advice hits where the other choice does not, and the other way round."""
    ours = sum(trial["the advice"].hit * (1 - trial[other].hit) for trial in trials)
    theirs = sum(trial[other].hit * (1 - trial["the advice"].hit) for trial in trials)
    return f"{ours:.3g} against {theirs:.3g}"


def figures(verdicts: Sequence[PastVerdict]) -> str:
    """Return the figures of the page."""
    lines = ["| left out | choice | losses | has the best loss | percent | points missed |", "|-|-|-|-|-|-|"]
    real = {"one study": list(held_out(verdicts, study_of)), "one data set": list(held_out(verdicts, family))}
    for what, trials in real.items():
        lines += rows(trials, what)
    for common in (0.7, 0.0):
        rng, made_up = np.random.default_rng(27), list[dict[str, Trial]]()
        for _ in range(NUM_INVENTED):
            database, truth = invented(rng, common=common)
            made_up += held_out(database, lambda one: one.data.name, truth)
        lines += rows(made_up, f"one invented data set, {100 * common:.0f}% in common")
    studies = {study_of(one) for one in verdicts}
    number = len(real["one study"])
    text = [
        f"The database has {len(verdicts)} verdicts of {len(studies)} studies; {number} of them can judge a choice."
    ]
    if number:
        enough = sum(trial["the advice"].is_enough for trial in real["one data set"])
        text.append(
            f"With the data set left out, {enough} of {len(real['one data set'])} had enough evidence for `losstune "
            "init` to follow the advice. Studies that only the advice hits, against those that only the other choice "
            f"hits: {paired(real['one data set'], 'six at random')} for six at random, "
            f"{paired(real['one data set'], 'the fixed screen')} for the fixed screen."
        )
    return "\n".join([*lines, "", *textwrap.wrap(" ".join(text), 120)])


def main() -> None:
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    text = figures(read(given or SHIPPED))
    print(text)
    if given is None:
        page = PAGE.read_text(encoding="utf-8")
        before, after = page.partition(START)[0], page.partition(END)[2]
        PAGE.write_text(f"{before}{START}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
