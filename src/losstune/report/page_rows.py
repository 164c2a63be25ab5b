"""The page's tables as texts, with the values for sorting columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from losstune.core.records import Record
from losstune.report import scaled
from losstune.report.confusion import Counts
from losstune.report.diagnostics import MOST_EXAMPLES, Diagnostics
from losstune.report.reliability import WAYS
from losstune.report.tables import confusion_counts
from losstune.verdict import wording
from losstune.verdict.diagnostic_results import CalibrationResult
from losstune.verdict.numbers import Score
from losstune.verdict.results import LossResult, Results, SearchResult

MAX_CONFUSION_CLASSES = 20
"""With more classes, only the largest entries of a confusion matrix are shown."""
_NUM_CONFUSIONS = 12


def loss_row(loss: LossResult, results: Results) -> dict[str, Any]:
    """Return the texts of a loss's rows."""
    score, difference, units = loss.scores.get(results.metric), loss.difference, results.units
    p_holm = difference.p_holm if difference else None
    return {
        "loss": loss.loss,
        "result": loss,
        "decision": loss.standing,
        "score": units.score(score.mean) if score else "",
        "score_interval": ""
        if score is None or score.low is None or score.high is None
        else f"{units.score(score.low)} to {units.score(score.high)}".replace("%", ""),
        "score_value": score.mean if score else "",
        "difference": units.difference(difference.mean) if difference else "",
        "difference_interval": units.interval(difference.low, difference.high) if difference else "",
        "difference_value": difference.mean if difference else "",
        "p_holm": wording.p_value(p_holm) if p_holm is not None else "",
        "p_value": p_holm if p_holm is not None else "",
        "p_better": f"{100 * difference.probability_better:.0f}%" if difference else "",
        "p_better_value": difference.probability_better if difference else "",
        "metrics": scaled.values(loss, results),
        "groups": [_group_cell(loss.group_recalls.get(group)) for group in results.data.class_groups]
        if loss.group_recalls
        else [],
        "searches": [_search_row(search, units) for search in loss.searches],
        "default_validation": units.score(loss.default_validation) if loss.default_validation is not None else "",
        "optimism": units.difference(loss.optimism.mean) if loss.optimism else "",
        "overtakes": ", ".join(
            f"{'ahead' if ahead else 'behind'} from {wording.count(budget, 'trial')} on"
            for budget, ahead in loss.overtakes
        ),
        "calibration": [_calibration(loss.calibration.get(way)) for way in WAYS] if loss.calibration else [],
        "temperature": wording.number(loss.temperature) if loss.temperature is not None else "",
    }


def _group_cell(recall: Score | None) -> tuple[str, str, float | str]:
    """Return the recall, its interval and the value; empty for a group without test samples."""
    if recall is None:
        return "–", "", ""
    bounds = (recall.low, recall.high)
    interval = " to ".join(f"{100 * bound:.2f}" for bound in bounds if bound is not None)
    return f"{100 * recall.mean:.2f}%", interval, recall.mean


def _calibration(fit: CalibrationResult | None) -> tuple[str, str, str]:
    if fit is None:
        return "", "", ""
    return wording.score("nll", fit.nll), wording.score("ece", fit.ece), wording.score("ece", fit.debiased_ece)


def _search_row(search: SearchResult, units: wording.Units) -> dict[str, Any]:
    return {
        "result": search,
        "hyperparameters": ", ".join(
            f"{name} {wording.number(value)}" for name, value in search.winner.further.items()
        ),
        "validation": units.score(search.validation),
        "fresh": units.score(search.fresh),
        "test": units.score(search.test),
    }


def confusion_rows(loss: str, blocks: Iterable[Record], class_names: Sequence[str]) -> dict[str, Any]:
    """Return a loss's confusion matrix, summed over its blocks, with shares of the largest error for shading."""
    counts = confusion_counts(blocks, len(class_names))
    errors = Counter(
        {
            (class_names[label], class_names[predicted]): count
            for label, row in enumerate(counts)
            for predicted, count in enumerate(row)
            if label != predicted and count
        }
    )
    most = max(errors.values(), default=1)
    return {
        "loss": loss,
        "whole": len(class_names) <= MAX_CONFUSION_CLASSES,
        "num_samples": sum(map(sum, counts)),
        "num_errors": sum(errors.values()),
        "rows": [
            (
                class_names[label],
                [
                    (count, "hit" if label == predicted else "miss", 0 if label == predicted else count / most)
                    for predicted, count in enumerate(row)
                ],
                f"{100 * row[label] / sum(row):.1f}" if sum(row) else "-",
            )
            for label, row in enumerate(counts)
        ],
        "largest": sorted(errors.items(), key=lambda item: (-item[1], item[0]))[:_NUM_CONFUSIONS],
    }


def change_rows(difference_CC: Counts, class_names: Sequence[str]) -> dict[str, Any]:
    """Return a difference of confusion matrices, with signs and with shares of the largest change for shading."""
    most = max(int(np.abs(difference_CC).max(initial=0)), 1)
    changes = [
        (class_names[label], class_names[predicted], int(count))
        for (label, predicted), count in np.ndenumerate(difference_CC)
        if count
    ]
    changes.sort(key=lambda change: (-abs(change[2]), change[:2]))
    return {
        "whole": len(class_names) <= MAX_CONFUSION_CLASSES,
        "num_changes": len(changes),
        "rows": [
            (class_names[label], [_change(int(count), most) for count in row])
            for label, row in enumerate(difference_CC)
        ],
        "largest": [(label, predicted, _signed(count)) for label, predicted, count in changes[:_NUM_CONFUSIONS]],
    }


def thumbnail_rows(diagnostics: Diagnostics, class_names: Sequence[str]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the examples to show, gained and then lost, each list with its title; none without images."""
    exchange, images = diagnostics.exchange, diagnostics.images
    if exchange is None or not images:
        return []
    ours, theirs = exchange.loss, exchange.baseline
    gained, lost = (
        [
            {
                "index": example.index,
                "image": images[example.index],
                "label": class_names[example.label],
                "wrong": theirs if is_gained else ours,
                "said": class_names[example.baseline_said if is_gained else example.said],
                "num_blocks": example.num_gained if is_gained else example.num_lost,
                "num_reverse": example.num_lost if is_gained else example.num_gained,
            }
            for example in examples
        ]
        for is_gained, examples in ((True, exchange.gained(MOST_EXAMPLES)), (False, exchange.lost(MOST_EXAMPLES)))
    )
    return [
        (f"Gained: {ours} predicts the true class, {theirs} does not", gained),
        (f"Lost: {theirs} predicts the true class, {ours} does not", lost),
    ]


def _change(count: int, most: int) -> tuple[str, str, float]:
    kind = "more" if count > 0 else "fewer" if count < 0 else "zero"
    return _signed(count) if count else "", kind, 0.1 + 0.6 * abs(count) / most


def _signed(count: int) -> str:
    return f"{count:+,}".replace("-", "−")
