"""The metrics of a study: built-in ones by name, the expected cost with its costs, and the user's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from losstune.config.settings import Number, OwnSettings, Section, Text, section_of_reference
from losstune.core.local_code import EXPECTED
from losstune.core.metric import EXPECTED_COST, METRICS, Metric
from losstune.core.own_code import is_own, name_of

KEY, SECONDARY_KEY = "tune.metric", "tune.secondary_metrics"

Builtin = Literal[
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "top_5_accuracy",
    "nll",
    "brier",
    "auroc",
    "average_precision",
    "kappa",
    "quadratic_kappa",
    "mcc",
    "expected_accuracy",
    "soft_nll",
]
"""The metrics that a name alone defines. ECE is none of them: it measures calibration alone, and a model that predicts
the shares of the classes for every sample has an ECE near 0."""

NAMES: tuple[str, ...] = get_args(Builtin)


class MetricSettings(OwnSettings):
    """A user's own metric. Its name alone stands for the section without options.

    Attributes:
        name: A reference; or any name, for a training loop of the user's own that returns scores.
        minimize: Whether lower is better.
        percent: Whether it is a fraction, which is shown in per cent, with differences in percentage points.
    """

    name: Annotated[Text, Field(description=f"{EXPECTED}, or a name if training.loop returns its scores")]
    minimize: bool = False
    percent: bool = False

    @property
    def is_function(self) -> bool:
        """Whether losstune can compute it."""
        return is_own(self.name)

    @model_validator(mode="after")
    def _has_a_name_of_its_own(self) -> MetricSettings:
        name = name_of(self.name)
        if name not in METRICS:
            return self
        if self.is_function:
            raise ValueError(f"name: found {self.name!r}, but {name} is a metric of losstune; rename the function")
        if name in NAMES:
            raise ValueError(f"found a section, expected the name alone: {name}")
        raise ValueError(f"name: found {name!r}, which cannot select: it measures calibration alone")

    @property
    def measure(self) -> Metric:
        """The metric, named after the function."""
        return Metric.own(name_of(self.name), minimize=self.minimize, percent=self.percent)


Row = Annotated[tuple[Number, ...], Field(strict=False, description="a list of numbers")]


class CostSettings(Section):
    """The expected cost of decisions.

    Attributes:
        name: ``expected_cost``.
        costs: A row for each true class, in the order of the classes, with the cost of deciding each class.
    """

    name: Literal["expected_cost"]
    costs: Annotated[
        tuple[Row, ...], Field(strict=False, description="a list of rows, one for each true class: [[0, 1], [5, 0]]")
    ]

    @model_validator(mode="after")
    def _is_reasonable(self) -> CostSettings:
        size = len(self.costs)
        if size < 2:
            raise ValueError(f"costs: found {size} row{'s' * (size != 1)}, expected one for each class, at least 2")
        for label, row in enumerate(self.costs):
            if len(row) != size:
                raise ValueError(
                    f"costs[{label}]: found a row of length {len(row)}, expected {size}, the number of rows: rows are "
                    "true classes, columns are decided classes"
                )
            if (best := row.index(min(row))) != label and row[best] < row[label]:
                raise ValueError(
                    f"costs[{label}]: found {row[best]:g} for class {best}, less than {row[label]:g} for the true "
                    f"class {label}; expected the right decision to cost least (rows are true classes)"
                )
        return self

    @property
    def measure(self) -> Metric:
        """The metric, whose bounds are the lowest and the highest cost."""
        costs = [cost for row in self.costs for cost in row]
        return replace(METRICS[EXPECTED_COST], worst=max(costs), bounds=(min(costs), max(costs)))


def _kind(value: Any) -> str:
    if not isinstance(value, dict | Section):
        return "name"
    name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
    return "CostSettings" if name == EXPECTED_COST else "MetricSettings"


MetricChoice = Annotated[
    Annotated[Builtin, Tag("name")]
    | Annotated[CostSettings, Tag("CostSettings")]
    | Annotated[MetricSettings, Tag("MetricSettings")],
    Discriminator(_kind),
    BeforeValidator(section_of_reference),
    Field(description=f"one of {', '.join(NAMES)}, {{name: expected_cost, costs: ...}}, or {EXPECTED}"),
]
"""A metric as ``params.yaml`` names it."""

Named = str | CostSettings | MetricSettings
"""The same, validated."""


def measure_of(metric: Named) -> Metric:
    """Return what a metric is called, its direction and its bounds."""
    return METRICS[metric] if isinstance(metric, str) else metric.measure
