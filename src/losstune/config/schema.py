"""``params.yaml`` as frozen, typed objects. An unknown key or a value out of range is an error."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from losstune.config.data import FILES, OF_ANY_CONTENT, DataSettings
from losstune.config.metrics import MetricSettings
from losstune.config.own_loop import require_own_loop
from losstune.config.protocol import BudgetSettings, Protocol, not_pooled_because
from losstune.config.settings import Int, ModelSettings, Number, Section, Text, TrainingSettings
from losstune.config.tunable import require_tunable
from losstune.config.tune import TuneSettings
from losstune.core.errors import did_you_mean
from losstune.core.local_code import EXPECTED
from losstune.core.own_code import is_own, name_of


class StudySettings(Section):
    """Name and root seed of the study."""

    name: Annotated[
        str,
        Field(
            max_length=100,
            pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$",
            description="at most 100 letters, digits, spaces and . _ -, the first a letter or digit",
        ),
    ] = "study"
    seed: Annotated[Int, Field(ge=0, le=2**53 - 1)] = 0


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

    learning_rate: RangeSettings = RangeSettings(low=1e-5, high=1e-1, scale="log", default=1e-3)
    weight_decay: RangeSettings = RangeSettings(low=1e-5, high=1e-1, scale="log", default=1e-2)
    centre_learning_rate: bool = True
    training: Annotated[
        dict[str, RangeSettings], Field(description="numeric settings of training, each with a range, or {}")
    ] = Field(default_factory=dict)
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
    ] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_positive(self) -> SearchSpaceSettings:
        if self.learning_rate.low <= 0:
            raise ValueError(f"learning_rate.low must be above 0, found {self.learning_rate.low:g}")
        if self.weight_decay.low < 0:
            raise ValueError(f"weight_decay.low must not be negative, found {self.weight_decay.low:g}")
        return self


class ConfirmSettings(Section):
    """The confirmation: the number of fresh seeds that every winner is retrained on, and its stopping rule."""

    num_blocks: Annotated[Int, Field(ge=2, le=10_000)] = 16
    stopping: Literal["fixed", "anytime"] = "fixed"
    positive_control: bool = True


class ReportSettings(Section):
    """Thresholds of the verdict."""

    alpha: Annotated[Number, Field(gt=0.0, lt=0.5)] = 0.05
    rope: Annotated[Number, Field(ge=0.0)] = 0.005
    power: Annotated[Number, Field(gt=0.5, lt=1.0)] = 0.8
    class_groups: Annotated[
        Literal["auto", "none"]
        | Annotated[tuple[Annotated[Int, Field(ge=1)], Annotated[Int, Field(ge=1)]], Field(strict=False)],
        Field(description="auto, none, or a list of two numbers of samples, such as [20, 100]"),
    ] = "auto"

    @model_validator(mode="after")
    def _orders_class_groups(self) -> ReportSettings:
        if isinstance(self.class_groups, tuple) and self.class_groups[0] > self.class_groups[1]:
            low, high = self.class_groups
            raise ValueError(f"class_groups: found [{low}, {high}], expected the smaller number first: [{high}, {low}]")
        return self


class ResourceSettings(Section):
    """The computing resources of the study.

    The number of workers changes no result, except with ASHA, which depends on the order in which trials arrive.
    Devices round differently, and with ``training.precision: auto`` a GPU may train in bfloat16.
    """

    executor: Literal["ray", "inline"] = "ray"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    max_concurrent: Literal["auto"] | Annotated[Int, Field(ge=1, le=100_000)] = "auto"
    trials_per_gpu: Literal["auto"] | Annotated[Int, Field(ge=1, le=64)] = "auto"
    trial_time_limit: Annotated[Number, Field(gt=0.0)] | None = None
    ledger: Annotated[Text | None, Field(description="null, a folder or a URL such as s3://bucket/study")] = None
    ray_address: Annotated[Text | None, Field(description="null, auto or host:port")] = None


class TrackingSettings(Section):
    """MLflow settings. They change no result, which comes from the records on disk."""

    enabled: bool = True
    uri: Annotated[Text | None, Field(description="null or an MLflow tracking URI")] = None
    experiment: Annotated[Text | None, Field(description="null or text")] = None


LOSSES = ("cross_entropy", "kl_divergence", "label_smoothing", "focal", "sigmoid_bce", "square", "poly1", "gce")
"""The losses of a study that names none: the usual ones, one of each kind, with the A/A control."""


def _own_name(loss: str) -> str:
    return name_of(loss) if is_own(loss) else loss


class Params(Section):
    """All of ``params.yaml``. Every key has a default."""

    study: StudySettings = Field(default_factory=StudySettings)
    data: DataSettings = Field(default_factory=DataSettings)
    model: ModelSettings = Field(default_factory=ModelSettings)
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    losses: Annotated[
        tuple[Annotated[Text, Field(description="the name of a loss")], ...],
        Field(min_length=1, strict=False, description="a list of loss names, at least one"),
    ] = LOSSES
    baseline: Annotated[Text, AfterValidator(_own_name), Field(description="the name of a loss")] = "cross_entropy"
    search_space: SearchSpaceSettings = Field(default_factory=SearchSpaceSettings)
    protocol: Protocol = "pooled"
    budget: Annotated[BudgetSettings | None, Field(description="null, {trainings: 400} or {minutes: 30}")] = None
    tune: TuneSettings = Field(default_factory=TuneSettings)
    confirm: ConfirmSettings = Field(default_factory=ConfirmSettings)
    report: ReportSettings = Field(default_factory=ReportSettings)
    resources: ResourceSettings = Field(default_factory=ResourceSettings)
    tracking: TrackingSettings = Field(default_factory=TrackingSettings)

    @property
    def not_pooled_because(self) -> str | None:
        """Why the study's searches are not pooled, in words; None if they are."""
        return not_pooled_because(self.protocol, self.budget, self.tune, self.confirm.stopping)

    @property
    def is_pooled(self) -> bool:
        """Whether the trials of all searches of a loss are pooled, and trainings are planned in rounds."""
        return self.not_pooled_because is None

    @property
    def names_model(self) -> bool:
        """Whether the model is named. With a training loop of the user's own, it may be left out."""
        return self.training.loop is None or ("model" in self.model_fields_set and self.data.name != FILES)

    @property
    def model_label(self) -> str:
        """What is trained, for reports: the model, or else the training loop."""
        if self.training.loop is None or self.names_model:
            return self.model.name.removeprefix("__main__:")
        place, _, name = self.training.loop.name.rpartition(":")
        return f"training loop {PurePath(place).stem}.{name}"

    @property
    def uses_features(self) -> bool:
        """Whether a training reads features of a frozen backbone, computed once, in place of the samples."""
        is_frozen = self.model.freeze == "backbone" and self.training.loop is None
        is_plain = self.training.augmentation == "none" and not (self.may_have("mixup") or self.may_have("cutmix"))
        return is_frozen and is_plain

    def may_have(self, setting: str) -> bool:
        """Return whether a training may have this setting, by its own value or by a search range."""
        return bool(getattr(self.training, setting)) or setting in self.search_space.training

    def place(self, data: str) -> str:
        """Return what the verdict is about, for a sentence: ``digits with the cnn``, or ``this data with build``.

        Label noise is named, because it decides between losses: ``digits (40% wrong labels) with the cnn``.

        Args:
            data: The name of the data in the report.
        """
        if self.data.name in OF_ANY_CONTENT or is_own(self.data.name):
            data = "this data"
        if noise := self.data.label_noise:
            data += f" ({100 * noise:.3g}% wrong labels)" if isinstance(noise, float) else " (noisy labels)"
        is_own_model = self.training.loop is None and is_own(self.model.name)
        return f"{data} with {'' if is_own_model else 'the '}{self.model_label}"

    @property
    def own_losses(self) -> dict[str, str]:
        """The reference of each loss of the user's own, by its name in tables: the callable's name."""
        return {name_of(loss): loss for loss in self.losses if is_own(loss)}

    @property
    def loss_names(self) -> tuple[str, ...]:
        """The name of each loss in records and tables, in the order of ``losses``."""
        return tuple(_own_name(loss) for loss in self.losses)

    @model_validator(mode="after")
    def _is_consistent(self) -> Params:
        names = self.loss_names
        for name, loss in zip(names, self.losses, strict=True):
            if names.count(name) > 1:
                same = [other for other in self.losses if other != loss and _own_name(other) == name]
                if same:
                    raise ValueError(f"losses: {loss} and {same[0]} have the same name, {name!r}; rename one")
                raise ValueError(f"losses: {name!r} is named twice")
        if self.baseline not in names:
            hint = did_you_mean(self.baseline, names)
            raise ValueError(f"baseline: found {self.baseline!r}, expected one of losses ({', '.join(names)}){hint}")
        self._require_loop()
        self._require_rope()
        require_tunable({name: (span.low, span.high) for name, span in self.search_space.training.items()})
        if not self.is_pooled and self.budget is not None:
            raise ValueError(
                f"budget: found {self.not_pooled_because}, expected protocol: pooled, the sampler sobol or random, the "
                "scheduler fifo and stopping: fixed; else tune.num_searches and confirm.num_blocks are the budget"
            )
        if self.budget is None and self.confirm.num_blocks < self.tune.num_searches:
            raise ValueError(
                f"confirm.num_blocks: found {self.confirm.num_blocks}, expected at least tune.num_searches "
                f"({self.tune.num_searches}), one block for every search's winner"
            )
        self._require_epochs()
        return self

    def _require_epochs(self) -> None:
        training, epochs, grace = self.training, self.training.epochs, self.tune.asha.grace_epochs
        if self.tune.scheduler == "asha" and grace >= epochs:
            raise ValueError(
                f"tune.asha.grace_epochs: found {grace}, expected less than training.epochs ({epochs}), or ASHA cannot "
                "stop any trial"
            )
        if training.schedule == "step" and training.step_every >= epochs:
            raise ValueError(
                f"training.step_every: found {training.step_every}, expected less than training.epochs ({epochs}), or "
                "the learning rate never falls"
            )

    def _require_loop(self) -> None:
        metric = self.tune.metric
        if self.training.loop is not None:
            require_own_loop(self.training, self.search_space.training)
            if self.model.backbone_factor != 1.0:
                raise ValueError(
                    f"model.backbone_factor: found {self.model.backbone_factor:g}, but with training.loop the loop "
                    "makes the optimiser; remove the key, and set the learning rates in the loop"
                )
            if self.data.name == FILES and (self.model.weights is not None or self.model.freeze != "none"):
                raise ValueError(
                    f"model: found weights or freeze with data.name: {FILES}, where the training loop builds the "
                    "network itself; remove these keys"
                )
            return
        if isinstance(metric, MetricSettings) and not metric.is_function:
            raise ValueError(
                f"tune.metric.name: found {metric.name!r}, expected {EXPECTED}; other names need a training.loop that "
                "returns its scores"
            )
        if self.data.name == FILES:
            raise ValueError(
                f"data.name: found {FILES!r}, which losstune does not read; it needs a training.loop that does"
            )

    def _require_rope(self) -> None:
        metric, rope = self.tune.measure, self.report.rope
        if metric.percent and rope >= 1.0:
            raise ValueError(
                f"report.rope: found {rope:g}, expected a number in [0, 1), because {metric.name} is a fraction"
            )
        if not metric.percent and "rope" not in self.report.model_fields_set:
            of_own = "; where it is a fraction, write `percent: true` in tune.metric"
            raise ValueError(
                f"report.rope: is missing, expected the smallest difference of {metric.name} that matters in practice, "
                f"in the units of this metric{of_own if isinstance(self.tune.metric, MetricSettings) else ''}"
            )
