"""``matrix.yaml``: one study for each pair of a data set and a model, as changes to ``params.yaml``.

Each entry is a part of ``params.yaml`` that replaces the value there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from losstune.config.load import read_settings, require_plain_root
from losstune.config.messages import explain_validation_error
from losstune.config.schema import Params
from losstune.config.settings import Section
from losstune.core.errors import LosstuneError, did_you_mean
from losstune.core.seeds import derive_seed

MATRIX_FILE = Path("matrix.yaml")
STUDIES = Path("studies")
"""The folder that holds a folder for each cell."""

_WHOLE = {"label_noise", "budget"}
"""Sections that an entry replaces: of two kinds of noise, or of trainings and minutes, none is a part of the other."""

_Values = Annotated[dict[str, Any], Field(description="keys of that section of params.yaml")]


class DataOverrides(Section):
    """What a data set changes in ``params.yaml``.

    Attributes:
        models: The models that it is combined with; all of them if it names none.
    """

    models: Annotated[tuple[str, ...], Field(strict=False, description="a list of names of matrix.model")] = ()
    data: _Values = Field(default_factory=dict)
    training: _Values = Field(default_factory=dict)
    losses: Annotated[tuple[str, ...], Field(strict=False, description="a list of loss names")] = ()
    search_space: _Values = Field(default_factory=dict)
    budget: _Values = Field(default_factory=dict)
    tune: _Values = Field(default_factory=dict)
    confirm: _Values = Field(default_factory=dict)
    report: _Values = Field(default_factory=dict)


class ModelOverrides(Section):
    """What a model changes in ``params.yaml``."""

    model: _Values = Field(default_factory=dict)
    training: _Values = Field(default_factory=dict)
    search_space: _Values = Field(default_factory=dict)


class MatrixSettings(Section):
    """The data sets and the models; the matrix combines every data set with every model, or with those it names."""

    data: Annotated[
        dict[str, DataOverrides],
        Field(min_length=1, description="names of data sets, each with sections of params.yaml to change, or {}"),
    ]
    model: Annotated[
        dict[str, ModelOverrides],
        Field(min_length=1, description="names of models, each with sections of params.yaml to change, or {}"),
    ]


class MatrixFile(Section):
    """All of ``matrix.yaml``."""

    matrix: MatrixSettings


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """One study of the matrix.

    Attributes:
        name: ``<data>-<model>``.
        params: Its complete settings, with the cell's own name and seed; a relative ``data.root`` is relative to
            :attr:`folder`.
    """

    name: str
    params: Params

    @property
    def folder(self) -> Path:
        """The cell's folder, relative to the folder of ``matrix.yaml``."""
        return STUDIES / self.name


@dataclass(frozen=True, slots=True)
class Matrix:
    """All cells by data set and model, in the order of the file."""

    cells: Mapping[tuple[str, str], MatrixCell]

    def __iter__(self) -> Iterator[MatrixCell]:
        return iter(self.cells.values())

    def __len__(self) -> int:
        return len(self.cells)

    def cell(self, data: str, model: str) -> MatrixCell:
        """Return the cell of a data set and a model.

        Raises:
            LosstuneError: If ``matrix.yaml`` has no such entry; the message lists the existing ones.
        """
        for option, found, position in (("--data", data, 0), ("--model", model, 1)):
            names = list(dict.fromkeys(key[position] for key in self.cells))
            if found not in names:
                raise LosstuneError(
                    f"{option}: found {found!r}, expected one of {', '.join(names)} ({MATRIX_FILE})"
                    f"{did_you_mean(found, names)}"
                )
        if (data, model) not in self.cells:
            models = [one for other, one in self.cells if other == data]
            raise LosstuneError(f"--model: found {model!r}, expected one of {', '.join(models)} with --data {data}")
        return self.cells[data, model]


