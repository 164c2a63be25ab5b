"""Pooled studies whose truth is known, and a record of which results are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from losstune.statistics import Order
from losstune.verdict.course import Course, RoundRules, Trials
from losstune.verdict.rounds import follow


def rules_with(candidates=("a", "b", "c"), **changes) -> RoundRules:
    """Rules for searches of 8 trials."""
    usual = {
        "alpha": 0.05,
        "rope": 0.0,
        "minimize": False,
        "size": 8,
        "most_searches": 4,
        "most_blocks": 24,
        "budget": None,
        "baseline": "base",
        "pairs": (("twin", "base"),),
    }
    return RoundRules(candidates=tuple(candidates), **usual | changes)


class World:
    """All results that a study could have.

    Args:
        rules: Of the study.
        seed: Of the random draws.
        gains: How much better a loss is than the others.
        spread: Standard deviation of the configurations' true scores.
        noise: Of a training, on validation and on test.
        block_sd: Of what a block's seed adds to all losses.
        twins: For a loss, the one whose results it has. The pairs of the rules are always twins.
    """

    def __init__(
        self, rules: RoundRules, seed=0, gains: Mapping[str, float] | None = None, spread=0.01, noise=0.005,
        block_sd=0.005, twins: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        rng, number = np.random.default_rng(seed), rules.size * rules.most_searches
        self.rules, sign = rules, -1.0 if rules.minimize else 1.0
        default, blocks = 0.9, block_sd * rng.normal(size=rules.most_blocks)
        self.validation, self.test = {}, {}
        for loss in sorted(rules.losses):
            true_T = default - spread * np.abs(rng.normal(size=number))
            true_T[:: rules.size] = default - spread
            true_T += (gains or {}).get(loss, 0.0)
            self.validation[loss] = sign * (true_T + noise * rng.normal(size=number))
            own_TB = noise * rng.normal(size=(number, rules.most_blocks))
            self.test[loss] = sign * (true_T[:, None] + blocks + own_TB)
        for loss, equal in (*(twins or {}).items(), *rules.pairs):
            self.validation[loss], self.test[loss] = self.validation[equal], self.test[equal]
        self._sign = sign

    def trials(self, loss: str, num_searches: int) -> Trials:
        """Return the trials of the first searches."""
        validation_T = self.validation[loss][: num_searches * self.rules.size]
        is_default_T = np.arange(validation_T.size) % self.rules.size == 0
        return Trials(
            order=Order.of(np.argsort(np.argsort(-self._sign * validation_T)), is_default_T),
            configuration_T=np.where(is_default_T, 0, np.arange(validation_T.size)),
            validation_T=validation_T,
            failed_T=np.zeros(validation_T.size, bool),
        )

    def score(self, loss: str, trial: int, block: int) -> float:
        """Return the test score of a trial's configuration in a block."""
        return float(self.test[loss][trial, block])


@dataclass
class Results:
    """The results that are there, as the rounds read them."""

    world: World
    searches: set[tuple[str, int]] = field(default_factory=set)
    blocks: set[tuple[str, int, int]] = field(default_factory=set)

    def trials(self, loss: str, num_searches: int) -> Trials | None:
        """Return the trials of the first searches; None if one is missing."""
        if any((loss, search) not in self.searches for search in range(num_searches)):
            return None
        return self.world.trials(loss, num_searches)

    def score(self, loss: str, trial: int, block: int) -> float | None:
        """Return the score of a block; None if it is missing."""
        return self.world.score(loss, trial, block) if (loss, trial, block) in self.blocks else None

    def add(self, missing: tuple) -> None:
        """Add a search or a block."""
        (self.searches if len(missing) == 2 else self.blocks).add(missing)


def missing_of(course: Course) -> list[tuple]:
    """Return the searches and blocks that the next look needs."""
    return [*course.missing_trials, *course.missing_blocks]


def courses(world: World, rules: RoundRules | None = None) -> list[Course]:
    """Return the course after each time that all missing results were added; the last one is complete."""
    results, found = Results(world), []
    while True:
        found.append(follow(results, rules or world.rules))
        if found[-1].is_complete:
            return found
        for missing in missing_of(found[-1]):
            results.add(missing)


def summary(course: Course) -> dict:
    """Return all of a course that can be compared."""
    return {
        "sizes": course.sizes,
        "allocation": course.allocation,
        "judged": course.judged,
        "floors": course.floors,
        "looks": course.looks,
        "missing": missing_of(course),
        "expected": course.expected,
        "weights": {loss: weights.tolist() for loss, weights in course.weights.items()},
    }
