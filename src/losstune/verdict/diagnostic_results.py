"""Calibration and variances, as in ``results.json``."""

from __future__ import annotations

from losstune.core.records import Row


class CalibrationResult(Row):
    """Calibration of one type of a loss's probabilities; means over the finished blocks.

    Attributes:
        nll: Negative log-likelihood, in nats.
        brier: Brier score, 0 to 2.
        ece: Expected calibration error, 0 to 1.
        debiased_ece: The same without the bias that chance adds, see :func:`losstune.statistics.debiased_ece`; not
            below 0.
        bins: The reliability diagram over all blocks: count, hits and sum of confidences by bin.
    """

    nll: float
    brier: float
    ece: float
    debiased_ece: float
    bins: tuple[tuple[int, int, float], ...]


class Variances(Row):
    """Variance of validation scores by source, see :class:`losstune.statistics.Components`."""

    loss: float
    search: float
    hyperparameters: float
    seed_shared: float
    seed_own: float
