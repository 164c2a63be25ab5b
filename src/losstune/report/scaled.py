"""NLL, Brier score and ECE after temperature scaling, as a model is deployed, for the table of all losses.

A loss's own map from outputs to probabilities may be uncalibrated by design, and one temperature mends most of it.
"""

from __future__ import annotations

from losstune.core.metric import METRICS
from losstune.verdict import wording
from losstune.verdict.results import LossResult, Results

SCALED = ("nll", "brier", "ece")
"""The metrics that temperature scaling changes."""

PREFIX = "scaled_"
"""Begins the name of a scaled value: ``scaled_nll``."""


def is_known(results: Results) -> bool:
    """Return whether the scaled values of all losses are known. A training loop may return no outputs to scale."""
    trained = [loss for loss in results.losses if loss.scores and loss.num_failed_blocks < len(loss.blocks)]
    return bool(trained) and all("scaled" in loss.calibration for loss in trained)


def scaled_scores(loss: LossResult) -> dict[str, float]:
    """Return the means over the blocks by name; a diverged or failed block counts with the worst value."""
    num_blocks, num_failed = len(loss.blocks), loss.num_failed_blocks
    fit = loss.calibration.get("scaled")
    if not num_blocks or (fit is None and num_failed < num_blocks):
        return {}
    found = {}
    for name in SCALED:
        trained = 0.0 if fit is None else getattr(fit, name) * (num_blocks - num_failed)
        failed = METRICS[name].worst * num_failed if num_failed else 0.0  # infinity times 0 is NaN
        found[PREFIX + name] = (trained + failed) / num_blocks
    return found


def columns(results: Results) -> dict[str, str]:
    """Return the metrics of the table besides the study's, each with its heading.

    NLL, Brier score and ECE are scaled. One that the study names stands there as it is defined, too, by the loss's own
    map. If the scaled values are not known, all are by the loss's own map.
    """
    if not is_known(results):
        return {name: wording.metric_name(name) for name in results.other_metrics}
    named = {metric.name for metric in results.secondary_metrics}
    unscaled = [name for name in results.other_metrics if name in named or name not in SCALED]
    return {name: wording.metric_name(name) for name in unscaled} | {
        PREFIX + name: f"{wording.metric_name(name)}, scaled" for name in SCALED
    }


def values(loss: LossResult, results: Results) -> dict[str, tuple[str, float]]:
    """Return a loss's metrics besides the study's by name, scaled ones included: the text and the number."""
    plain = {name: (results.score(name, score.mean), score.mean) for name, score in loss.scores.items()}
    scaled = scaled_scores(loss) if is_known(results) else {}
    plain.pop(results.metric, None)
    return plain | {name: (wording.score(name.removeprefix(PREFIX), value), value) for name, value in scaled.items()}
