"""The metrics that a study can be judged by, and what to know of each to order and show its values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric of predicted probabilities against true classes.

    Attributes:
        name: Key in every record and table.
        label: Name for display.
        summary: One sentence for display.
        minimize: Whether smaller is better.
        percent: Whether values are fractions, shown in per cent, and differences in percentage points.
        worst: The score of a training that diverged or failed; infinite if the metric has no worst value.
        bounds: Smallest and largest possible value.
    """

    name: str
    label: str
    summary: str = ""
    minimize: bool = False
    percent: bool = False
    worst: float
    bounds: tuple[float, float] = (-math.inf, math.inf)

    @property
    def sign(self) -> int:
        """Factor that makes larger values better."""
        return -1 if self.minimize else 1

    @classmethod
    def own(cls, name: str, *, minimize: bool, percent: bool) -> Metric:
        """Return a user's own metric, of which no worst value is known."""
        worst = math.inf if minimize else -math.inf
        return cls(name=name, label=name, minimize=minimize, percent=percent, worst=worst)


def _fraction(name: str, label: str, summary: str) -> Metric:
    return Metric(name=name, label=label, summary=summary, percent=True, worst=0.0, bounds=(0.0, 1.0))


def _agreement(name: str, label: str, summary: str) -> Metric:
    return Metric(name=name, label=label, summary=summary, worst=-1.0, bounds=(-1.0, 1.0))


EXPECTED_COST = "expected_cost"

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            _fraction(
                name="accuracy",
                label="accuracy",
                summary="Fraction of samples whose most probable class is the true one.",
            ),
            _fraction(name="balanced_accuracy", label="balanced accuracy", summary="Mean recall over the classes."),
            _fraction(
                name="macro_f1",
                label="macro-F1",
                summary="Mean over the classes of the harmonic mean of precision and recall.",
            ),
            _fraction(
                name="top_5_accuracy",
                label="top-5 accuracy",
                summary="Fraction of samples whose true class is among the five most probable ones.",
            ),
            Metric(
                name="nll",
                label="NLL",
                summary="Mean negative log of the true class's probability, in nats.",
                minimize=True,
                worst=math.inf,
                bounds=(0.0, math.inf),
            ),
            Metric(
                name="brier",
                label="Brier",
                summary="Mean squared distance of the probabilities from the true one-hot vector, 0 to 2.",
                minimize=True,
                worst=2.0,
                bounds=(0.0, 2.0),
            ),
            Metric(
                name="ece",
                label="ECE",
                summary="Expected calibration error: mean gap between confidence and accuracy over 15 bins.",
                minimize=True,
                percent=True,
                worst=1.0,
                bounds=(0.0, 1.0),
            ),
            _fraction(
                name="auroc",
                label="AUROC",
                summary="Mean over the classes of the area under the ROC curve of the class against the others.",
            ),
            _fraction(
                name="average_precision",
                label="average precision",
                summary="Mean over the classes of the average precision of the class against the others.",
            ),
            _agreement(
                name="kappa",
                label="Cohen's kappa",
                summary="Agreement of predicted and true classes beyond chance, -1 to 1.",
            ),
            _agreement(
                name="quadratic_kappa",
                label="quadratic kappa",
                summary="Cohen's kappa with errors weighted by the squared distance of the class indices, -1 to 1.",
            ),
            _agreement(
                name="mcc",
                label="MCC",
                summary="Matthews' correlation coefficient of predicted and true classes, -1 to 1.",
            ),
            _fraction(
                name="expected_accuracy",
                label="expected accuracy",
                summary="Mean probability, in the soft label, of the class that is the most probable one.",
            ),
            Metric(
                name="soft_nll",
                label="soft NLL",
                summary="Mean cross-entropy of soft labels and probabilities, in nats.",
                minimize=True,
                worst=math.inf,
                bounds=(0.0, math.inf),
            ),
            Metric(
                name=EXPECTED_COST,
                label="expected cost",
                summary="Mean cost of the decisions with the least expected cost, in units of the costs.",
                minimize=True,
                worst=math.inf,
            ),
        )
    }
)
"""The built-in metrics by name, in display order."""

SOFT = ("expected_accuracy", "soft_nll")
"""Names of the metrics that every training on data with soft labels has."""

STANDARD = ("accuracy", "balanced_accuracy", "macro_f1", "nll", "brier", "ece")
"""Names of the metrics that every training has. Others are computed where a study names them."""


def worst_scores(further: Iterable[Metric] = ()) -> dict[str, float]:
    """Return each metric's worst score, which the record of a diverged or failed training contains.

    Args:
        further: The metrics that the study has besides the standard ones.
    """
    return {metric.name: metric.worst for metric in (*(METRICS[name] for name in STANDARD), *further)}