def load_matrix(params: Params, path: Path = MATRIX_FILE) -> Matrix:
    """Read ``matrix.yaml``, apply its entries to `params`, and validate all cells.

    Args:
        params: Validated ``params.yaml``, which the file's entries override.
        path: Path of ``matrix.yaml``.

    Raises:
        LosstuneError: If the file is missing or not YAML, an entry changes a key that it must not change or sets a
            value that is not allowed, a data set and a model change the same key, or two cells would share a folder.
    """
    values = read_settings(path, expected="the section 'matrix:'")
    try:
        matrix = MatrixFile.model_validate(values).matrix
    except ValidationError as error:
        raise LosstuneError(f"{path}: {explain_validation_error(error, MatrixFile)}") from None
    changes = {
        (side, name): _changes(entry)
        for side, entries in (("data", matrix.data), ("model", matrix.model))
        for name, entry in entries.items()
    }
    for (side, name), changed in changes.items():
        key = f"{path}: matrix.{side}.{name}"
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
            raise LosstuneError(
                f"{key}: found {name!r}, expected a name of letters, digits, _ and -, as it names a folder"
            )
        _merged(params, key, changed)
    cells: dict[tuple[str, str], MatrixCell] = {}
    for data in matrix.data:
        for model in _models(matrix, data, path):
            key = f"{path}: matrix.data.{data} with matrix.model.{model}"
            ours, theirs = changes["data", data], changes["model", model]
            both = sorted(set(_leaves(ours)) & set(_leaves(theirs)))
            if both:
                raise LosstuneError(f"{key}: both set {both[0]}, expected only one of them to set it")
            name = f"{data}-{model}"
            if any(cell.name == name for cell in cells.values()):
                raise LosstuneError(f"{key}: a second cell is named {name}, expected unique names")
            # With one seed for all, every cell would search the same points, and chance would not average out.
            seed = derive_seed(params.study.seed, "matrix", name) % 2**53
            own = {
                "study": {"name": f"{params.study.name}-{name}", "seed": seed},
                "tracking": {"experiment": params.tracking.experiment or f"{data} {model}"},
            }
            cells[data, model] = _placed(MatrixCell(name, _merged(params, key, ours, theirs, own)))
    return Matrix(cells)


def _models(matrix: MatrixSettings, data: str, path: Path) -> list[str]:
    """Return the models that a data set is combined with, in the order of ``matrix.model``."""
    wanted = matrix.data[data].models
    for name in wanted:
        if name not in matrix.model:
            raise LosstuneError(
                f"{path}: matrix.data.{data}.models: found {name!r}, expected one of {', '.join(matrix.model)}"
                f"{did_you_mean(name, list(matrix.model))}"
            )
    return [name for name in matrix.model if not wanted or name in wanted]


def _changes(entry: Section) -> dict[str, Any]:
    return {section: values for section, values in entry.model_dump(exclude={"models"}).items() if values}


def _merged(params: Params, source: str, *changes: Mapping[str, Any]) -> Params:
    values = params.model_dump()
    for changed in changes:
        values = laid_over(values, changed)
    try:
        merged = Params.model_validate(values)
    except ValidationError as error:
        raise LosstuneError(f"{source}: {explain_validation_error(error, Params)}") from None
    require_plain_root(merged.data.root, source, Path())
    return merged


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of `below` with the values of `above`, merged section by section."""
    merged = dict(below)
    for key, value in above.items():
        under = None if key in _WHOLE else merged.get(key)
        merged[key] = laid_over(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return merged


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _placed(cell: MatrixCell) -> MatrixCell:
    """Return the cell with a relative ``data.root`` rewritten relative to the cell's folder."""
    root = cell.params.data.root
    if Path(root).is_absolute():
        return cell
    # Not an absolute path: in DVC's temporary copies of a work tree it would point outside the copy.
    data = cell.params.data.model_copy(update={"root": os.path.relpath(root, cell.folder)})
    return MatrixCell(cell.name, cell.params.model_copy(update={"data": data}))
