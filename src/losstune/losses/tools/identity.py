"""Find identical losses: L_a(z) = scale * L_b(temperature * z) + offset for all logits and classes.

Such losses train alike, up to the learning rate and the norm of the last layer's weights. Counting them as several
gives one loss several chances to win.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
import scipy
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]
"""``loss(logits_NC, target_N) -> losses_N``, such as a bound loss."""

Values = NDArray[np.float64]

CLASS_COUNTS = (3, 5)
LOGIT_SCALES = (1.0, 3.0, 12.0)
DRAWS_PER_SCALE = 40
STEPS_PER_OCTAVE = 16
TEMPERATURES = tuple(2 ** (step / STEPS_PER_OCTAVE) for step in range(-48, 49))
PROMISING = 0.5
EXACT = 1e-6
NEAR_NATS = 8.0
"""Cross-entropy up to which losses are also compared separately: p_y above 3e-4."""


@dataclass(frozen=True, slots=True)
class Relation:
    """The transformation of one loss into another.

    Attributes:
        scale: Positive factor of the value, by number of classes.
        temperature: Factor of the logits, the same for every number of classes.
        offset: Term added to the value, by number of classes.
        everywhere: Whether it holds at all logits tried; if not, it holds where cross-entropy is at most 8 nats.
    """

    scale: Mapping[int, float]
    temperature: float
    offset: Mapping[int, float]
    everywhere: bool = True

    def __str__(self) -> str:
        """Return a text such as ``0.5 L(2 z) + 1``, with the values for the smallest number of classes compared."""
        num = min(self.scale)
        scale = "" if math.isclose(self.scale[num], 1, abs_tol=1e-6) else f"{self.scale[num]:.4g} "
        inner = "z" if math.isclose(self.temperature, 1, abs_tol=1e-6) else f"{self.temperature:.4g} z"
        offset = (
            ""
            if abs(self.offset[num]) < 1e-6
            else f" {'+' if self.offset[num] > 0 else '-'} {abs(self.offset[num]):.4g}"
        )
        return f"{scale}L({inner}){offset}"


def relation(first: Loss, second: Loss, class_counts: Sequence[int] = CLASS_COUNTS) -> Relation | None:
    """Return the transformation of `second` into `first`, or None if there is none.

    The comparison is numerical: equality to a millionth on random logits of several scales. If two losses differ only
    where the probability of the true class is nearly 0, for example because of a cap or to avoid an overflow,
    ``everywhere`` is false.

    Args:
        first: A loss.
        second: Another loss.
        class_counts: Numbers of classes at which they are compared.
    """
    return _relation(_Sampled(first, class_counts), _Sampled(second, class_counts))


def equivalence_classes(losses: Mapping[str, Loss]) -> list[list[str]]:
    """Group the names of identical losses; most groups contain a single name."""
    groups: list[list[str]] = []
    with _one_thread():
        sampled = {name: _Sampled(loss, CLASS_COUNTS) for name, loss in losses.items()}
        for name, loss in sampled.items():
            home = next((group for group in groups if _is_one(loss, sampled[group[0]])), None)
            if home is None:
                groups.append([name])
            else:
                home.append(name)
    return groups


class _Sampled:
    """The values of a loss on fixed random logits, at every temperature of the grid."""

    def __init__(self, loss: Loss, class_counts: Sequence[int]) -> None:
        self.loss = loss
        self.plain = {num: self.at(num, 1.0) for num in class_counts}
        self.first = class_counts[0]
        self.grid = np.stack([self.at(self.first, temperature) for temperature in TEMPERATURES])

    def at(self, num_classes: int, temperature: float) -> Values:
        z_NC, target_N = _draws(num_classes)
        with torch.no_grad():
            return np.asarray(self.loss(temperature * z_NC, target_N).numpy(), dtype=np.float64)


@cache
def _draws(num_classes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(20)
    z_NC = torch.cat(
        [
            scale * torch.randn(DRAWS_PER_SCALE, num_classes, generator=generator, dtype=torch.float64)
            for scale in LOGIT_SCALES
        ]
    )
    return z_NC, torch.arange(len(z_NC)) % num_classes


@cache
def _near(num_classes: int) -> NDArray[np.bool_]:
    z_NC, target_N = _draws(num_classes)
    return np.asarray(F.cross_entropy(z_NC, target_N, reduction="none").numpy() <= NEAR_NATS)


def _is_one(first: _Sampled, second: _Sampled) -> bool:
    found = _relation(first, second)
    return found is not None and found.everywhere


def _relation(first: _Sampled, second: _Sampled) -> Relation | None:
    # A relation that holds everywhere holds near the origin, too. Search there, then test the far logits.
    num_first = first.first
    near = {num: _near(num) for num in first.plain}
    wanted = first.plain[num_first][near[num_first]]
    errors = [_fit(wanted, values[near[num_first]])[2] for values in second.grid]
    best = int(np.argmin(errors))
    if errors[best] > PROMISING:
        return None
    temperature = TEMPERATURES[best]
    if errors[best] > EXACT:
        found = scipy.optimize.minimize_scalar(
            lambda log2: _fit(wanted, second.at(num_first, 2.0**log2)[near[num_first]])[2],
            bounds=(math.log2(temperature) - 1 / STEPS_PER_OCTAVE, math.log2(temperature) + 1 / STEPS_PER_OCTAVE),
            method="bounded",
            options={"xatol": 1e-12},
        )
        temperature = 2.0**found.x
    scaled = {num: second.at(num, temperature) for num in first.plain}
    for everywhere in (True, False):
        fits = {
            num: _fit(values, scaled[num]) if everywhere else _fit(values[near[num]], scaled[num][near[num]])
            for num, values in first.plain.items()
        }
        if all(error <= EXACT and scale > 0 for scale, _, error in fits.values()):
            return Relation(
                scale={num: fit[0] for num, fit in fits.items()},
                temperature=temperature,
                offset={num: fit[1] for num, fit in fits.items()},
                everywhere=everywhere,
            )
    return None


def _fit(wanted: Values, values: Values) -> tuple[float, float, float]:
    """Return scale and offset of the linear fit of `wanted` by `values`, and the largest relative error."""
    if not np.isfinite(values).all() or not np.isfinite(wanted).all():
        return 0.0, 0.0, math.inf  # a loss that overflows at this temperature
    # Weight by the size of the wanted values: losses span many decades, and small values are as important.
    weight = 1 / (1e-3 + np.abs(wanted))
    design = np.stack([values * weight, weight], axis=1)
    norms = np.abs(design).max(axis=0)
    norms[norms == 0] = 1
    scaled, *_ = np.linalg.lstsq(design / norms, wanted * weight, rcond=None)
    scale, offset = (scaled / norms).tolist()
    error = float(np.max(np.abs(scale * values + offset - wanted) * weight))
    return scale, offset, error


def identical_pairs(
    losses: Mapping[str, Loss], left_out: Collection[tuple[str, str]] = (), class_counts: Sequence[int] = CLASS_COUNTS
) -> list[tuple[str, str, Relation]]:
    """Return all pairs of identical losses, except those `left_out`, with the transformation to the first.

    They include pairs that differ only in the far tail; for these, ``everywhere`` is false.
    """
    known = {frozenset(pair) for pair in left_out}
    pairs = [pair for pair in combinations(losses, 2) if frozenset(pair) not in known]
    with _one_thread():
        sampled = {
            name: _Sampled(loss, class_counts) for name, loss in losses.items() if any(name in pair for pair in pairs)
        }
        return [
            (one, other, found)
            for one, other in pairs
            if (found := _relation(sampled[one], sampled[other])) is not None
        ]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread: for a few hundred numbers, several threads take ten times as long."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)
