"""Which losses are worth a trial on some data, from past verdicts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from losstune.advice.records import Data, Decision, PastVerdict
from losstune.advice.similarity import LIKE, similarities, similarity
from losstune.losses.registry import registry
from losstune.statistics import Effects, Prediction, Spread, cover_best, fit_spread, normal_quantile, predict

NUMBER = 6
"""Losses to advise, besides cross-entropy and its control."""

NUM_DRAWS = 4096
SEED = 27

FEWEST_STUDIES, FEWEST_NAMES = 5, 2
"""With fewer studies like the user's, or of fewer data sets, there is no advice."""

FEWEST_OF_LOSS = 2
"""A loss needs verdicts of this many studies to be advised."""

UNEQUAL = 1.2
"""Losses for unequal classes are advised if the largest class has this many times the samples of the smallest. With
equal classes they are cross-entropy, or another loss's twin."""

DEFAULT = Spread(shared=1.0, own=1.0)
WORTH = 0.1
"""A loss is worth a trial if the probability that it beats cross-entropy by more than the ROPE is at least this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossAdvice:
    """What past verdicts say about one loss on the user's data.

    Attributes:
        loss: Its name.
        decisions: Decisions of studies like the user's, by their number.
        gain: Expected difference to cross-entropy, in units of the ROPE; positive if the loss is better. As the next
            two, the median, and quantiles of the prediction.
        low: 2.5% quantile.
        high: 97.5% quantile.
        better: Probability that it is better by more than the ROPE.
        best: Probability that it is the best, or within the ROPE of the best.
    """

    loss: str
    decisions: dict[Decision, int]
    gain: float
    low: float
    high: float
    better: float
    best: float

    @property
    def num_like(self) -> int:
        """Number of studies like the user's that tried it."""
        return sum(self.decisions.values())

    @property
    def is_worth_a_trial(self) -> bool:
        """Whether it may well beat cross-entropy."""
        return self.better >= WORTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Advice for some data.

    Attributes:
        num_studies: Studies in the database.
        num_like: Studies like the user's among them.
        names_like: Names of their data sets.
        chosen: The losses to try, the most valuable first; empty without any evidence.
        losses: Every loss with verdicts of enough studies, by the probability to be the best.
    """

    num_studies: int
    num_like: int
    names_like: tuple[str, ...]
    chosen: tuple[str, ...]
    losses: tuple[LossAdvice, ...]

    @property
    def is_enough(self) -> bool:
        """Whether there is enough evidence to choose by it."""
        return self.num_like >= FEWEST_STUDIES and len(self.names_like) >= FEWEST_NAMES and len(self.chosen) >= NUMBER


def advise(
    data: Data, verdicts: Sequence[PastVerdict], *, number: int = NUMBER, among: Collection[str] | None = None
) -> Advice:
    """Say which losses are worth a trial.

    Each loss's difference to cross-entropy on this data is predicted from its verdicts on other data, the more similar
    the more (:func:`losstune.statistics.predict`). The choice is the set that, with cross-entropy, most probably holds
    the best loss or one within the ROPE of it (:func:`losstune.statistics.cover_best`), by draws with a fixed seed.

    Args:
        data: Facts about the data.
        verdicts: The database.
        number: Losses to choose.
        among: The losses to choose from; None for all with verdicts of enough studies.
    """
    evidence = [one for one in verdicts if one.is_evidence]
    studies = {study_of(one): one.data for one in verdicts}
    like = {study for study, other in studies.items() if similarity(data, other) >= LIKE}
    by_loss: dict[str, list[PastVerdict]] = {}
    for one in evidence:
        by_loss.setdefault(one.loss, []).append(one)
    spread = fit_spread([_effects(found) for found in by_loss.values()], DEFAULT)
    if among is None:
        losses = sorted(loss for loss, found in by_loss.items() if len(found) >= FEWEST_OF_LOSS and _fits(loss, data))
    else:
        losses = sorted(among)
    predictions = [_predicted(data, by_loss.get(loss, []), spread) for loss in losses]
    draws, chosen = _chosen(losses, predictions, number)
    near_best = draws >= draws.max(axis=1, keepdims=True) - 1.0
    found = [
        _loss_advice(loss, predictions[place], float(near_best[:, place].mean()), by_loss.get(loss, []), like)
        for place, loss in enumerate(losses)
    ]
    return Advice(
        num_studies=len(studies),
        num_like=len(like),
        names_like=tuple(sorted({studies[study].name for study in like})),
        chosen=tuple(losses[place] for place in chosen),
        losses=tuple(sorted(found, key=lambda one: (-one.best, -one.gain, one.loss))),
    )


def _fits(loss: str, data: Data) -> bool:
    spec = registry().get(loss)
    return spec is None or spec.family != "class prior" or data.imbalance >= UNEQUAL


def study_of(verdict: PastVerdict) -> tuple[str, str]:
    """Return what identifies the study of a verdict."""
    return verdict.source, verdict.protocol


def _effects(verdicts: Sequence[PastVerdict]) -> Effects:
    pairs = np.array([one.compressed for one in verdicts]).reshape(len(verdicts), 2)
    places = [one.data for one in verdicts]
    return Effects(pairs[:, 0], pairs[:, 1], similarities(places, places))


def _predicted(data: Data, verdicts: Sequence[PastVerdict], spread: Spread) -> Prediction:
    return predict(_effects(verdicts), similarities([data], [one.data for one in verdicts])[0], spread)


def _chosen(
    losses: Sequence[str], predictions: Sequence[Prediction], number: int
) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float64]], list[int]]:
    """Return draws in units of the ROPE, (draws, losses and cross-entropy), and the places of the chosen losses.

    Every study trains cross-entropy. So a loss is chosen for the draws in which cross-entropy is not good enough.
    """
    noise = np.random.default_rng(SEED).standard_normal((NUM_DRAWS, len(losses)))
    means, sds = (np.array([getattr(one, key) for one in predictions]) for key in ("mean", "sd"))
    draws = np.column_stack([np.sinh(means + sds * noise), np.zeros(NUM_DRAWS)])  # cross-entropy differs by nothing
    return draws, cover_best(draws, range(len(losses)), number, margin=1.0, given=[len(losses)])


def _loss_advice(
    loss: str, predicted: Prediction, best: float, verdicts: Sequence[PastVerdict], like: Collection[tuple[str, str]]
) -> LossAdvice:
    reach = normal_quantile(0.975) * predicted.sd
    above = (predicted.mean - math.asinh(1.0)) / predicted.sd
    return LossAdvice(
        loss=loss,
        decisions=dict(Counter(one.decision for one in verdicts if study_of(one) in like and one.decision is not None)),
        gain=math.sinh(predicted.mean),
        low=math.sinh(predicted.mean - reach),
        high=math.sinh(predicted.mean + reach),
        better=0.5 * math.erfc(-above / math.sqrt(2.0)),
        best=best,
    )
