"""Worlds with a known truth for validity.py: banks of real trainings, what is made from them, and studies drawn there.

A bank holds each configuration's trainings on many seeds. A draw takes a configuration with replacement and one of the
bank's tuning seeds; a block takes one of the confirming seeds, with replacement, too. So draws are independent, and the
expected result of a search is a number that can be computed.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from losstune.core.seeds import derive_seed
from losstune.statistics import Order
from losstune.verdict.course import Trials

FOLDER = Path(__file__).resolve().parent / "banks"
NUM_TUNING_SEEDS = {"digits": 12, "digits_noise": 4, "features": 8}  # the others confirm
BASELINE, SAME = "cross_entropy", "identical loss"
MOST_SEARCHES, MOST_BLOCKS = 120, 960  # that a study can draw

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Bank:
    """The trainings of one loss.

    Attributes:
        validation: Validation scores (configuration, tuning seed).
        rank: Place of each of them in the order of selection, from worst to best, no ties.
        test: Test scores (configuration, confirming seed).
        points: Learning rate and weight decay of each configuration, as logarithms.
    """

    validation: Array
    rank: NDArray[np.int64]
    test: Array
    points: Array

    @cached_property
    def means(self) -> Array:
        """The true test score of each configuration."""
        return np.asarray(self.test.mean(1))

    def expected(self, size: int) -> float:
        """Return the expected result of a search of `size` trials, exactly.

        The best of ``size - 1`` draws has rank r or lower with probability ``F(r)^(size - 1)``, where F is the
        distribution of one draw. The search ends there, or at the defaults if their training ranks higher.
        """
        configurations, seeds = self.rank.shape
        order = np.argsort(self.rank, axis=None)
        owner = order // seeds
        is_default = owner == 0
        below_draw = np.cumsum(~is_default) / ((configurations - 1) * seeds)
        below_default = np.cumsum(is_default) / seeds
        best = below_draw ** (size - 1)
        wins = np.where(is_default, best / seeds, np.diff(best, prepend=0.0) * below_default)
        return float(wins @ self.means[owner])

    def reseeded(self, number: int) -> Bank:
        """Return the bank with its seeds in another order, so that equal points do not end at equal scores."""
        rng = np.random.default_rng(derive_seed(0, "reseeded", number))
        tuning, tests = rng.permutation(self.rank.shape[1]), rng.permutation(self.test.shape[1])
        return replace(self, validation=self.validation[:, tuning], rank=self.rank[:, tuning], test=self.test[:, tests])

    def shifted(self, by: float) -> Bank:
        """Return the bank with all test scores raised."""
        return replace(self, test=self.test + by)


@lru_cache
def read(name: str) -> dict[str, Bank]:
    """Return each loss's trainings."""
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    shape = (1 + max(int(row["configuration"]) for row in rows), 1 + max(int(row["seed"]) for row in rows))
    found = {}
    for loss in dict.fromkeys(row["loss"] for row in rows):
        scores = {key: np.full(shape, np.nan) for key in ("validation", "validation_mean", "test")}
        points = np.zeros((shape[0], 2))
        for row in rows:
            if row["loss"] == loss:
                cell = int(row["configuration"]), int(row["seed"])
                points[cell[0]] = np.log([float(row["learning_rate"]), float(row["weight_decay"])])
                for key, values in scores.items():
                    values[cell] = float(row[key])
        tuning = NUM_TUNING_SEEDS[name]
        best, mean = scores["validation"][:, :tuning], scores["validation_mean"][:, :tuning]
        # As in a study, ties are broken by the mean over the epochs; what is then still equal, by chance.
        chance = np.random.default_rng(derive_seed(0, "ties", name, loss)).random(best.shape)
        rank = np.empty(best.size, np.int64)
        rank[np.lexsort((chance.ravel(), mean.ravel(), best.ravel()))] = np.arange(best.size)
        complete = ~np.isnan(scores["test"]).any(0)
        found[loss] = Bank(best, rank.reshape(best.shape), scores["test"][:, tuning:][:, complete[tuning:]], points)
    return found


