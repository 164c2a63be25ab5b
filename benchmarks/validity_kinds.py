"""The kinds of studies whose verdicts validity.py judges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from validity_judges import Design
from validity_worlds import ADAPTIVE, World, copies, real

SIZES = (4, 6, 8, 12)  # trials of a search
PRICED = (4, 12)  # of which the cheapest designs are found
SEARCHES = {4: 6, 6: 4, 8: 3, 12: 2}  # of a loss: 24 trials
NUM_BLOCKS = 16
NUM_CANDIDATES = 13  # the default study's
ROPE = 0.005
BY_LOSS = 24 + NUM_BLOCKS  # trainings of a loss in a study with these numbers


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of studies.

    Attributes:
        name: For the page.
        world: Makes the world for searches of a size.
        rope: Half-width of the region of practical equivalence.
        by_budget: Whether the pooled protocol has a budget, of as many trainings, in place of numbers.
        pooled: Whether the pooled protocol can judge it.
        adaptive: Name of the way in which searches propose; None for at random.
    """

    name: str
    world: Callable[[int], World]
    rope: float = 0.0
    by_budget: bool = False
    pooled: bool = True
    adaptive: str | None = None

    def design(self, protocol: str, size: int) -> Design:
        """Return the numbers of its studies."""
        if protocol == "pooled" and self.by_budget:
            return Design(protocol=protocol, budget=BY_LOSS * len(self.world(size).arms), rope=self.rope)
        search = None if self.adaptive is None else ADAPTIVE[self.adaptive]
        return Design(protocol=protocol, searches=SEARCHES[size], blocks=NUM_BLOCKS, rope=self.rope, search=search)


def _equal(bank: str, number: int = NUM_CANDIDATES, **options: object) -> Callable[[int], World]:
    return partial(copies, bank, number=number, **options)  # type: ignore[arg-type]


EQUAL = [
    Kind(name="digits", world=_equal("digits")),
    Kind(name="digits, shared points", world=_equal("digits", shares=True)),
    Kind(name="digits, by budget", world=_equal("digits"), by_budget=True),
    Kind(name="digits, one gamble of SD 5 points", world=_equal("digits", last="5 points")),
    Kind(name="digits, one gamble of SD 1 point", world=_equal("digits", last="1 point")),
    Kind(name="digits, one gamble by budget", world=_equal("digits", last="5 points"), by_budget=True),
    Kind(name="digits, one with heavy tails", world=_equal("digits", last="heavy tails")),
    Kind(name="digits, one whose seeds fail", world=_equal("digits", last="failing seeds")),
    Kind(name="noisy digits", world=_equal("digits_noise", 7)),
    Kind(name="features", world=_equal("features", 5)),
    *(Kind(name=f"digits, {name}", world=_equal("digits"), pooled=False, adaptive=name) for name in ADAPTIVE),
]
"""A/A studies: all losses are equal in truth."""

REAL = [
    Kind(name="noisy digits, 7 losses", world=partial(real, "digits_noise"), rope=ROPE),
    Kind(name="features, 5 losses", world=partial(real, "features"), rope=ROPE),
]
"""Studies of real losses that differ."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A world with a loss that is better by a known difference.

    Attributes:
        name: For the page.
        loss: The loss.
        world: Makes the world for searches of a size and a difference.
        epochs: Epochs of a training of its bank.
    """

    name: str
    loss: str
    world: Callable[[int, float], World]
    epochs: int


def _copied(size: int, effect: float) -> World:
    return copies("digits", size, NUM_CANDIDATES, effect=effect)


def _sharing(size: int, effect: float) -> World:
    return copies("digits", size, NUM_CANDIDATES, shares=True, effect=effect)


@dataclass(frozen=True)
class _Shifted:
    bank: str
    loss: str = field(default="")

    def __call__(self, size: int, effect: float) -> World:
        return real(self.bank, size, self.loss, effect)


EFFECTS = [
    Effect(name="digits, a copy with shared points", loss="candidate 1", world=_sharing, epochs=15),
    Effect(name="digits, a copy with its own points", loss="candidate 1", world=_copied, epochs=15),
    Effect(name="noisy digits, js", loss="js", world=_Shifted("digits_noise", "js"), epochs=15),
    Effect(
        name="features, label_smoothing",
        loss="label_smoothing",
        world=_Shifted("features", "label_smoothing"),
        epochs=15,
    ),
]
DIFFERENCES = (0.006, 0.01)
