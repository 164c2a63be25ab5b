"""Find and read a pack: one of the library, or a user's own folder with a ``pack.yaml``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from losstune.config.load import parse_params, read_settings
from losstune.config.matrix import laid_over
from losstune.config.messages import explain_validation_error
from losstune.config.schema import Params
from losstune.core.errors import LosstuneError, did_you_mean
from losstune.core.own_code import is_own
from losstune.core.seeds import derive_seed
from losstune.packs.schema import Claim, Pack

LIBRARY = Path(__file__).parent / "library"
PACK_FILE = "pack.yaml"
BUNDLED = "digits"
"""The ``data.name`` of the data that losstune brings."""


@dataclass(frozen=True, slots=True)
class PackCell:
    """A study of a pack.

    Attributes:
        name: Its name.
        values: Its settings as they are written to ``params.yaml``.
        params: The same, validated.
    """

    name: str
    values: Mapping[str, Any]
    params: Params


@dataclass(frozen=True, slots=True)
class LoadedPack:
    """A pack that is valid.

    Attributes:
        name: The name of its folder.
        file: Its ``pack.yaml``.
        content: What the file says.
        cells: Its studies, by name.
        data: Folder of the data that cells need; None if it is not at hand.
    """

    name: str
    file: Path
    content: Pack
    cells: Mapping[str, PackCell]
    data: Path | None = None


def library_names() -> list[str]:
    """Return the names of the packs that losstune brings."""
    return sorted(path.parent.name for path in LIBRARY.glob(f"*/{PACK_FILE}"))


def load_pack(name: str, data: Path | None = None) -> LoadedPack:
    """Read and validate a pack.

    Args:
        name: The name of a pack of the library, or the path of a folder with a ``pack.yaml``.
        data: Folder of the data that cells need; None if it is not at hand.

    Raises:
        LosstuneError: If there is no such pack, or its file is invalid; the message names the key.
    """
    if name in library_names():
        file = LIBRARY / name / PACK_FILE
    else:
        path = Path(name)
        file = (path if path.name == PACK_FILE else path / PACK_FILE).absolute()
        if not file.is_file():
            raise LosstuneError(
                f"pack: found {name!r}, expected a folder with a {PACK_FILE}, or one of {', '.join(library_names())}"
                f"{did_you_mean(name, library_names())}"
            )
    values = read_settings(file, expected="sections such as 'title:' and 'claims:'")
    try:
        content = Pack.model_validate(values)
    except ValidationError as error:
        raise LosstuneError(f"{file}: {explain_validation_error(error, Pack)}") from None
    cells = {cell: _cell(content, cell, file, data) for cell in content.cells}
    for number, claim in enumerate(content.claims):
        for cell in claim.cells:
            _check_claim(claim, cells[cell], f"{file}: claims[{number}]")
    return LoadedPack(file.parent.name, file, content, cells, data)


def _cell(content: Pack, name: str, file: Path, data: Path | None) -> PackCell:
    settings = content.cells[name]
    values = laid_over(content.params, settings.params)
    source = f"{file}: cells.{name}"
    params = parse_params(values, source)
    changed: dict[str, Any] = {
        # With one seed for all, every cell would search the same points, and chance would not average out.
        "study": {
            "name": params.study.name if "name" in params.study.model_fields_set else _study_name(file, name),
            "seed": derive_seed(params.study.seed, "pack", name) % 2**53,
        },
        # MLflow's store belongs to a project; a pack's settings switch it on.
        "tracking": {"enabled": params.tracking.enabled and "enabled" in params.tracking.model_fields_set},
    }
    if settings.needs is not None:
        changed["data"] = {"root": str(data.absolute() if data else file.parent)}
    elif "root" in params.data.model_fields_set:
        changed["data"] = {"root": str(file.parent / params.data.root)}
    elif params.data.name != BUNDLED and not is_own(params.data.name):
        raise LosstuneError(
            f"{source}: data.name: found {params.data.name!r}, which losstune does not bring; expected data.root, the "
            "path of the data from the pack's folder, or needs, what a user must have"
        )
    values = laid_over(values, changed)
    return PackCell(name, values, parse_params(values, source))


def _study_name(file: Path, cell: str) -> str:
    pack = re.sub(r"[^A-Za-z0-9._-]", "_", file.parent.name).lstrip("._-") or "pack"
    return f"{pack[:39]}-{cell}"


def _check_claim(claim: Claim, cell: PackCell, key: str) -> None:
    params = cell.params
    for field, found, allowed in (
        ("loss", claim.loss, params.loss_names),
        ("versus", claim.versus, (params.baseline,)),
        ("metric", claim.metric, (params.tune.measure.name,)),
    ):
        if found not in allowed:
            expected = "a loss" if field == "loss" else "the baseline" if field == "versus" else "the metric"
            raise LosstuneError(
                f"{key}.{field}: found {found!r}, expected {expected} of the cell {cell.name}: {', '.join(allowed)}"
                f"{did_you_mean(found, list(allowed))}"
            )
    if claim.loss == claim.versus:
        raise LosstuneError(f"{key}.loss: found {claim.loss!r}, which is what it is compared with")
