"""What both protocols say of one study of a world: their decisions, trainings and intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from losstune.core.seeds import derive_seed
from losstune.statistics import PooledDifference, paired
from losstune.verdict.comparison import compare, decide
from losstune.verdict.course import RoundRules, Size
from losstune.verdict.rounds import follow
from losstune.verdict.rules import Rules
from validity_worlds import BASELINE, MOST_BLOCKS, MOST_SEARCHES, SAME, Replay, Search, World

ALPHA = 0.05


@dataclass(frozen=True, kw_only=True)
class Design:
    """A protocol and its numbers.

    Attributes:
        protocol: ``pooled`` or ``replicated``.
        searches: Searches of each loss; with the pooled protocol the most.
        blocks: Blocks of each loss; with the pooled protocol the most.
        budget: Most trainings of a pooled study; then the other two are no limits.
        rope: Half-width of the region of practical equivalence.
        search: How each search proposes, if not at random; of the replicated protocol.
    """

    protocol: str
    searches: int = MOST_SEARCHES
    blocks: int = MOST_BLOCKS
    budget: int | None = None
    rope: float = 0.0
    search: Search | None = None

    def __str__(self) -> str:
        return f"{self.searches} x {self.blocks}" if self.budget is None else f"budget {self.budget}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was said of one study.

    Attributes:
        decisions: Decision of each candidate.
        intervals: Reported interval of each candidate that was compared after the first look.
        trainings: Trainings of the study.
        differences: The differences of a pooled study.
        sizes: How far the losses came.
    """

    decisions: Mapping[str, str]
    intervals: Mapping[str, tuple[float, float]]
    trainings: int
    differences: Mapping[str, PooledDifference] = field(default_factory=dict)
    sizes: Mapping[str, Size] = field(default_factory=dict)


def judge(world: World, design: Design, stream: str, number: int) -> Outcome:
    """Draw study `number` of a world and judge it."""
    rng = np.random.default_rng(derive_seed(0, "validity", stream, number))
    if design.protocol == "replicated":
        return _replicated(world, design, rng)
    rules = rules_of(world, design)
    course = follow(Replay(world, rng, design.searches, design.blocks), rules)
    assert course.is_complete, "a replay has all results"
    compared = {loss: judged for loss, judged in course.judged.items() if judged.level > 0.0}
    return Outcome(
        decisions={loss: course.judged[loss].decision for loss in world.candidates},
        intervals={loss: judged.interval(ALPHA) for loss, judged in compared.items()},
        trainings=course.num_trainings(rules),
        differences={loss: judged.difference for loss, judged in compared.items()},
        sizes={loss: judged.size for loss, judged in compared.items()},
    )


def rules_of(world: World, design: Design) -> RoundRules:
    """Return the registered rules of a pooled study."""
    return RoundRules(
        alpha=ALPHA,
        rope=design.rope,
        minimize=False,
        size=world.size,
        most_searches=design.searches,
        most_blocks=design.blocks,
        budget=design.budget,
        baseline=BASELINE,
        candidates=world.candidates,
        pairs=((SAME, BASELINE),),
    )


def _replicated(world: World, design: Design, rng: np.random.Generator) -> Outcome:
    # The replicated protocol's losses have points of their own.
    own = World(world.size, world.arms, shares=False)
    source = Replay(own, rng, design.searches, design.blocks)
    winners = source.winners(design.searches)
    if design.search is not None:
        winners = {
            loss: np.array([design.search(bank, world.size, rng) for _ in range(design.searches)])
            for loss, bank in world.arms.items()
        }
    scores = source.replicated(design.blocks, winners)
    rules = Rules(alpha=ALPHA, rope=design.rope, power=0.8, num_searches=design.searches)
    found = compare(scores, BASELINE, world.candidates, rules, lambda _: np.random.default_rng(0))
    floor = abs(found[SAME].mean)
    return Outcome(
        decisions={
            loss: decide(found[loss], alpha=ALPHA, rope=design.rope, noise_floor=floor) for loss in world.candidates
        },
        intervals={loss: (found[loss].low, found[loss].high) for loss in world.candidates},
        trainings=len(world.arms) * (design.searches * world.size + design.blocks),
    )


def _without_interval(values_B: ArrayLike, **_: object) -> paired.Estimate:
    mean = float(np.mean(np.asarray(values_B, np.float64)))
    return paired.Estimate(mean, mean, mean)


def prepare() -> None:
    """Make the replicated protocol fast, in a worker process: leave out what is described, but not decided by."""
    paired.mean_with_interval = paired.median_with_interval = _without_interval
    paired.wilcoxon_p_value = lambda *_: 1.0
    # Flips drawn at random keep the level, however few; three thousand resolve alpha / 13 well enough.
    paired.MAX_EXACT_BLOCKS, paired.NUM_RANDOM_FLIPS = 12, 2_999
