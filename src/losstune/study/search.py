"""Propose the configurations to try for a loss. The only importer of optuna.

A proposal depends on the study's seed, the loss, the search and the number of the trial; with TPE also on earlier
trials of that search. It never depends on the number of workers or the order in which trials finish. A study that is
resumed or extended proposes the same configurations again and finds them in the ledger.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from losstune.config.schema import LossRangeSettings, RangeSettings, SearchSpaceSettings
from losstune.config.tune import TuneSettings
from losstune.core.errors import LosstuneError, did_you_mean
from losstune.core.metric import Metric
from losstune.core.records import Configuration, Record
from losstune.core.seeds import derive_seed
from losstune.losses.ranges import Choice, Domain, FloatRange, IntRange, Range, Value
from losstune.losses.spec import Hyperparameter, LossSpec

SHARED = ("learning_rate", "weight_decay")
"""Hyperparameters that are searched for every loss, besides its own."""

GENERATION = 4
"""Number of trials that TPE proposes from the same history. They can train at the same time."""

STARTUP_GENERATIONS = 1
"""Generations of quasi-random points before TPE starts."""


@dataclass(frozen=True, slots=True)
class Space:
    """The search space of one loss.

    Attributes:
        loss: The loss's name.
        ranges: The searched ranges: ``learning_rate``, ``weight_decay``, `settings` and the loss's own
            hyperparameters.
        fixed: Hyperparameters of the loss that ``params.yaml`` fixes.
        defaults: A value for each of `ranges`, which the first trial uses.
        settings: Names of the searched settings of the training.
    """

    loss: str
    ranges: dict[str, Range]
    fixed: dict[str, Value]
    defaults: dict[str, Value]
    settings: tuple[str, ...] = ()

    def configuration(self, values: dict[str, Value]) -> Configuration:
        """Turn a value for each of `ranges` into a configuration."""
        shared = {*SHARED, *self.settings}
        own = {name: value for name, value in values.items() if name not in shared}
        return Configuration(
            loss=self.loss,
            hyperparameters=dict(sorted((own | self.fixed).items())),
            learning_rate=float(values["learning_rate"]),
            weight_decay=float(values["weight_decay"]),
            settings={name: float(values[name]) for name in self.settings},
        )


def space_of(spec: LossSpec, settings: SearchSpaceSettings) -> Space:
    """Build the space of a loss from its spec and the study's settings.

    Raises:
        LosstuneError: If the settings name a hyperparameter that the loss does not have, a value outside its domain, or
            an invalid range.
    """
    own = settings.losses.get(spec.name, {})
    names = [hyperparameter.name for hyperparameter in spec.hyperparameters]
    for name in own:
        if name not in names:
            raise LosstuneError(
                f"search_space.losses.{spec.name}: unknown hyperparameter '{name}'{did_you_mean(name, names)} "
                f"({spec.name} has {', '.join(names) or 'none'})"
            )
    shared = {
        "learning_rate": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        **dict(sorted(settings.training.items())),
    }
    ranges: dict[str, Range] = {name: _range(span) for name, span in shared.items()}
    defaults: dict[str, Value] = {name: span.default for name, span in shared.items()}
    fixed: dict[str, Value] = {}
    for hyperparameter in spec.hyperparameters:
        if hyperparameter.name in settings.training:
            raise LosstuneError(
                f"search_space.training.{hyperparameter.name}: {spec.name} has a hyperparameter of that name; rename "
                "it, or remove the range"
            )
        key = f"search_space.losses.{spec.name}.{hyperparameter.name}"
        choice = own.get(hyperparameter.name)
        if isinstance(choice, int | float):
            fixed[hyperparameter.name] = _like(_allowed(key, choice, hyperparameter.domain), hyperparameter)
            continue
        searched = hyperparameter.range if choice is None else _replaced(key, hyperparameter, choice)
        ranges[hyperparameter.name] = searched
        default = hyperparameter.default
        if not isinstance(searched, Choice):
            default = _like(min(max(default, searched.low), searched.high), hyperparameter)
        defaults[hyperparameter.name] = default
    return Space(
        loss=spec.name, ranges=ranges, fixed=fixed, defaults=defaults, settings=tuple(sorted(settings.training))
    )


def centred(space: Space, scale: float, scaled: Sequence[str] = SHARED) -> Space:
    """Return the space for a loss whose gradients are `scale` times cross-entropy's.

    SGD on scale * L with learning rate r and weight decay w takes the same steps as on L with scale * r and w / scale.
    Dividing r and multiplying w by the scale lets every loss start from cross-entropy's range, so that tuning covers
    only the differences beyond the scale.

    Args:
        space: The loss's space.
        scale: The factor.
        scaled: Which of both the scale matters to, see :class:`losstune.training.update_rules.Rule`.

    Raises:
        LosstuneError: If the scale is not a positive number.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise LosstuneError(
            f"search_space.centre_learning_rate: {space.loss} has gradient scale {scale:g}, expected a positive "
            "number; set it to false, and set search_space.learning_rate by hand"
        )
    factors = {"learning_rate": 1 / scale, "weight_decay": scale}
    ranges, defaults = dict(space.ranges), dict(space.defaults)
    for name in scaled:
        factor = factors[name]
        span = ranges[name]
        assert isinstance(span, FloatRange)
        ranges[name] = replace(span, low=factor * span.low, high=factor * span.high)
        defaults[name] = factor * float(defaults[name])
    return replace(space, ranges=ranges, defaults=defaults)


SHARED_DIMENSIONS = 16
"""Dimensions of the points that all losses share. The first are those of `SHARED` and of searched settings."""


