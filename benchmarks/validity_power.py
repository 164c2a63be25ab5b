"""The cheapest design of each protocol that finds a true difference with a given power."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import special

from validity_judges import Design, Outcome, judge
from validity_worlds import World

POWER = 0.8
FEWEST = 10  # blocks, with which a sign test can show one of 13 losses


@dataclass(frozen=True, kw_only=True)
class Found:
    """The price of a power, on a line of designs.

    Attributes:
        design: The judged design whose power is closest to it.
        trainings: Trainings of a study with the wanted power, between the judged designs.
    """

    design: Design
    trainings: float


@dataclass(frozen=True, kw_only=True)
class _Tried:
    design: Design
    hits: int
    number: int
    trainings: float

    @property
    def power(self) -> float:
        return self.hits / self.number


def outcomes(pool: Executor, world: World, design: Design, stream: str, numbers: Sequence[int]) -> list[Outcome]:
    """Judge these studies of a world."""
    return list(pool.map(partial(judge, world, design, stream), numbers, chunksize=max(1, len(numbers) // 16)))


def cheapest(pool: Executor, world: World, protocol: str, loss: str, stream: str, *, num_studies: int) -> Found | None:
    """Return the cheapest design that calls `loss` better with the wanted power.

    A protocol's designs form lines, along which price and power grow. Bisection finds where a line reaches the power.
    The price there is that of a probit line through all judged designs, so that it does not rest on the luck of one.
    """

    def tried(design: Design) -> _Tried:
        found = outcomes(pool, world, design, stream, range(num_studies))
        hits = sum(outcome.decisions[loss] == "better" for outcome in found)
        price = float(np.mean([outcome.trainings for outcome in found]))
        return _Tried(design=design, hits=hits, number=num_studies, trainings=price)

    lines = [_bisected(line, tried) for line in _lines(world, protocol)]
    found = [found for line in lines if (found := _price(line)) is not None]
    return min(found, key=lambda found: found.trainings, default=None)


def _lines(world: World, protocol: str) -> Iterator[list[Design]]:
    if protocol == "replicated":
        searches = sorted({round(2 * 1.27**step) for step in range(26)})
        for by_search in (1, 3):
            yield [
                Design(protocol=protocol, searches=number, blocks=number * max(by_search, math.ceil(FEWEST / number)))
                for number in searches
            ]
        return
    least = len(world.arms) * (2 * world.size + 8)
    yield [Design(protocol=protocol, budget=round(least * 1.2**step)) for step in range(18)]


def _bisected(line: list[Design], judged: Callable[[Design], _Tried]) -> list[_Tried]:
    low, high, found = 0, len(line), []
    while low < high:
        middle = (low + high) // 2
        found.append(judged(line[middle]))
        low, high = (low, middle) if found[-1].power >= POWER else (middle + 1, high)
    return found


def _price(line: list[_Tried]) -> Found | None:
    """Return the price of the wanted power; None if no design has it."""
    if max(tried.power for tried in line) < POWER:
        return None
    closest = min(line, key=lambda tried: abs(tried.power - POWER))
    share = np.array([(tried.hits + 0.5) / (tried.number + 1) for tried in line])
    price = np.log([tried.trainings for tried in line])
    probit = special.ndtri(share)
    # The weight of a probit is the inverse of its variance.
    weight = np.exp(-(probit**2)) / (share * (1 - share))
    centre = np.average(price, weights=weight)
    slope = np.average((price - centre) * probit, weights=weight) / max(
        np.average((price - centre) ** 2, weights=weight), 1e-12
    )
    if slope <= 0.0:
        return Found(design=closest.design, trainings=closest.trainings)
    at = centre + (special.ndtri(POWER) - np.average(probit, weights=weight)) / slope
    # No further than the judged designs reach.
    return Found(design=closest.design, trainings=float(np.exp(np.clip(at, price.min(), price.max()))))
