"""The sections of ``params.yaml`` that a training reads, and the base class of all sections.

They have a module of their own because its code is part of a training's identity. A new key elsewhere must not
invalidate finished trainings.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from losstune.core.local_code import EXPECTED
from losstune.core.metric import METRICS, Metric
from losstune.core.own_code import is_own, name_of


def _reject_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("not a number")
    return value


Int = Annotated[int, BeforeValidator(_reject_bool)]
Number = Annotated[float, BeforeValidator(_reject_bool), Field(allow_inf_nan=False)]
Fraction = Annotated[Number, Field(ge=0.0, lt=1.0)]
Text = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    """A part of ``params.yaml``: immutable, no unknown keys, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _section_of_reference(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) and is_own(value) else value


def _require_own(name: str) -> str:
    if not is_own(name):
        raise ValueError("no reference")
    return name


Options = Annotated[dict[str, Any], Field(description="keyword arguments by name, or {}")]
Reference = Annotated[Text, AfterValidator(_require_own), Field(description=EXPECTED)]


class OwnSettings(Section):
    """A user's callable, see :mod:`losstune.core.own_code`. Its name alone stands for the section without options."""

    name: Reference
    options: Options = Field(default_factory=dict)


Own = Annotated[OwnSettings, BeforeValidator(_section_of_reference)]


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
        if name in METRICS:
            raise ValueError(f"name: found {self.name!r}, but {name} is a metric of losstune; rename the function")
        return self

    @property
    def measure(self) -> Metric:
        """The metric, named after the function."""
        return Metric.own(name_of(self.name), minimize=self.minimize, percent=self.percent)


OwnMetric = Annotated[MetricSettings, BeforeValidator(_section_of_reference)]


class ModelSettings(Section):
    """The architecture and its size. Width and depth have a meaning per model, see ``params.yaml``."""

    name: Annotated[Text, Field(description="the name of a model")] = "cnn"
    width: Annotated[Int, Field(ge=1, le=4096)] = 16
    depth: Annotated[Int, Field(ge=1, le=20)] = 2
    options: Options = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_options_of_its_own(self) -> ModelSettings:
        if self.options and not is_own(self.name):
            raise ValueError(f"options are the arguments of a model of your own; {self.name!r} takes width and depth")
        return self


class TrainingSettings(Section):
    """How one model is trained; the same for every loss."""

    epochs: Annotated[Int, Field(ge=1, le=100_000)] = 15
    batch_size: Annotated[Int, Field(ge=1, le=65_536)] = 64
    optimizer: Literal["adamw", "adam", "rmsprop", "muon", "sgd"] = "adamw"
    momentum: Fraction = 0.9
    betas: Annotated[tuple[Fraction, Fraction], Field(strict=False, description="a list of two numbers in [0, 1)")] = (
        0.9,
        0.999,
    )
    clip_norm: Annotated[Number, Field(gt=0.0)] | None = None
    accumulation: Annotated[Int, Field(ge=1, le=65_536)] = 1
    schedule: Literal["cosine", "constant", "one_cycle", "step"] = "cosine"
    warmup_fraction: Fraction = 0.0
    step_every: Annotated[Int, Field(ge=1, le=100_000)] = 5
    step_factor: Annotated[Number, Field(gt=0.0, lt=1.0)] = 0.1
    ema: Annotated[Number, Field(gt=0.0, lt=1.0)] | None = None
    patience: Annotated[Int, Field(ge=1, le=100_000)] | None = None
    sampling: Literal["uniform", "balanced"] = "uniform"
    augmentation: Annotated[
        Literal["none", "flip", "crop", "flip_crop"] | Own,
        Field(description=f"one of none, flip, crop, flip_crop, or {EXPECTED}"),
    ] = "none"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    loop: Annotated[Own | None, Field(description=f"null, or {EXPECTED}")] = None
