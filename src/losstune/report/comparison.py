"""Every loss against the baseline, from arrays of block scores: the decision procedure of a study, whole.

``benchmarks/validity.py`` puts this very code to the test on studies whose truth is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from losstune import statistics
from losstune.report.results import Difference, Outcome
from losstune.statistics import blocks_to_differ, blocks_to_match


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How outcomes are drawn.

    Attributes:
        alpha: Level of the tests, over all candidates together.
        rope: A smaller difference makes no practical difference.
        power: That the numbers of blocks still needed are for.
        anytime: Whether each loss's number of blocks was chosen by its e-process.
    """

    alpha: float
    rope: float
    power: float
    anytime: bool = False


def difference_of(
    scores: Sequence[float], baseline: Sequence[float], rules: Rules, rng: np.random.Generator
) -> Difference:
    """Compare two losses over the blocks that both have; blocks count from the first."""
    num_blocks = min(len(scores), len(baseline))
    compare = statistics.anytime_difference if rules.anytime else statistics.paired_difference
    paired = compare(scores[:num_blocks], baseline[:num_blocks], alpha=rules.alpha, rng=rng)
    return Difference(**asdict(paired), p_holm=None)


def compare(
    scores: Mapping[str, Sequence[float]],
    baseline: str,
    candidates: Sequence[str],
    rules: Rules,
    generator: Callable[[str], np.random.Generator],
) -> dict[str, Difference]:
    """Compare every loss with the baseline, and correct the candidates' p-values for their number by Holm's method.

    Args:
        scores: Block scores by loss, the baseline's among them.
        baseline: Its name.
        candidates: The losses that are tested; the others are no candidates, because they are a candidate or the
            baseline under another name.
        rules: The study's rules.
        generator: Gives each loss a random stream of its own.
    """
    differences = {
        loss: difference_of(values, scores[baseline], rules, generator(loss))
        for loss, values in scores.items()
        if loss != baseline
    }
    adjusted = statistics.holm([differences[loss].p_value for loss in candidates])
    for loss, p_holm in zip(candidates, adjusted, strict=True):
        differences[loss] = differences[loss].model_copy(update={"p_holm": p_holm})
    return differences


def outcome_of(difference: Difference, *, alpha: float, rope: float, noise_floor: float | None) -> Outcome:
    """Return what a difference against the baseline means.

    In this order: ``equivalent`` if the (1 - 2 alpha) interval lies within the ROPE (two one-sided tests);
    ``better`` or ``worse`` if Holm's p-value is at most alpha and the difference exceeds what two identical
    losses differ by in this study; ``undecided`` otherwise.
    """
    if -rope < difference.equivalence_low and difference.equivalence_high < rope:
        return "equivalent"
    significant = difference.p_holm is not None and difference.p_holm <= alpha
    if significant and abs(difference.mean) > (noise_floor or 0.0):
        return "better" if difference.mean > 0 else "worse"
    return "undecided"


def blocks_needed(
    difference: Difference,
    *,
    num_blocks: int,
    num_candidates: int,
    alpha: float,
    rope: float,
    power: float,
    noise_floor: float | None,
) -> int | None:
    """Return about how many further blocks would settle an undecided loss, as different or as equivalent.

    Taken for true are the observed mean and standard deviation, so this is a plan and no promise. The loss
    counts as different at level ``alpha / num_candidates`` (Holm's first step, the strictest), which only
    counts as a way where the mean exceeds the noise floor; as equivalent at level `alpha`. The nearer of the
    two ways is taken, with the chance `power` of getting there. None if neither leads there.
    """
    ways = [blocks_to_match(difference.mean, difference.sd, rope=rope, alpha=alpha, power=power)]
    if abs(difference.mean) > (noise_floor or 0.0):
        level = alpha / max(num_candidates, 1)
        ways.append(blocks_to_differ(difference.mean, difference.sd, alpha=level, power=power))
    total = min(ways)
    return None if math.isinf(total) else max(1, int(total) - num_blocks)
