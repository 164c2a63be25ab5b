"""The section ``data`` of ``params.yaml``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from losstune.config.settings import Fraction, Int, Number, Options, Section, Text
from losstune.core.own_code import is_own

FILES = "files"
"""The ``data.name`` of data that only a training loop of the user's own can read."""

OF_ANY_CONTENT = ("imagefolder", "npz", "table", "huggingface")
"""Values of ``data.name`` that say in which form the user's data is, and not which data."""

Split = Literal["train", "validation", "test"]
SUM_TOLERANCE = 1e-6
"""Largest distance of the sum of a transition matrix's row from 1."""


def _as_names(value: Any) -> Any:
    """Return pairs of classes with numbers as text, as YAML and DVC's overrides read ``{3: 8}`` for classes 3 and 8."""
    if not isinstance(value, dict):
        return value
    return {
        name if type(name) is not int else str(name): other if type(other) is not int else str(other)
        for name, other in value.items()
    }


class NoiseSettings(Section):
    """Label noise that depends on the class. A number alone stands for symmetric noise.

    Attributes:
        rate: Share of the samples of each class in `pairs` that get the other class.
        pairs: The class that each of these classes is mistaken for, by name.
        matrix: In place of both: the probability of each label (column) for each true class (row), (C, C).
    """

    rate: Annotated[Number, Field(gt=0.0, lt=1.0)] | None = None
    pairs: Annotated[
        dict[str, Text], BeforeValidator(_as_names), Field(description="classes by name, {cat: dog, dog: cat}")
    ] = Field(default_factory=dict)
    matrix: Annotated[
        tuple[Annotated[tuple[Annotated[Number, Field(ge=0.0, le=1.0)], ...], Field(strict=False)], ...] | None,
        Field(strict=False, description="a list of one row of probabilities for each class"),
    ] = None

    @model_validator(mode="after")
    def _is_one_kind(self) -> NoiseSettings:
        if (self.matrix is None) == (not self.pairs):
            raise ValueError("expected either pairs of classes with a rate, or a matrix")
        if self.matrix is None:
            if self.rate is None:
                raise ValueError("rate is missing, expected the share of mistaken samples, in (0, 1)")
            if same := [name for name, other in self.pairs.items() if name == other]:
                raise ValueError(f"pairs: {same[0]} is mistaken for itself, expected another class")
            return self
        if self.rate is not None:
            raise ValueError(f"rate: found {self.rate:g} beside a matrix, which has its own rates; remove it")
        for number, row in enumerate(self.matrix):
            if len(row) != len(self.matrix):
                raise ValueError(
                    f"matrix: row {number} has {len(row)} numbers, expected {len(self.matrix)}, one for each row"
                )
            if abs(sum(row) - 1.0) > SUM_TOLERANCE:
                raise ValueError(f"matrix: row {number} sums to {sum(row):g}, expected 1")
        return self


class DataSettings(Section):
    """The data set and its splits."""

    name: Annotated[Text, Field(description="the name of a data set")] = "digits"
    root: Annotated[Text, Field(description="a path")] = "data/raw"
    download: bool = False
    image_size: Annotated[Int, Field(ge=4, le=1024)] | None = None
    label: Annotated[
        Text | Annotated[tuple[Text, ...], Field(min_length=1, strict=False)] | None,
        Field(description="the name of a column, or a list of one column for each annotator"),
    ] = None
    drop: Annotated[tuple[Text, ...], Field(strict=False, description="a list of names of columns")] = ()
    validation_fraction: Annotated[Number, Field(gt=0.0, lt=1.0)] = 0.2
    test_fraction: Annotated[Number, Field(gt=0.0, lt=1.0)] = 0.2
    own_validation: bool = False
    groups: Annotated[
        Text | None, Field(description="null, the name of an array or column, or a regular expression for file names")
    ] = None
    label_noise: Annotated[
        Fraction | Text | NoiseSettings,
        Field(description="a number in [0, 1), a section with pairs or a matrix, or the name of an array or column"),
    ] = 0.0
    noisy_splits: Annotated[
        tuple[Split, ...], Field(min_length=1, strict=False, description="a list of train, validation, test")
    ] = ("train",)
    long_tail: Annotated[Number, Field(gt=1.0)] | None = None
    storage: Literal["decoded", "encoded"] = "decoded"
    on_bad_image: Literal["error", "skip"] = "error"
    options: Options = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_options_of_its_own(self) -> DataSettings:
        if self.name == FILES:
            num_classes = self.options.get("num_classes", 2)
            if self.options.keys() - {"num_classes"} or not isinstance(num_classes, int) or num_classes < 2:
                raise ValueError(f"options: found {self.options}, expected {{num_classes: ...}}, 2 or more, or nothing")
        elif self.options and not is_own(self.name):
            raise ValueError(f"options are the arguments of a data source of your own; {self.name!r} takes none")
        return self

    @property
    def noise_label(self) -> float | str:
        """The label noise as a number or in a word, for reports."""
        if isinstance(self.label_noise, NoiseSettings):
            return "matrix" if self.label_noise.rate is None else f"pairs, {self.label_noise.rate:g}"
        return self.label_noise
