"""The report as one HTML file that needs nothing else: no network, light or dark, on paper too."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from losstune import __version__
from losstune.config import Params
from losstune.records import Record
from losstune.report import wording
from losstune.report.figures import themed
from losstune.report.results import METRICS, LossResult, Results
from losstune.report.tables import confusion_counts
from losstune.report.terminal import outcome_text

MAX_CONFUSION_CLASSES = 20
"""Up to this many classes the confusion matrix is shown whole; beyond, its largest entries."""
_NUM_CONFUSIONS = 12
# A column more would not fit the page: balanced accuracy is in results.json, and leads where it is chosen.
_SHOWN_METRICS = tuple(name for name in METRICS if name != "balanced_accuracy")


def render_page(
    results: Results,
    params: Params,
    confirm_records: Sequence[Record],
    figures: Mapping[str, str],
    *,
    durations_sec: Mapping[str, float],
    commit: str | None,
    versions: Mapping[str, str],
) -> str:
    """Return the page as HTML text.

    Args:
        results: The numbers.
        params: The study's settings, for the account of the protocol.
        confirm_records: For the confusion matrices.
        figures: SVG text by file name, see :func:`losstune.report.figures.draw`.
        durations_sec: Mean seconds of a training by loss.
        commit: That trained the models, or None outside Git.
        versions: Package or device to version, in the order in which they are to be shown.
    """
    environment = Environment(
        loader=PackageLoader("losstune.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"minus": _minus, "points": wording.points, "number": wording.number}
    environment.filters["further_blocks"] = wording.further_blocks
    page = environment.get_template("page.html.j2").render(
        results=results,
        params=params,
        rows=[_row(loss, results, durations_sec) for loss in results.ranked()],
        metric_name=wording.METRIC_NAMES[results.metric],
        other_metrics=[
            (name, wording.METRIC_NAMES[name]) for name in _SHOWN_METRICS if name != results.metric
        ],
        figures={name.removesuffix(".svg"): _inline(name, svg) for name, svg in figures.items()},
        confusions=[_confusion(loss, confirm_records, results) for loss in results.losses_in_focus()],
        num_candidates=sum(
            loss.part == "candidate" and loss.difference is not None for loss in results.losses
        ),
        durations_sec=durations_sec,
        commit=commit,
        versions=versions,
        version=__version__,
    )
    return page.rstrip() + "\n"


def _row(loss: LossResult, results: Results, durations_sec: Mapping[str, float]) -> dict[str, Any]:
    """Return the texts of a loss's rows, and the bare values by which a column is sorted."""
    score, difference = loss.scores.get(results.metric), loss.difference
    p_holm = difference.p_holm if difference else None
    lost = sum(loss.num_trials.get(status, 0) for status in ("diverged", "failed"))
    seconds = durations_sec.get(loss.loss)
    return {
        "loss": loss.loss,
        "result": loss,
        "outcome": outcome_text(loss),
        "score": wording.score(results.metric, score.mean) if score else "",
        "score_interval": ""
        if score is None or score.low is None or score.high is None
        else f"{100 * score.low:.2f} to {100 * score.high:.2f}",
        "score_value": score.mean if score else -1.0,
        "difference": wording.points(difference.mean) if difference else "",
        "difference_interval": wording.interval(difference.low, difference.high) if difference else "",
        "difference_value": difference.mean if difference else "",
        "p_holm": wording.p_value(p_holm) if p_holm is not None else "",
        "p_value": p_holm if p_holm is not None else "",
        "p_better": f"{100 * difference.probability_better:.0f}%" if difference else "",
        "p_better_value": difference.probability_better if difference else "",
        "metrics": {
            name: (wording.score(name, value.mean), value.mean) for name, value in loss.scores.items()
        },
        "seconds": wording.seconds(seconds) if seconds is not None else "",
        "seconds_value": seconds if seconds is not None else "",
        "lost": lost,
        "hyperparameters": ", ".join(
            f"{name} {wording.number(value)}" for name, value in loss.winner.hyperparameters.items()
        )
        if loss.winner
        else "",
        "winner_validation": wording.score(results.metric, loss.winner_validation)
        if loss.winner_validation is not None
        else "",
        "default_validation": wording.score(results.metric, loss.default_validation)
        if loss.default_validation is not None
        else "",
        "optimism": wording.points(loss.optimism.mean) if loss.optimism else "",
        "overtakes": ", ".join(
            f"{'ahead' if ahead else 'behind'} from {budget} on" for budget, ahead in loss.overtakes
        ),
        "calibration": [
            (
                wording.score("nll", fit.nll),
                wording.score("ece", fit.ece),
                wording.score("ece", fit.debiased_ece),
            )
            for fit in loss.calibration.values()
        ],
        "temperature": wording.number(loss.temperature) if loss.temperature is not None else "",
    }


def _confusion(loss: str, confirm_records: Iterable[Record], results: Results) -> dict[str, Any]:
    """Return a loss's confusion matrix, summed over its blocks, with shares by row for shading."""
    names = results.data.class_names
    counts = confusion_counts(loss, confirm_records, len(names))
    errors = Counter(
        {
            (names[label], names[predicted]): count
            for label, row in enumerate(counts)
            for predicted, count in enumerate(row)
            if label != predicted and count
        }
    )
    most = max(errors.values(), default=1)
    return {
        "loss": loss,
        "whole": len(names) <= MAX_CONFUSION_CLASSES,
        "num_samples": sum(map(sum, counts)),
        "num_errors": sum(errors.values()),
        "rows": [
            (
                names[label],
                [
                    (
                        count,
                        "hit" if label == predicted else "miss",
                        0 if label == predicted else count / most,
                    )
                    for predicted, count in enumerate(row)
                ],
                f"{100 * row[label] / max(sum(row), 1):.1f}",
            )
            for label, row in enumerate(counts)
        ],
        "largest": sorted(errors.items(), key=lambda item: (-item[1], item[0]))[:_NUM_CONFUSIONS],
    }


def _inline(name: str, svg: str) -> Markup:
    label = {
        "differences.svg": "Paired differences against the baseline, with intervals",
        "learning_rate.svg": "Validation score against learning rate, a panel for each loss",
        "best_of.svg": "Expected best validation score against the number of trials, a panel for each loss",
        "learning_curves.svg": "Validation score by epoch, a panel for each loss",
    }[name]
    # The figures are made by this package from numbers and from names that matplotlib has escaped.
    return Markup(themed(svg, label))


def _minus(text: Any) -> str:
    """Set a true minus sign where a hyphen stands for one."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", str(text))
