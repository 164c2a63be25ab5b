"""Numbers of the page that are not in ``results.json``, computed once for figures, tables, downloads and page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from losstune.core.records import Execution, Record
from losstune.data.encoded import Images
from losstune.report.confusion import Counts, confusion_difference
from losstune.report.cost import Cost, costs_of
from losstune.report.examples import Exchange, Labels, exchange_of
from losstune.report.learning_rate_sensitivity import LearningRateSensitivity, sensitivity_of
from losstune.report.spending import Spending, spending_of
from losstune.report.tables import winner_curves
from losstune.report.thumbnails import thumbnails
from losstune.report.weights import Weights, weights_of
from losstune.verdict.blocks import blocks_by_loss
from losstune.verdict.failures import Failures, failures_of, with_worst
from losstune.verdict.results import Results

MOST_EXAMPLES = 12
"""Maximum number of gained and of lost test examples on the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostics:
    """Numbers of the page that are not in the results.

    Attributes:
        trials: The records of the search.
        blocks: Blocks by loss, in order.
        curves: Mean validation score by epoch, see :func:`losstune.report.tables.winner_curves`.
        costs: Training cost of every loss.
        failures: Diverged and failed trainings by cause.
        sensitivity: Learning-rate sensitivity by loss.
        weights: Gradient sizes of the losses.
        exchange: Test examples gained and lost by the loss of the verdict; None if this is the baseline, or the blocks
            have no predictions.
        images: PNG data URIs of the examples, by index in the test split; empty for rows of features.
        confusion: Confusion matrix of this loss minus the baseline's.
        devices: Kinds of device of the trainings, such as ``cpu``.
        spending: The time of all trainings; None if it is not known.
    """

    trials: Sequence[Record]
    blocks: Mapping[str, Sequence[Record]]
    curves: Mapping[str, Sequence[float]]
    costs: Sequence[Cost]
    failures: Sequence[Failures]
    sensitivity: Mapping[str, LearningRateSensitivity]
    weights: Sequence[Weights]
    exchange: Exchange | None
    images: Mapping[int, str]
    confusion: Counts
    devices: tuple[str, ...]
    spending: Spending | None = None

    def durations_sec(self) -> dict[str, float]:
        """Return the mean seconds of a training by loss, where known."""
        return {cost.loss: cost.mean_sec for cost in self.costs if cost.mean_sec is not None}


def gather(
    results: Results,
    tune_records: Sequence[Record],
    confirm_records: Sequence[Record],
    executions: Sequence[Execution],
    *,
    learning_rates: Mapping[str, tuple[float, float]],
    test_images: Images | None = None,
    test_labels: Labels | None = None,
) -> Diagnostics:
    """Compute the diagnostics.

    Args:
        results: The numbers.
        tune_records: Records of the search.
        confirm_records: Records of the confirmation, including controls.
        executions: Executions of both.
        learning_rates: Lowest and highest searched learning rate by loss.
        test_images: (N, C, H, W), or rows of features (N, D), of which no thumbnails are made.
        test_labels: True classes (N,); without them no examples are shown.

    Raises:
        LosstuneError: If the predictions do not belong to these test samples.
    """
    tune_records = with_worst(tune_records, results.metric, results.worst)
    blocks = blocks_by_loss(confirm_records)
    subject, baseline = results.subject(), results.baseline
    exchange = None if test_labels is None else exchange_of(subject, baseline, blocks, test_labels)
    images: dict[int, str] = {}
    if exchange and test_images is not None and test_images.ndim == 4:
        shown = [*exchange.gained(MOST_EXAMPLES), *exchange.lost(MOST_EXAMPLES)]
        images = thumbnails(test_images, [example.index for example in shown])
    return Diagnostics(
        trials=tune_records,
        blocks=blocks,
        curves=winner_curves(results, confirm_records),
        costs=costs_of(results, tune_records, confirm_records, executions),
        failures=failures_of(tune_records, confirm_records),
        sensitivity=sensitivity_of(results, tune_records, learning_rates),
        weights=weights_of(results, blocks),
        exchange=exchange,
        images=images,
        confusion=confusion_difference(subject, baseline, blocks, len(results.data.class_names)),
        devices=tuple(sorted({execution.device for execution in executions})),
        spending=spending_of(executions),
    )
