"""Small tables next to the report, for ``dvc metrics`` and ``dvc plots``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from losstune.core.records import Record
from losstune.report.parts.text import csv_text
from losstune.verdict.results import Results


def metrics(results: Results) -> dict[str, Any]:
    """Return the content of ``metrics.json``: the verdict, and the mean and difference of every loss.

    Values have six decimals, or six digits if they are no fractions, so that a diff shows no rounding errors.
    """
    metric, losses = results.metric, results.losses

    def rounded(value: float) -> float:
        return round(value, 6) if results.percent else float(f"{value:.6g}")

    spent = {} if results.rounds is None else {"trainings": results.rounds.num_trainings}
    return {
        "verdict": results.verdict.action,
        "winner": results.verdict.loss or "none",
        "mean": {result.loss: rounded(result.scores[metric].mean) for result in losses if result.scores},
        "difference": {result.loss: rounded(result.difference.mean) for result in losses if result.difference},
        **spent,
    }


def winner_curves(results: Results, confirm_records: Iterable[Record]) -> dict[str, list[float]]:
    """Return by loss the validation metric after each epoch, averaged over the blocks that reached the epoch."""
    values: dict[str, defaultdict[int, list[float]]] = {loss.loss: defaultdict(list) for loss in results.losses}
    for record in confirm_records:
        if record.role != "block" or record.configuration.loss not in values:
            continue
        for epoch in record.curve:
            values[record.configuration.loss][epoch.epoch].append(epoch.validation[results.metric])
    return {
        loss: [fmean(scores) for _, scores in sorted(by_epoch.items())] for loss, by_epoch in values.items() if by_epoch
    }


def learning_curves_csv(results: Results, curves: Mapping[str, Sequence[float]]) -> str:
    """Return ``loss,epoch,value`` rows of :func:`winner_curves`."""
    return csv_text(
        ("loss", "epoch", "value"),
        ((loss, epoch, value) for loss, curve in curves.items() for epoch, value in enumerate(curve, 1)),
        _form(results),
    )


def best_of_csv(results: Results) -> str:
    """Return ``loss,trials,value`` rows: the expected best validation score of this number of trials."""
    return csv_text(
        ("loss", "trials", "value"),
        ((loss.loss, number, value) for loss in results.losses for number, value in enumerate(loss.best_of, start=1)),
        _form(results),
    )


def learning_rates_csv(results: Results, tune_records: Iterable[Record]) -> str:
    """Return ``loss,learning_rate,value`` rows, one per trial of the search, in ascending order of learning rate."""
    order = {result.loss: number for number, result in enumerate(results.losses)}
    trials = [record for record in tune_records if record.configuration.loss in order]
    trials.sort(key=lambda r: (order[r.configuration.loss], r.configuration.learning_rate, r.index))
    return csv_text(
        ("loss", "learning_rate", "value"),
        (
            (record.configuration.loss, f"{record.configuration.learning_rate:.6g}", record.validation[results.metric])
            for record in trials
        ),
        _form(results),
    )


def confusion_counts(blocks: Iterable[Record], num_classes: int) -> list[list[int]]:
    """Return the confusion matrix, ``counts[true][predicted]``, summed over a loss's blocks."""
    counts = [[0] * num_classes for _ in range(num_classes)]
    for record in blocks:
        for label, row in enumerate(record.confusion or ()):
            for predicted, count in enumerate(row):
                counts[label][predicted] += count
    return counts


def confusion_csv(results: Results, blocks: Mapping[str, Sequence[Record]]) -> str:
    """Return ``loss,actual,predicted,count`` rows for the baseline and the loss of the verdict, without zeros."""
    names = results.data.class_names
    return csv_text(
        ("loss", "actual", "predicted", "count"),
        (
            (loss, names[label], names[predicted], count)
            for loss in results.losses_in_focus()
            for label, row in enumerate(confusion_counts(blocks.get(loss, ()), len(names)))
            for predicted, count in enumerate(row)
            if count
        ),
    )


def _form(results: Results) -> str:
    return ".6f" if results.percent else ".6g"