def gamble(kind: str, size: int) -> Bank:
    """Return an unreliable loss, made from the digits bank, whose expected result equals cross-entropy's."""
    base = read("digits")[BASELINE]
    rng = np.random.default_rng(derive_seed(0, "gamble", kind))
    chosen = np.concatenate([[0], rng.integers(1, len(base.test), 399)])
    test = base.test[chosen]
    own = test - test.mean(1, keepdims=True)
    match kind:
        case "5 points" | "1 point":
            test = own + 0.95 + rng.normal(0.0, 0.05 if kind == "5 points" else 0.01, (400, 1))
        case "heavy tails":
            test = test + 0.003 * rng.standard_t(3, test.shape)
        case "failing seeds":
            test = test - 0.08 * (rng.random(test.shape) < 0.3)
    keys = base.rank[chosen] + rng.random((400, base.rank.shape[1]))
    made = Bank(base.validation[chosen], np.argsort(np.argsort(keys, axis=None)).reshape(keys.shape), test, base.points)
    return made.shifted(base.expected(size) - made.expected(size))


@dataclass(frozen=True)
class World:
    """The losses of a study, with their truth.

    Attributes:
        size: Trials of a search.
        arms: The trainings of each loss, the baseline first, then an identical loss.
        shares: Whether the losses share points and seeds of their trials, as a pooled study's do. The identical loss
            has its own.
    """

    size: int
    arms: Mapping[str, Bank]
    shares: bool

    @property
    def candidates(self) -> tuple[str, ...]:
        """The losses that are compared with the baseline."""
        return tuple(loss for loss in self.arms if loss not in (BASELINE, SAME))

    @cached_property
    def differences(self) -> dict[str, float]:
        """The true difference of each candidate."""
        base = self.arms[BASELINE].expected(self.size)
        found = {loss: self.arms[loss].expected(self.size) - base for loss in self.candidates}
        return {loss: round(value, 12) for loss, value in found.items()}


def copies(
    bank: str, size: int, number: int, *, shares: bool = False, effect: float = 0.0, last: str | None = None
) -> World:
    """Return a world whose losses are all cross-entropy.

    Args:
        bank: Name of the bank.
        size: Trials of a search.
        number: Number of candidates.
        shares: Whether the losses share the points of their trials.
        effect: What the first candidate is better by.
        last: Kind of gamble that the last candidate is.
    """
    base = read(bank)[BASELINE]
    arms = {BASELINE: base, SAME: base} | {
        f"candidate {i + 1}": base.reseeded(i) if shares else base for i in range(number)
    }
    arms["candidate 1"] = arms["candidate 1"].shifted(effect)
    if last is not None:
        arms[f"candidate {number}"] = gamble(last, size)
    return World(size, arms, shares)


def real(bank: str, size: int, loss: str | None = None, effect: float = 0.0) -> World:
    """Return a world with a bank's losses, of which one may be shifted so that its true difference is `effect`."""
    banks = read(bank)
    arms = {BASELINE: banks[BASELINE], SAME: banks[BASELINE]} | {k: v for k, v in banks.items() if k != BASELINE}
    if loss is not None:
        arms[loss] = arms[loss].shifted(banks[BASELINE].expected(size) + effect - banks[loss].expected(size))
    return World(size, arms, shares=True)


