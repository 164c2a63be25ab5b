"""Diagnostics from the records: optimism of the search, components of variance, calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean

import numpy as np

from losstune import statistics
from losstune.core.records import Record
from losstune.verdict.diagnostic_results import CalibrationResult, Variances
from losstune.verdict.numbers import Score


def optimism_of(
    winners: Sequence[Record], blocks: Sequence[Record], metric: str, *, confidence: float, rng: np.random.Generator
) -> Score:
    """Return the winners' validation scores in their searches minus those on fresh seeds, averaged over the blocks.

    Both scores are on the same split with the same configuration, so the difference is the selection bias of the
    search. The interval is that of the mean over fresh seeds.
    """
    chosen = {winner.search: winner.validation[metric] for winner in winners}
    excess = [chosen[block.search] - block.validation[metric] for block in blocks]
    estimate = statistics.mean_with_interval(excess, confidence=confidence, rng=rng)
    return Score(mean=estimate.value, low=estimate.low, high=estimate.high)


def variances_of(
    trials: Mapping[str, Sequence[Record]], blocks: Mapping[str, Sequence[Record]], metric: str, num_searches: int
) -> Variances | None:
    """Split the variance of the validation scores of finished trainings by source.

    Losses with a diverged or failed block are left out, and so are blocks that not all losses have. None if fewer than
    two losses, or fewer than two blocks of a search, remain.
    """
    whole = {
        loss: records for loss, records in blocks.items() if all(record.status == "finished" for record in records)
    }
    by_search = min((len(records) for records in whole.values()), default=0) // num_searches
    if len(whole) < 2 or by_search < 2:
        return None
    components = statistics.components_of_variance(
        [
            [
                [record.validation[metric] for record in records[search::num_searches][:by_search]]
                for search in range(num_searches)
            ]
            for records in whole.values()
        ],
        _scores_by_search(trials, metric),
    )
    return Variances(**asdict(components))


def _scores_by_search(trials: Mapping[str, Sequence[Record]], metric: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for loss, records in trials.items():
        for record in records:
            if record.status == "finished":
                found.setdefault(f"{loss} {record.search}", []).append(record.validation[metric])
    return found


def calibration_of(blocks: Sequence[Record]) -> tuple[dict[str, CalibrationResult], float | None]:
    """Return a loss's calibration by type of probabilities, and the mean temperature."""
    rows = [record for record in blocks if record.calibration]
    if not rows:
        return {}, None
    found = {}
    for way in ("softmax", "link", "scaled"):
        values = [record.calibration[way] for record in rows if record.calibration and way in record.calibration]
        if len(values) < len(rows):  # a training loop of the user's own may return probabilities alone
            continue
        found[way] = CalibrationResult(
            nll=fmean([value.nll for value in values]),
            brier=fmean([value.brier for value in values]),
            ece=fmean([statistics.ece(value.bins) for value in values]),
            debiased_ece=max(0.0, fmean([statistics.debiased_ece(value.bins) for value in values])),
            bins=tuple(
                (sum(b[0] for b in column), sum(b[1] for b in column), math.fsum(b[2] for b in column))
                for column in zip(*(value.bins for value in values), strict=True)
            ),
        )
    temperatures = [record.temperature for record in rows if record.temperature is not None]
    return found, fmean(temperatures) if temperatures else None
