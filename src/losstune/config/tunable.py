"""The settings of a training that may have a search range: its numbers."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError

from losstune.config.messages import explain_validation_error
from losstune.config.settings import ModelSettings, Section, TrainingSettings
from losstune.core.errors import did_you_mean

KEY = "search_space.training"
OF_THE_MODEL = "backbone_factor"
"""The only setting of the model that says how it is trained."""


def tunable() -> dict[str, type[Section]]:
    """Return the section of each such setting by its name."""
    found: dict[str, type[Section]] = {
        name: TrainingSettings for name, field in TrainingSettings.model_fields.items() if _is_real(field.annotation)
    }
    return found | ({OF_THE_MODEL: ModelSettings} if OF_THE_MODEL in ModelSettings.model_fields else {})


def require_tunable(bounds: Mapping[str, tuple[float, float]]) -> None:
    """Check the names and the ends of search ranges.

    Raises:
        ValueError: If there is no such setting, or an end is not allowed as its value.
    """
    sections = tunable()
    for name, ends in bounds.items():
        if name not in sections:
            known = ", ".join(sections)
            raise ValueError(
                f"{KEY}: unknown setting {name!r}{did_you_mean(name, list(sections))} (allowed here: {known})"
            )
        for end, value in zip(("low", "high"), ends, strict=True):
            try:
                sections[name].model_validate({name: value})
            except ValidationError as error:
                reason = explain_validation_error(error, sections[name]).removeprefix(f"{name}: ")
                raise ValueError(f"{KEY}.{name}.{end}: {reason}") from None


def _is_real(annotation: Any) -> bool:
    """Whether a value may be any number in an interval."""
    if get_origin(annotation) in {Annotated, Union, types.UnionType}:
        return any(_is_real(option) for option in get_args(annotation))
    return annotation is float