class Replay:
    """One study's draws: the source that the rounds read, and the searches of the replicated protocol."""

    def __init__(self, world: World, rng: np.random.Generator, num_searches: int, num_blocks: int) -> None:
        self._world = world
        shape = num_searches, world.size
        first = world.arms[BASELINE]
        num_tests = first.test.shape[1]
        self._block = rng.integers(0, num_tests, num_blocks)
        shared = rng.random((3, *shape))
        self._draw: dict[str, tuple[NDArray[np.int64], Array, Array]] = {}
        for loss, bank in world.arms.items():
            draw = shared if world.shares and loss != SAME else rng.random((3, *shape))
            count, seeds = bank.rank.shape
            configuration = 1 + (draw[0] * (count - 1)).astype(np.int64)
            configuration[:, 0] = 0
            # Two draws of one training are a tie, which chance breaks.
            rank = bank.rank[configuration, (draw[1] * seeds).astype(np.int64)] + draw[2]
            validation = bank.validation[configuration, (draw[1] * seeds).astype(np.int64)]
            self._draw[loss] = configuration.ravel(), validation.ravel(), rank.ravel()
        self._known: dict[tuple[str, int], Trials] = {}

    def trials(self, loss: str, num_searches: int) -> Trials:
        """Return the trials of a loss's first searches."""
        if (loss, num_searches) not in self._known:
            number = num_searches * self._world.size
            _, validation, rank = self._draw[loss]
            assert number <= rank.size, "a larger study than was drawn"
            trial = np.arange(number)
            is_default = trial % self._world.size == 0
            rank_T = np.empty(number, np.int64)
            rank_T[np.argsort(-rank[:number])] = trial
            self._known[loss, num_searches] = Trials(
                order=Order(rank_T, is_default),
                configuration_T=np.where(is_default, 0, trial),
                validation_T=validation[:number].astype(np.float64),
                failed_T=np.zeros(number, np.bool_),
            )
        return self._known[loss, num_searches]

    def score(self, loss: str, trial: int, block: int) -> float:
        """Return the test score of a trial's configuration in a block."""
        return float(self._world.arms[loss].test[self._draw[loss][0][trial], self._block[block]])

    def winners(self, num_searches: int) -> dict[str, NDArray[np.int64]]:
        """Return the configuration that each search of each loss ends at."""
        found = {}
        for loss, (configuration, _, rank) in self._draw.items():
            shape = -1, self._world.size
            best = rank.reshape(shape)[:num_searches].argmax(1)
            found[loss] = configuration.reshape(shape)[np.arange(num_searches), best]
        return found

    def replicated(self, num_blocks: int, winners: Mapping[str, NDArray[np.int64]]) -> dict[str, list[float]]:
        """Return the block scores of the replicated protocol: block b retrains the winner of search b modulo S."""
        block = np.arange(num_blocks)
        return {
            loss: self._world.arms[loss].test[won[block % won.size], self._block[:num_blocks]].tolist()
            for loss, won in winners.items()
        }


Search = Callable[[Bank, int, np.random.Generator], int]


def neighbours(bank: Bank, size: int, rng: np.random.Generator) -> int:
    """Search like TPE: half of the trials are drawn, each of the others is near the best so far."""
    tried: list[int] = [0, *rng.integers(1, len(bank.test), max(1, size // 2)).tolist()]
    score = [bank.rank[c, rng.integers(bank.rank.shape[1])] for c in tried]
    while len(tried) < size:
        best = tried[int(np.argmax(score))]
        distance = np.abs(bank.points - bank.points[best]).sum(1)
        distance[tried] = np.inf
        tried.append(int(np.argmin(distance)))
        score.append(bank.rank[tried[-1], rng.integers(bank.rank.shape[1])])
    return int(tried[int(np.argmax(score))])


def halving(bank: Bank, size: int, rng: np.random.Generator) -> int:
    """Search like ASHA: the better third by an early, noisy score is trained to the end."""
    tried = np.concatenate([[0], rng.integers(1, len(bank.test), size - 1)])
    score = bank.rank[tried, rng.integers(0, bank.rank.shape[1], size)]
    early = score + rng.normal(0.0, 0.3 * bank.rank.size, size)
    kept = np.argsort(-early)[: max(1, size // 3)].tolist()
    return int(tried[max(kept, key=lambda place: int(score[place]))])


ADAPTIVE: dict[str, Search] = {"near the best so far, like TPE": neighbours, "halving, like ASHA": halving}
