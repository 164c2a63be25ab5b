"""From a study's results to lines of the database."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from losstune.advice.facts import data_of
from losstune.advice.records import Data, PastVerdict, Winner
from losstune.core.errors import LosstuneError
from losstune.core.metric import METRICS
from losstune.data.manifest import Manifest
from losstune.losses.registry import registry
from losstune.statistics import normal_quantile
from losstune.verdict.numbers import Difference
from losstune.verdict.results import LossResult, Results

BASELINE = "cross_entropy"
"""The loss that all verdicts of the database compare with."""


class IncomparableError(LosstuneError):
    """A study says nothing that could be compared with others."""


def verdicts_of(
    results: Results, manifest: Manifest, terms: Mapping[str, Any], name: str, commit: str | None
) -> Iterator[PastVerdict]:
    """Yield what a study says about each loss of the catalogue. Losses of the user's own mean nothing elsewhere.

    Args:
        results: The study's ``results.json``.
        manifest: Manifest of its prepared data.
        terms: Terms of its registration.
        name: Name of the data, for people.
        commit: Commit of the results; None outside of Git.

    Raises:
        IncomparableError: If the study has another baseline, a metric of the user's own, or no samples.
    """
    if results.baseline != BASELINE:
        raise IncomparableError(
            f"results.json: baseline: found {results.baseline!r}, expected {BASELINE}: the database compares with it"
        )
    if results.metric not in METRICS:
        raise IncomparableError(
            f"results.json: metric: found {results.metric!r}, expected one of losstune's: yours means nothing elsewhere"
        )
    if not manifest.has_samples:
        raise IncomparableError(
            "results.json: only the training loop knows the samples, expected data that losstune reads"
        )
    is_frozen = terms.get("model.freeze") == "backbone" and terms.get("training.loop") is None
    data = data_of(manifest, name, has_features=is_frozen)
    for result in results.losses:
        if result.loss in registry():
            yield _verdict(results, result, data, str(terms["training.optimizer"]), commit)


def _verdict(results: Results, result: LossResult, data: Data, optimizer: str, commit: str | None) -> PastVerdict:
    difference, won = result.difference, result.winner
    return PastVerdict(
        source=results.study,
        commit=commit,
        protocol=results.protocol,
        data=data,
        model=results.model,
        optimizer=optimizer,
        loss=result.loss,
        part=result.part,
        metric=results.metric,
        minimize=results.minimize,
        rope=results.rope,
        difference=_finite(difference.mean) if difference else None,
        low=_finite(difference.low) if difference else None,
        high=_finite(difference.high) if difference else None,
        error=_error(difference, results.alpha) if difference else None,
        decision=result.decision,
        winner=Winner(
            hyperparameters=won.hyperparameters, learning_rate=won.learning_rate, weight_decay=won.weight_decay
        )
        if won
        else None,
    )


def _error(difference: Difference, alpha: float) -> float | None:
    """Return the standard error; from the interval, where the study does not know its parts."""
    if difference.search_error is not None and difference.seed_error is not None:
        error = math.hypot(difference.search_error, difference.seed_error)
    else:
        error = (difference.high - difference.low) / (2.0 * normal_quantile(1.0 - alpha / 2.0))
    return error if math.isfinite(error) and error > 0 else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
