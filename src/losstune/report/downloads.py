"""The numbers of every figure and table as CSV, for files next to the page and for download links in it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from losstune.core.metric import METRICS
from losstune.report import scaled, tables
from losstune.report.diagnostics import Diagnostics
from losstune.report.differences import difference_rows
from losstune.report.parts.text import csv_text
from losstune.report.reliability import reliability_rows
from losstune.verdict.results import LossResult, Results

_COST = ["loss", "num_trainings", "mean_sec", "sd_sec", "relative", "search_min", "confirm_min", "share_failed"]
_COST_NAMES = {"num_trainings": "trainings", "relative": "relative_to_baseline"}
_csv = partial(csv_text, form=".6g")


def csv_files(results: Results, diagnostics: Diagnostics) -> dict[str, str]:
    """Return CSV text by file name. Scores are in the metric's units, for a fraction 0 to 1. A missing value is empty.

    Equal results give equal bytes, except in ``cost.csv``.
    """
    names = results.data.class_names
    made = {
        "differences.csv": _csv(
            ("name", "kind", "mean", "low", "high"),
            (
                (row.name, row.kind, row.difference.mean, row.difference.low, row.difference.high)
                for row in difference_rows(results)
            ),
        ),
        "losses.csv": _csv(*_losses(results)),
        "sensitivity.csv": _csv(
            ("loss", "share_near_best", "decades_searched"),
            ((loss, fit.share, fit.num_decades) for loss, fit in diagnostics.sensitivity.items()),
        ),
        "learning_rates.csv": tables.learning_rates_csv(results, diagnostics.trials),
        "best_of.csv": tables.best_of_csv(results),
        "learning_curves.csv": tables.learning_curves_csv(results, diagnostics.curves),
        "calibration.csv": _csv(
            ("loss", "probabilities", "nll", "brier", "ece", "debiased_ece", "temperature"),
            (
                (loss.loss, way, fit.nll, fit.brier, fit.ece, fit.debiased_ece, loss.temperature)
                for loss in results.losses
                for way, fit in loss.calibration.items()
            ),
        ),
        "reliability.csv": _csv(
            ("loss", "probabilities", "bin_low", "bin_high", "predictions", "mean_confidence", "share_right"),
            reliability_rows(results),
        ),
        "cost.csv": _csv(
            [_COST_NAMES.get(name, name) for name in _COST],
            ([getattr(cost, name) for name in _COST] for cost in diagnostics.costs),
        ),
        "configurations.csv": _csv(*_configurations(results)),
        "weights.csv": _csv(
            ("loss", "hyperparameters", "output_norm", "p_true", "gradient_size", "share_of_largest"),
            (
                (curve.loss, curve.hyperparameters, curve.norm, p, size if curve.has_units else None, share)
                for curve in diagnostics.weights
                for p, size, share in zip(curve.probabilities, curve.sizes, curve.scaled(), strict=True)
            ),
        ),
        "confusion.csv": tables.confusion_csv(results, diagnostics.blocks),
        "confusion_difference.csv": _csv(
            ("loss", "baseline", "actual", "predicted", "difference"),
            (
                (results.subject(), results.baseline, names[label], names[predicted], int(count))
                for label, row in enumerate(diagnostics.confusion)
                for predicted, count in enumerate(row)
                if count
            ),
        ),
    }
    if diagnostics.exchange is not None:
        exchange = diagnostics.exchange
        made["examples.csv"] = _csv(
            ("test_sample", "actual", "blocks", "gained", "lost", f"{exchange.loss}_said", f"{exchange.baseline}_said"),
            (
                (
                    example.index,
                    names[example.label],
                    exchange.num_blocks,
                    example.num_gained,
                    example.num_lost,
                    names[example.said],
                    names[example.baseline_said],
                )
                for example in exchange.examples
            ),
        )
    return made


def data_uri(text: str) -> str:
    """Return a CSV file as a data URI for a download link."""
    return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(text.encode()).decode('ascii')}"


def _losses(results: Results) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
    metrics = _metrics(results)
    scores = [name for metric in metrics for name in (metric, f"{metric}_low", f"{metric}_high")]
    header = ("loss", "part", "decision", "difference", "low", "high", "p_holm", "p_better", *_needed(results))
    scaled_names = [scaled.PREFIX + name for name in scaled.SCALED] if scaled.is_known(results) else []
    return (*header, *scores, *scaled_names), (
        (*_loss(loss, metrics, _needed(results)), *map(scaled.scaled_scores(loss).get, scaled_names))
        for loss in results.ranked()
    )


def _metrics(results: Results) -> list[str]:
    """Return the metrics that a loss has, the user's own last."""
    names = dict.fromkeys((*METRICS, results.metric, *results.other_metrics))
    return [name for name in names if any(name in loss.scores for loss in results.losses)]


def _needed(results: Results) -> tuple[str, ...]:
    return ("reason", "trainings_needed") if results.is_pooled else ("blocks_needed",)


def _loss(loss: LossResult, metrics: Sequence[str], needed: Sequence[str]) -> Sequence[Any]:
    difference = loss.difference
    compared = (
        (difference.mean, difference.low, difference.high, difference.p_holm, difference.probability_better)
        if difference
        else (None,) * 5
    )
    scores = [loss.scores.get(metric) for metric in metrics]
    values = [value for s in scores for value in ((s.mean, s.low, s.high) if s else (None,) * 3)]
    return (loss.loss, loss.part, loss.decision, *compared, *(getattr(loss, name) for name in needed), *values)


def _configurations(results: Results) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
    pooled = ("weight", "blocks") if results.is_pooled else ()
    header = ("loss", "search", "trial", *pooled, "validation", "fresh", "test")
    return (*header, "learning_rate", "weight_decay", "hyperparameters"), (
        (
            loss.loss,
            number,
            search.index,
            *((search.weight, search.num_blocks) if pooled else ()),
            search.validation,
            search.fresh,
            search.test,
            search.winner.learning_rate,
            search.winner.weight_decay,
            " ".join(f"{name}={value:.6g}" for name, value in search.winner.further.items()),
        )
        for loss in results.losses
        for search, (number, _) in zip(loss.searches, loss.retrained, strict=True)
    )
