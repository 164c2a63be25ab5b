"""The report as one self-contained HTML file, for light and dark mode and for print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from losstune.config.schema import Params
from losstune.report import page_rows, scaled
from losstune.report.diagnostics import Diagnostics
from losstune.report.downloads import data_uri
from losstune.report.learning_rate_sensitivity import tolerance_of
from losstune.report.parts.page import inline, render
from losstune.report.pool_rows import MOST_CONFIGURATIONS, outlook_rows, pool_rows
from losstune.report.reliability import FEWEST
from losstune.report.spending import next_line, spent_line
from losstune.report.weights import SURE, norm_note
from losstune.verdict import wording
from losstune.verdict.results import Results

_HIDDEN = {"balanced_accuracy"}
"""Without it, all standard metrics fit the page. It is shown where the study names it."""

LABELS = {
    "differences.svg": "Paired differences against the baseline, with intervals",
    "learning_rate.svg": "Validation score against learning rate, one panel per loss",
    "best_of.svg": "Expected best validation score against the number of trials, one panel per loss",
    "learning_curves.svg": "Validation score by epoch, one panel per loss",
    "pool.svg": "Weights of the retrained configurations, a bar for each of two losses",
    "reliability.svg": "Accuracy against mean confidence, one panel per loss",
    "weights.svg": "Size of the gradient against the probability of the true class",
}
"""Text alternative of each figure, for screen readers."""


def render_page(
    results: Results,
    params: Params,
    diagnostics: Diagnostics,
    figures: Mapping[str, str],
    csv_files: Mapping[str, str],
    *,
    commit: str | None,
    versions: Mapping[str, str],
    narrowed: Sequence[str] = (),
) -> str:
    """Return the page as HTML text.

    Args:
        results: Results of the study.
        params: The study's settings, for the section on the protocol.
        diagnostics: Numbers that are not in the results.
        figures: SVG text by file name, see :func:`losstune.report.figures.draw`.
        csv_files: CSV text by file name, see :func:`losstune.report.downloads.csv_files`.
        commit: Commit that trained the models, or None outside Git.
        versions: Version by package or device, in display order.
        narrowed: The ranges that past winners narrowed, a line for each loss.
    """
    hidden = _HIDDEN - {metric.name for metric in results.secondary_metrics}
    other_metrics = {name: title for name, title in scaled.columns(results).items() if name not in hidden}
    names, focus = results.data.class_names, results.losses_in_focus()
    weights = [curve for curve in diagnostics.weights if curve.loss in focus]
    by_loss = {cost.loss: cost for cost in diagnostics.costs}
    return render(
        "page.html.j2",
        "losstune.report",
        results=results,
        params=params,
        rows=[page_rows.loss_row(loss, results) for loss in results.ranked()],
        units=results.units,
        other_metrics=other_metrics,
        scaled=scaled.is_known(results),
        own_map=wording.enumeration(_by_own_map(results, other_metrics)),
        figures={name.removesuffix(".svg"): inline(svg, LABELS[name]) for name, svg in figures.items()},
        downloads={name: data_uri(text) for name, text in csv_files.items()},
        sensitivity=sorted(
            ((loss, found.share) for loss, found in diagnostics.sensitivity.items()), key=lambda pair: -pair[1]
        ),
        tolerance=tolerance_of(results),
        fewest=FEWEST,
        most_configurations=MOST_CONFIGURATIONS,
        costs=[by_loss[loss.loss] for loss in results.ranked()],
        failures=diagnostics.failures,
        spending=diagnostics.spending,
        **(_of_pools(results, diagnostics) if results.is_pooled else {}),
        on_gpu="cuda" in diagnostics.devices,
        subject=results.subject(),
        weights=weights,
        by_own_map=wording.enumeration(list(dict.fromkeys(curve.loss for curve in weights if curve.by_own_map))),
        norm_note=norm_note(weights),
        sure=SURE,
        exchange=diagnostics.exchange,
        thumbs=page_rows.thumbnail_rows(diagnostics, names),
        changes=page_rows.change_rows(diagnostics.confusion, names),
        confusions=[page_rows.confusion_rows(loss, diagnostics.blocks.get(loss, ()), names) for loss in focus]
        if results.has_predictions
        else [],
        num_candidates=sum(loss.part == "candidate" and loss.difference is not None for loss in results.losses),
        commit=commit,
        versions=versions,
        narrowed=narrowed,
    )


def _of_pools(results: Results, diagnostics: Diagnostics) -> dict[str, Any]:
    assert results.rounds is not None, "pooled"
    spending = diagnostics.spending
    return {
        "pool_rows": pool_rows(results),
        "outlook_rows": outlook_rows(results, spending),
        "spent": spent_line(results, spending),
        "next": next_line(results, spending),
        "yardsticks": wording.enumeration(results.rounds.yardsticks),
    }


def _by_own_map(results: Results, other_metrics: Mapping[str, str]) -> list[str]:
    """Return the names of the table's metrics of probabilities, to be minimised, that use the loss's own map."""
    by_own_map = {name: title for name, title in other_metrics.items() if name in results.other_metrics}
    minimised = [title for name, title in by_own_map.items() if results.is_minimised(name)]
    return [results.units.label, *minimised] if results.metric in scaled.SCALED else minimised
