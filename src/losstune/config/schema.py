"""``params.yaml`` as frozen, typed objects. An unknown key or a value out of range is an error."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from losstune.config.settings import Fraction, Int, ModelSettings, Number, Section, Text, TrainingSettings
from losstune.core.errors import did_you_mean


class StudySettings(Section):
    """Name and root seed of the study."""

    name: Annotated[
        str,
        Field(
            max_length=100,
            pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$",
            description="at most 100 letters, digits, spaces and . _ -, the first a letter or digit",
        ),
    ]
    seed: Annotated[Int, Field(ge=0, le=2**53 - 1)]


class DataSettings(Section):
    """The data set and its splits."""

    name: Annotated[Text, Field(description="the name of a data set")]
    root: Annotated[Text, Field(description="a path")]
    download: bool
    image_size: Annotated[Int, Field(ge=4, le=1024)] | None
    validation_fraction: Annotated[Number, Field(gt=0.0, lt=1.0)]
    test_fraction: Annotated[Number, Field(gt=0.0, lt=1.0)]
    label_noise: Fraction


class RangeSettings(Section):
    """A search interval with a default."""

    low: Number
    high: Number
    scale: Literal["linear", "log"]
    default: Number

    @model_validator(mode="after")
    def _is_an_interval(self) -> RangeSettings:
        if not self.low < self.high:
            raise ValueError(f"low must be below high, found low {self.low:g} and high {self.high:g}")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"a log scale needs low above 0, found {self.low:g}")
        if not self.low <= self.default <= self.high:
            raise ValueError(f"default must lie in [{self.low:g}, {self.high:g}], found {self.default:g}")
        return self


class LossRangeSettings(Section):
    """A user's interval for a hyperparameter of a loss; it replaces the catalogue's."""

    low: Number
    high: Number

    @model_validator(mode="after")
    def _is_an_interval(self) -> LossRangeSettings:
        if not self.low < self.high:
            raise ValueError(f"low must be below high, found low {self.low:g} and high {self.high:g}")
        return self


class SearchSpaceSettings(Section):
    """The hyperparameters tuned for every loss, and replacements for the catalogue's ranges."""

    learning_rate: RangeSettings
    weight_decay: RangeSettings
    centre_learning_rate: bool = True
    losses: Annotated[
        dict[
            str,
            Annotated[
                dict[
                    str, Annotated[Number | LossRangeSettings, Field(description="a number, or {low: ..., high: ...}")]
                ],
                Field(description="the loss's hyperparameters, each with a range or a value"),
            ],
        ],
        Field(description="loss names, each with ranges or values for its hyperparameters, or {}"),
    ]

    @model_validator(mode="after")
    def _is_positive(self) -> SearchSpaceSettings:
        if self.learning_rate.low <= 0:
            raise ValueError(f"learning_rate.low must be above 0, found {self.learning_rate.low:g}")
        if self.weight_decay.low < 0:
            raise ValueError(f"weight_decay.low must not be negative, found {self.weight_decay.low:g}")
        return self


class AshaSettings(Section):
    """Early stopping by ASHA within one search."""

    grace_epochs: Annotated[Int, Field(ge=1)]
    reduction_factor: Annotated[Int, Field(ge=2, le=16)]


class TuneSettings(Section):
    """The budget, sampler, scheduler and selection metric of the search."""

    num_searches: Annotated[Int, Field(ge=2, le=1000)] = 2
    trials_per_loss: Annotated[Int, Field(ge=1, le=100_000)]
    sampler: Literal["sobol", "random", "tpe"]
    scheduler: Literal["fifo", "asha"]
    asha: AshaSettings
    metric: Literal["accuracy", "balanced_accuracy", "macro_f1"]


class ConfirmSettings(Section):
    """The confirmation: the number of fresh seeds that every winner is retrained on, and its stopping rule."""

    num_blocks: Annotated[Int, Field(ge=2, le=10_000)]
    stopping: Literal["fixed", "anytime"] = "fixed"
    positive_control: bool = True


class ReportSettings(Section):
    """Thresholds of the verdict."""

    alpha: Annotated[Number, Field(gt=0.0, lt=0.5)]
    rope: Annotated[Number, Field(ge=0.0, lt=1.0)]
    power: Annotated[Number, Field(gt=0.5, lt=1.0)]


class ResourceSettings(Section):
    """The computing resources of the study.

    The number of workers changes no result, except with ASHA, which depends on the order in which trials arrive.
    Devices round differently, and with ``training.precision: auto`` a GPU may train in bfloat16.
    """

    executor: Literal["ray", "inline"]
    device: Literal["auto", "cpu", "cuda"]
    max_concurrent: Literal["auto"] | Annotated[Int, Field(ge=1, le=100_000)]
    trials_per_gpu: Literal["auto"] | Annotated[Int, Field(ge=1, le=64)]
    trial_time_limit: Annotated[Number, Field(gt=0.0)] | None = None
    ledger: Annotated[Text | None, Field(description="null, a folder or a URL such as s3://bucket/study")] = None
    ray_address: Annotated[Text | None, Field(description="null, auto or host:port")]


class TrackingSettings(Section):
    """MLflow settings. They change no result, which comes from the records on disk."""

    enabled: bool
    uri: Annotated[Text | None, Field(description="null or an MLflow tracking URI")]
    experiment: Annotated[Text | None, Field(description="null or text")]


class Params(Section):
    """All of ``params.yaml``."""

    study: StudySettings
    data: DataSettings
    model: ModelSettings
    training: TrainingSettings
    losses: Annotated[
        tuple[Annotated[Text, Field(description="the name of a loss")], ...],
        Field(min_length=1, strict=False, description="a list of loss names, at least one"),
    ]
    baseline: Annotated[Text, Field(description="the name of a loss")]
    search_space: SearchSpaceSettings
    tune: TuneSettings
    confirm: ConfirmSettings
    report: ReportSettings
    resources: ResourceSettings
    tracking: TrackingSettings

    @model_validator(mode="after")
    def _is_consistent(self) -> Params:
        for name in self.losses:
            if self.losses.count(name) > 1:
                raise ValueError(f"losses: {name!r} is named twice")
        if self.baseline not in self.losses:
            hint = did_you_mean(self.baseline, self.losses)
            raise ValueError(
                f"baseline: found {self.baseline!r}, expected one of losses ({', '.join(self.losses)}){hint}"
            )
        if self.confirm.num_blocks < self.tune.num_searches:
            raise ValueError(
                f"confirm.num_blocks: found {self.confirm.num_blocks}, expected at least tune.num_searches "
                f"({self.tune.num_searches}), one block for every search's winner"
            )
        if self.tune.scheduler == "asha" and self.tune.asha.grace_epochs >= self.training.epochs:
            raise ValueError(
                f"tune.asha.grace_epochs: found {self.tune.asha.grace_epochs}, expected less than training.epochs "
                f"({self.training.epochs}), or ASHA cannot stop any trial"
            )
        return self
