"""The calibration of one kind of probabilities."""

from __future__ import annotations

from torch import Tensor

from losstune.core.records import Calibration
from losstune.training import metrics


def calibration(probabilities_NC: Tensor, target_N: Tensor) -> Calibration:
    """Return the calibration of class probabilities (N, C) for classes (N,)."""
    scores = metrics.evaluate(probabilities_NC, target_N)
    bins = metrics.reliability(probabilities_NC, target_N)
    return Calibration(nll=scores["nll"], brier=scores["brier"], bins=bins)
