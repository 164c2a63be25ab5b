"""Read the studies to compare from their ``results.json``, and check that they are comparable."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from losstune.config.data import OF_ANY_CONTENT
from losstune.core.errors import LosstuneError, did_you_mean
from losstune.core.own_code import is_own
from losstune.verdict import wording
from losstune.verdict.results import RESULTS_VERSION, Decision, Part

RESULTS = Path("results.json")


class _Read(BaseModel):
    """The part of ``results.json`` that a comparison needs."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class DifferenceRead(_Read):
    """Difference from the baseline, in units of the metric."""

    mean: float
    low: float
    high: float


class LossRead(_Read):
    """A loss in one study; see :class:`losstune.verdict.results.LossResult`."""

    loss: str
    part: Part
    equals: str | None
    num_parameters: int | None = None
    blocks: tuple[dict[str, float], ...]
    difference: DifferenceRead | None
    decision: Decision | None


class DataRead(_Read):
    """The data; see :class:`losstune.verdict.results.DataFacts`."""

    name: str
    digest: str


class VerdictRead(_Read):
    """The verdict; see :class:`losstune.verdict.results.Verdict`."""

    action: str
    loss: str | None
    sentence: str


class StudyRead(_Read):
    """A study; see :class:`losstune.verdict.results.Results`."""

    study: str
    data: DataRead
    model: str
    metric: str
    minimize: bool = False
    percent: bool = True
    worst: float | None = 0.0
    alpha: float
    rope: float
    num_blocks: int
    rounds: dict[str, Any] | None = None
    baseline: str
    losses: tuple[LossRead, ...]
    verdict: VerdictRead

    @model_validator(mode="after")
    def _is_whole(self) -> StudyRead:
        baseline = self.of(self.baseline)
        if baseline is None or (self.verdict.action != "none" and not baseline.blocks):
            raise ValueError(f"no blocks of the baseline {self.baseline}")
        for result in self.losses:
            if not all(math.isfinite(block.get(self.metric, math.nan)) for block in result.blocks):
                raise ValueError(f"a block of {result.loss} has no {self.metric}")
        return self

    def of(self, loss: str) -> LossRead | None:
        """Return the entry of that loss, or None."""
        return next((result for result in self.losses if result.loss == loss), None)


@dataclass(frozen=True, slots=True)
class Cell:
    """A study in a comparison.

    Attributes:
        name: Name of the folder, of the study for the current folder, or the path as given if two are equal.
        folder: Path of the folder as given.
        study: The results in it.
    """

    name: str
    folder: Path
    study: StudyRead

    @property
    def is_counted(self) -> bool:
        """Whether it has a verdict. A study whose control failed has none and is not counted."""
        return self.study.verdict.action != "none"

    @property
    def source(self) -> str:
        """Identity of the original data. Cells with the same one share samples, even if the data was modified."""
        data = self.study.data
        # A user's own files all have the same data name.
        return data.digest if data.name in OF_ANY_CONTENT or is_own(data.name) else data.name


def read_cells(folders: Sequence[Path]) -> list[Cell]:
    """Read the results of each folder, in the order given.

    Raises:
        LosstuneError: If a folder or its results are missing, damaged or of another version, or the studies are not
            comparable, see :func:`require_comparable`.
    """
    studies = [_read(folder) for folder in folders]
    # The name of the current folder may be that of a clone, so it says less than the study's.
    names = [
        study.study if folder == Path() else folder.resolve().name
        for folder, study in zip(folders, studies, strict=True)
    ]
    cells = [
        Cell(name if names.count(name) == 1 else folder.as_posix(), folder, study)
        for name, folder, study in zip(names, folders, studies, strict=True)
    ]
    require_comparable(cells)
    return cells


def require_comparable(cells: Sequence[Cell]) -> None:
    """Raise if studies are not comparable or a study is given twice.

    Raises:
        LosstuneError: If there are fewer than two, two differ in metric, baseline or alpha, or two have the same data
            and the same model, so that they would count twice.
    """
    if len(cells) < 2:
        raise LosstuneError(f"found {wording.count(len(cells), 'study', 'studies')}, expected two or more to compare")
    first = cells[0]
    for key in ("metric", "minimize", "baseline", "alpha"):
        wanted = getattr(first.study, key)
        for cell in cells:
            found = getattr(cell.study, key)
            if found != wanted:
                raise LosstuneError(
                    f"{cell.folder / RESULTS}: found {key} {found}, expected {wanted} as in {first.folder}; "
                    "other studies are not comparable"
                )
    seen: dict[tuple[Any, ...], Cell] = {}
    for cell in cells:
        study, baseline = cell.study, cell.study.of(cell.study.baseline)
        key_of = study.data.digest, study.model, baseline and baseline.num_parameters
        if key_of in seen:
            raise LosstuneError(
                f"{cell.folder / RESULTS}: found the same data and model as in {seen[key_of].folder} "
                f"({study.data.name} with the {study.model}), expected each once, or it would count twice"
            )
        seen[key_of] = cell


def _read(folder: Path) -> StudyRead:
    path = folder / RESULTS
    if not folder.is_dir():
        hint = did_you_mean(folder.name, _names_of(folder.parent))
        raise LosstuneError(f"{folder}: no such folder, expected one with a study's {RESULTS}{hint}")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        version = values["results_version"]
    except FileNotFoundError:
        raise LosstuneError(f"{path}: no such file; `losstune report` writes it") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LosstuneError(
            f"{path}: not a study's results ({_one_line(error)}); `losstune report` writes them"
        ) from None
    if version != RESULTS_VERSION:
        raise LosstuneError(
            f"{path}: found results_version {version}, expected {RESULTS_VERSION}; `losstune report` writes it again"
        )
    try:
        return StudyRead.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        where = f"{key}: " if key else ""
        raise LosstuneError(
            f"{path}: damaged ({where}{first['msg'].removeprefix('Value error, ')}); `losstune report` writes it again"
        ) from None


def _names_of(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if path.is_dir())
    except OSError:
        return []


def _one_line(error: Exception) -> str:
    text = f"no {error}" if isinstance(error, KeyError) else str(error)
    return " ".join(text.split())


def names(cells: Iterable[Cell]) -> str:
    """Return the cells' names as a list, such as ``a, b and c``."""
    return wording.enumeration([cell.name for cell in cells])