def propose_shared(
    space: Space, index: int, settings: TuneSettings, seed: int, search: int, stream: str = "shared"
) -> Configuration:
    """Return the configuration of a trial of a pool: the same point for every loss, on the ranges of this one.

    Losses that respond to learning rate and weight decay alike then differ less by the luck of the draw.

    Args:
        space: The loss's space.
        index: 0 for the defaults; other trials come from the sampler.
        settings: Sampler: ``sobol`` or ``random``.
        seed: The study's root seed.
        search: Number of the search. Each search has its own random stream.
        stream: Losses with another stream draw points of their own.
    """
    if index == 0:
        return space.configuration(space.defaults)
    num_dimensions = max(SHARED_DIMENSIONS, len(space.ranges))
    if settings.sampler == "random":
        generator = random.Random(derive_seed(seed, "pool", stream, search, index))
        point = [generator.random() for _ in range(num_dimensions)]
    else:
        point = _sobol(num_dimensions, index - 1, derive_seed(seed, "pool", stream, search))
    return space.configuration(_at(space, point[: len(space.ranges)]))


def propose(
    space: Space, index: int, history: Sequence[Record], settings: TuneSettings, seed: int, search: int = 0
) -> Configuration:
    """Return the configuration of trial number `index` in one of a loss's independent searches.

    Args:
        space: The loss's space.
        index: 0 for the defaults; other trials come from the sampler.
        history: The finished trials of this search that :func:`depends_on` requires, in the order of their index.
        settings: Sampler and metric.
        seed: The study's root seed.
        search: Number of the search. Each search has its own random stream.
    """
    if index == 0:
        return space.configuration(space.defaults)
    if settings.sampler == "random":
        generator = random.Random(derive_seed(seed, "search", space.loss, search, index))
        return space.configuration(_at(space, [generator.random() for _ in space.ranges]))
    if settings.sampler == "tpe" and depends_on(index, settings) > 0:
        return _propose_tpe(space, history, settings.measure, derive_seed(seed, "tpe", space.loss, search, index))
    return space.configuration(
        _at(space, _sobol(len(space.ranges), index - 1, derive_seed(seed, "search", space.loss, search)))
    )


def depends_on(index: int, settings: TuneSettings) -> int:
    """Return how many of a search's first trials must be finished before trial `index` can be proposed."""
    generation = index // GENERATION
    return generation * GENERATION if settings.sampler == "tpe" and generation >= STARTUP_GENERATIONS else 0


def _at(space: Space, coordinates: Sequence[float]) -> dict[str, Value]:
    return {name: span.from_unit(unit) for (name, span), unit in zip(space.ranges.items(), coordinates, strict=True)}


def _sobol(num_dimensions: int, index: int, seed: int) -> list[float]:
    # A Sobol sequence is balanced at powers of two, and a longer sequence begins with the shorter one.
    points = _sobol_points(num_dimensions, max(5, index.bit_length()), seed)
    return [float(coordinate) for coordinate in points[index]]


@lru_cache(maxsize=8)
def _sobol_points(num_dimensions: int, num_bits: int, seed: int) -> NDArray[np.float64]:
    from scipy.stats import qmc  # takes 0.4 s to import; most commands do not need it

    # Cached for the current search: drawing the points again for each trial would take quadratic time.
    sequence = qmc.Sobol(num_dimensions, scramble=True, rng=seed % 2**32)
    return np.asarray(sequence.random_base2(num_bits))


def _propose_tpe(space: Space, history: Sequence[Record], metric: Metric, seed: int) -> Configuration:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    distributions = {name: _distribution(span) for name, span in space.ranges.items()}
    sampler = optuna.samplers.TPESampler(n_startup_trials=1, multivariate=True, seed=seed % 2**32)
    study = optuna.create_study(direction="minimize" if metric.minimize else "maximize", sampler=sampler)
    for record in history:
        values = {name: record.configuration.values[name] for name in space.ranges}
        score = record.validation[metric.name]
        study.add_trial(optuna.trial.create_trial(params=values, distributions=distributions, value=score))
    return space.configuration(dict(study.ask(distributions).params))


def _distribution(span: Range) -> object:
    from optuna import distributions

    if isinstance(span, Choice):
        return distributions.CategoricalDistribution(span.values)
    if isinstance(span, IntRange):
        return distributions.IntDistribution(span.low, span.high)
    return distributions.FloatDistribution(span.low, span.high, log=span.scale == "log")


def _range(settings: RangeSettings) -> FloatRange:
    return FloatRange(settings.low, settings.high, settings.scale)


def _replaced(key: str, hyperparameter: Hyperparameter, choice: LossRangeSettings | None) -> Range:
    assert choice is not None
    for name, bound in (("low", choice.low), ("high", choice.high)):
        _allowed(f"{key}.{name}", bound, hyperparameter.domain)
    try:
        if isinstance(hyperparameter.range, IntRange):
            if choice.low != math.floor(choice.low) or choice.high != math.floor(choice.high):
                raise ValueError(f"low and high must be whole numbers, found {choice.low} and {choice.high}")
            return IntRange(int(choice.low), int(choice.high))
        logarithmic = isinstance(hyperparameter.range, FloatRange) and hyperparameter.range.scale == "log"
        return FloatRange(choice.low, choice.high, "log" if logarithmic else "linear")
    except ValueError as error:
        raise LosstuneError(f"{key}: {error}") from None


def _allowed(key: str, value: Value, domain: Domain) -> Value:
    if not domain.contains(value):
        raise LosstuneError(f"{key}: found {value:g}, expected {domain}")
    return value


def _like(value: Value, hyperparameter: Hyperparameter) -> Value:
    return int(value) if isinstance(hyperparameter.default, int) and value == int(value) else float(value)
