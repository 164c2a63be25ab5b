"""What else the records tell: the optimiser's curse, the sources of variance, the calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from losstune import statistics
from losstune.records import Record
from losstune.report.results import CalibrationResult, Score, Variances


def optimism_of(
    winner: Record, blocks: Sequence[Record], metric: str, *, confidence: float, rng: np.random.Generator
) -> Score:
    """Return the winner's validation score in the search minus its mean validation score on fresh seeds.

    Both are on the same split with the same configuration, so what is left is the luck of having been chosen. The
    interval is that of the fresh seeds' mean.
    """
    fresh = [block.validation[metric] for block in blocks]
    estimate = statistics.mean_with_interval(fresh, confidence=confidence, rng=rng)
    score = winner.validation[metric]
    return Score(mean=score - estimate.value, low=score - estimate.high, high=score - estimate.low)


def variances_of(
    trials: Mapping[str, Sequence[Record]], blocks: Mapping[str, Sequence[Record]], metric: str
) -> Variances | None:
    """Split the variance of validation scores by source, over what trained to the end.

    Losses that lost a block are left out, and so are blocks that not all losses have. None where fewer than two losses
    or blocks are left.
    """
    whole = {
        loss: records
        for loss, records in blocks.items()
        if all(record.status == "finished" for record in records)
    }
    num_blocks = min((len(records) for records in whole.values()), default=0)
    if len(whole) < 2 or num_blocks < 2:
        return None
    components = statistics.components_of_variance(
        [[record.validation[metric] for record in records[:num_blocks]] for records in whole.values()],
        {
            loss: [record.validation[metric] for record in records if record.status == "finished"]
            for loss, records in trials.items()
            if any(record.status == "finished" for record in records)
        },
    )
    return Variances(**asdict(components))


def calibration_of(blocks: Sequence[Record]) -> tuple[dict[str, CalibrationResult], float | None]:
    """Return a loss's calibration by way of making probabilities, and the mean temperature."""
    rows = [record for record in blocks if record.calibration]
    if not rows:
        return {}, None
    found = {}
    for way in ("softmax", "link", "scaled"):
        values = [(record.calibration or {})[way] for record in rows]
        found[way] = CalibrationResult(
            nll=_mean([value.nll for value in values]),
            brier=_mean([value.brier for value in values]),
            ece=_mean([statistics.ece(value.bins) for value in values]),
            debiased_ece=max(0.0, _mean([statistics.debiased_ece(value.bins) for value in values])),
            bins=tuple(
                (sum(b[0] for b in column), sum(b[1] for b in column), math.fsum(b[2] for b in column))
                for column in zip(*(value.bins for value in values), strict=True)
            ),
        )
    return found, _mean([record.temperature for record in rows if record.temperature is not None])


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
