"""The section ``tune`` of ``params.yaml``: the search, and the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from losstune.config.metrics import KEY, SECONDARY_KEY, MetricChoice, MetricSettings, Named, measure_of
from losstune.config.settings import Int, Section
from losstune.core.local_code import EXPECTED
from losstune.core.metric import STANDARD, Metric


class AshaSettings(Section):
    """Early stopping by ASHA within one search."""

    grace_epochs: Annotated[Int, Field(ge=1)] = 3
    reduction_factor: Annotated[Int, Field(ge=2, le=16)] = 3


class TuneSettings(Section):
    """The budget, sampler, scheduler and metrics of the search."""

    num_searches: Annotated[Int, Field(ge=2, le=1000)] = 2
    trials_per_loss: Annotated[Int, Field(ge=1, le=100_000)] = 12
    sampler: Literal["sobol", "random", "tpe"] = "sobol"
    scheduler: Literal["fifo", "asha"] = "fifo"
    asha: AshaSettings = Field(default_factory=AshaSettings)
    prior: Literal["none", "advice"] = "none"
    metric: MetricChoice = "accuracy"
    secondary_metrics: Annotated[
        tuple[MetricChoice, ...], Field(strict=False, description="a list of metrics, as for tune.metric, or []")
    ] = ()

    @property
    def measure(self) -> Metric:
        """The metric that selects on validation and that the verdict is about."""
        return measure_of(self.metric)

    @property
    def secondary(self) -> tuple[Metric, ...]:
        """The metrics that are reported beside it."""
        return tuple(measure_of(metric) for metric in self.secondary_metrics)

    @property
    def metrics(self) -> Mapping[str, Named]:
        """Every metric that the study names, by the key that names it, for messages."""
        secondary = {f"{SECONDARY_KEY}.{measure_of(metric).name}": metric for metric in self.secondary_metrics}
        return {KEY: self.metric, **secondary}

    @property
    def own_metrics(self) -> dict[str, MetricSettings]:
        """The user's own metrics among them."""
        return {key: metric for key, metric in self.metrics.items() if isinstance(metric, MetricSettings)}

    @property
    def further_metrics(self) -> tuple[Named, ...]:
        """The metrics that a training computes because this study names them."""
        return tuple(metric for metric in self.metrics.values() if metric not in STANDARD)

    @property
    def early_stopping(self) -> str | None:
        """The rule that stops trials early. It is part of a trial's identity, because another rule stops others."""
        if self.scheduler != "asha":
            return None
        return f"asha by {self.measure.name}, grace {self.asha.grace_epochs}, factor {self.asha.reduction_factor}"

    def with_secondary(self, names: Iterable[str]) -> TuneSettings:
        """Return these settings with further secondary metrics, unless they are named already."""
        named = {self.measure.name, *(metric.name for metric in self.secondary)}
        more = tuple(name for name in names if name not in named)
        return self.model_copy(update={"secondary_metrics": (*self.secondary_metrics, *more)})

    @model_validator(mode="after")
    def _names_each_metric_once(self) -> TuneSettings:
        names = Counter([self.measure.name, *(metric.name for metric in self.secondary)])
        for number, metric in enumerate(self.secondary_metrics):
            name = measure_of(metric).name
            if names[name] > 1:
                where = "is tune.metric already" if name == self.measure.name else "is named twice"
                raise ValueError(f"secondary_metrics[{number}]: {name} {where}; remove one")
            if isinstance(metric, MetricSettings) and not metric.is_function:
                raise ValueError(f"secondary_metrics[{number}]: found {metric.name!r}, expected {EXPECTED}")
        return self
