"""The cheapest design of each protocol that finds a true difference with a given power."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np

from validity_judges import Design, Outcome, judge
from validity_worlds import World

POWER = 0.8
FEWEST = 10  # blocks, with which a sign test can show one of 13 losses


@dataclass(frozen=True, kw_only=True)
class Found:
    """A design and what it did.

    Attributes:
        design: The design.
        power: Share of studies that found the difference.
        trainings: Mean number of trainings.
    """

    design: Design
    power: float
    trainings: float


def outcomes(pool: Executor, world: World, design: Design, stream: str, numbers: Sequence[int]) -> list[Outcome]:
    """Judge these studies of a world."""
    return list(pool.map(partial(judge, world, design, stream), numbers, chunksize=max(1, len(numbers) // 16)))


def cheapest(
    pool: Executor, world: World, protocol: str, loss: str, stream: str, *, num_search: int, num_confirm: int
) -> Found | None:
    """Return the cheapest design that calls `loss` better with the wanted power, as studies of its own confirm.

    The search uses `num_search` studies a design, and `num_confirm` others to judge the design that it ends at. If that
    one falls short by more than chance explains, the next larger ones are tried.
    """

    def tried(design: Design, numbers: Sequence[int]) -> Found:
        found = outcomes(pool, world, design, stream, numbers)
        share = float(np.mean([outcome.decisions[loss] == "better" for outcome in found]))
        return Found(design=design, power=share, trainings=float(np.mean([o.trainings for o in found])))

    search = partial(tried, numbers=range(num_search))
    best: Found | None = None
    for line in _lines(world, protocol):
        found = _first(line, search, None if best is None else best.trainings, len(world.arms), world.size)
        if found is not None and (best is None or found.trainings < best.trainings):
            best = found
    return None if best is None else tried(best.design, range(10_000, 10_000 + num_confirm))


def _lines(world: World, protocol: str) -> Iterator[list[Design]]:
    """Yield designs in lines; along a line, power and price grow."""
    if protocol == "replicated":
        searches = sorted({round(2 * 1.16**step) for step in range(28)})
        for by_search in (1, 2, 4, 8):
            yield [
                Design(protocol=protocol, searches=number, blocks=number * max(by_search, math.ceil(FEWEST / number)))
                for number in searches
            ]
        return
    least = len(world.arms) * (2 * world.size + 8)
    yield [Design(protocol=protocol, budget=round(least * 1.2**step)) for step in range(18)]
    fewest = max(2, math.ceil(14 / (world.size - 1)))
    for searches in (fewest, fewest + 1):
        yield [
            Design(protocol=protocol, searches=searches, blocks=blocks)
            for blocks in (8, 10, 12, 14, 16, 20, 24, 28, 34, 40, 50, 60, 80)
        ]


def _first(
    line: list[Design], search: Callable[[Design], Found], most: float | None, num_losses: int, size: int
) -> Found | None:
    """Return the first design of a line with the wanted power, by bisection; None if there is none below a price."""
    if most is not None and line[0].protocol == "replicated":
        line = [design for design in line if num_losses * (design.searches * size + design.blocks) < most]
    low, high, best = 0, len(line), None
    while low < high:
        middle = (low + high) // 2
        found = search(line[middle])
        if found.power >= POWER:
            high, best = middle, found
        elif most is not None and found.trainings >= most:
            break
        else:
            low = middle + 1
    return best
