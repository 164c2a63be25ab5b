"""The sections of ``params.yaml`` that a training reads, and the base class of all sections.

They have a module of their own because its code is part of a training's identity. A new key elsewhere must not
invalidate finished trainings.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


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


class ModelSettings(Section):
    """The architecture and its size. Width and depth have a meaning per model, see ``params.yaml``."""

    name: Annotated[Text, Field(description="the name of a model")]
    width: Annotated[Int, Field(ge=1, le=4096)]
    depth: Annotated[Int, Field(ge=1, le=20)]


class TrainingSettings(Section):
    """How one model is trained; the same for every loss."""

    epochs: Annotated[Int, Field(ge=1, le=100_000)]
    batch_size: Annotated[Int, Field(ge=1, le=65_536)]
    optimizer: Literal["adamw", "sgd"]
    momentum: Fraction
    schedule: Literal["cosine", "constant"]
    warmup_fraction: Fraction
    augmentation: Literal["none", "flip", "crop", "flip_crop"]
    precision: Literal["auto", "float32", "bfloat16"]
