"""The sections of ``params.yaml`` that a training reads, and the base class of all sections.

They have a module of their own because its code is part of a training's identity. A new key elsewhere must not
invalidate finished trainings.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from losstune.core.local_code import EXPECTED
from losstune.core.own_code import RESERVED, is_own

WEIGHTS_FILES = (".safetensors", ".pt", ".pth")
"""How the name of a file of weights ends."""


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


def section_of_reference(value: Any) -> Any:
    """Return the section without options that a reference alone stands for; other values as they are."""
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


Own = Annotated[OwnSettings, BeforeValidator(section_of_reference)]


def _section_of_policy(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class PolicySettings(Section):
    """One policy of a list of augmentations, see :mod:`losstune.training.policies`, or a user's own.

    Its name alone stands for the section without options.
    """

    name: Text
    options: Options = Field(default_factory=dict)


Policy = Annotated[PolicySettings, BeforeValidator(_section_of_policy)]


class ModelSettings(Section):
    """The architecture, its size, and what it starts from. Width and depth have a meaning per model.

    ``params.yaml`` describes each key. `download` and the place of the weights are not part of a training's identity;
    the content of the weights is.
    """

    name: Annotated[Text, Field(description="the name of a model")] = "cnn"
    width: Annotated[Int, Field(ge=1, le=4096)] = 16
    depth: Annotated[Int, Field(ge=1, le=20)] = 2
    options: Options = Field(default_factory=dict)
    weights: Annotated[
        Text | None, Field(description="null, a file (.safetensors, .pt, .pth), or named weights such as DEFAULT")
    ] = None
    download: bool = False
    freeze: Annotated[
        Literal["none", "backbone"] | Annotated[tuple[Text, ...], Field(min_length=1, strict=False)],
        Field(description="none, backbone, or a list of names of layers"),
    ] = "none"
    backbone_factor: Annotated[Number, Field(gt=0.0, le=1.0)] = 1.0

    @property
    def library(self) -> str | None:
        """The library that defines the network: ``"torchvision"``, ``"timm"``, or None."""
        prefix = self.name.partition(":")[0]
        return prefix if f"{prefix}:" in RESERVED and ":" in self.name else None

    @property
    def has_weights_file(self) -> bool:
        """Whether `weights` is a path, not a name."""
        return self.weights is not None and self.weights.lower().endswith(WEIGHTS_FILES)

    @model_validator(mode="after")
    def _has_options_of_its_own(self) -> ModelSettings:
        if self.options and not is_own(self.name):
            raise ValueError(f"options are the arguments of a model of your own; {self.name!r} takes width and depth")
        return self

    @model_validator(mode="after")
    def _has_weights_that_it_can_have(self) -> ModelSettings:
        if self.weights is not None and not self.has_weights_file and self.library is None:
            raise ValueError(
                f"weights: found {self.weights!r}, expected a file that ends in {', '.join(WEIGHTS_FILES)}: only "
                f"models of torchvision and timm have named weights, not {self.name!r}"
            )
        if self.freeze == "backbone" and self.backbone_factor != 1.0:
            raise ValueError(
                f"backbone_factor: found {self.backbone_factor:g}, which has no effect with freeze: backbone; "
                "remove one of the two"
            )
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
        Literal["none", "flip", "crop", "flip_crop"]
        | Own
        | Annotated[tuple[Policy, ...], Field(min_length=1, strict=False)],
        Field(description=f"one of none, flip, crop, flip_crop, {EXPECTED}, or a list of policies"),
    ] = "none"
    mixup: Annotated[Number, Field(ge=0.0)] = 0.0
    cutmix: Annotated[Number, Field(ge=0.0)] = 0.0
    class_weights: Annotated[
        Literal["none", "balanced"]
        | Annotated[tuple[Annotated[Number, Field(gt=0.0)], ...], Field(min_length=2, strict=False)],
        Field(description="one of none, balanced, or a list of a number above 0 for each class"),
    ] = "none"
    soft_labels: Literal["require", "mode_if_needed", "mode"] = "require"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    loop: Annotated[Own | None, Field(description=f"null, or {EXPECTED}")] = None

    @property
    def mixes(self) -> bool:
        """Whether samples of a batch are mixed with each other."""
        return self.mixup > 0 or self.cutmix > 0

    @property
    def augmentation_label(self) -> str:
        """The augmentation in a few words, for reports."""
        if isinstance(self.augmentation, tuple):
            return ", ".join(policy.name for policy in self.augmentation)
        return self.augmentation if isinstance(self.augmentation, str) else self.augmentation.name
