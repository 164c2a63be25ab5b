"""From the arguments of a study in Python to the settings of ``params.yaml``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from losstune.api.references import References
from losstune.config.load import parse_params, read_settings, require_plain_root
from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from losstune.core.local_code import study_folder
from losstune.data import huggingface, table
from losstune.data.own import Dataset, as_raw
from losstune.data.raw import RawData

SOURCE = "losstune.Study"
"""Start of messages on settings."""


def settings_of(settings: Mapping[str, Any] | str | Path | None, given: Mapping[str, Any], refer: References) -> Params:
    """Return the settings of a study.

    Args:
        settings: Sections of ``params.yaml``, or the path of such a file; None for no further settings. A relative
            ``data.root`` starts in the study's folder, see :func:`losstune.core.local_code.study_folder`.
        given: Arguments of the study by their key, such as ``"training.epochs"``; None for those that are left out.
        refer: Names callables.

    Raises:
        LosstuneError: If a key is unknown, a value is not allowed, or a setting is given twice with two values.
    """
    base = study_folder()
    if isinstance(settings, str | Path):
        settings = read_settings(Path(settings), expected="sections such as 'data:' and 'model:'")
    values: dict[str, Any] = refer.of(settings or {}, "")
    for key, value in given.items():
        if value is None:
            continue
        *sections, last = key.split(".")
        section = values
        for name in sections:
            section = section.setdefault(name, {})
            if not isinstance(section, dict):
                raise LosstuneError(f"{SOURCE}: settings: {name}: found {section!r}, expected a section")
        named = refer.of(value, key)
        if section.get(last, named) != named:
            raise LosstuneError(f"{SOURCE}: {key}: found {named!r}, and {section[last]!r} in settings; expected one")
        section[last] = named
    # MLflow's store belongs to a project, not to a notebook; its settings switch it on.
    values.setdefault("tracking", {}).setdefault("enabled", False)
    params = parse_params(values, SOURCE)
    require_plain_root(params.data.root, SOURCE, base)
    # The stages take a relative path from the folder of the outputs.
    root = os.path.abspath(base / params.data.root)
    return params.model_copy(update={"data": params.data.model_copy(update={"root": root})})


def data_of(data: Any) -> tuple[dict[str, Any], RawData | None]:
    """Return the settings that name the data, and the data itself if it is in memory.

    Args:
        data: As for :class:`losstune.Study`.

    Raises:
        LosstuneError: If it is no labelled data set.
    """
    if data is None:
        return {}, None
    if isinstance(data, str | os.PathLike):
        path = Path(data)
        if path.is_dir():
            name = "huggingface" if huggingface.is_saved(path) else "imagefolder"
            return {"data.name": name, "data.root": str(path.absolute())}, None
        if table.is_table(path):
            return {"data.name": "table", "data.root": str(path.absolute())}, None
        if path.suffix == ".npz" or isinstance(data, os.PathLike):
            return {"data.name": "npz", "data.root": str(path.absolute())}, None
        return {"data.name": str(data)}, None
    if callable(data):
        return {"data.name": data}, None
    if isinstance(data, Mapping) and data.keys() <= {field.name for field in fields(Dataset)} and "train" in data:
        data = Dataset(**data)
    # The same arrays in an .npz file give the same study.
    return {"data.name": "npz"}, as_raw(data if isinstance(data, Dataset) else Dataset(train=data), "data")
