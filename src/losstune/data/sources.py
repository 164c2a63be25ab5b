"""Data sources by their name in ``params.yaml``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from losstune.config.data import FILES, DataSettings
from losstune.core.errors import LosstuneError, did_you_mean
from losstune.core.local_code import EXPECTED
from losstune.core.own_code import is_own, require_file
from losstune.data import digits, huggingface, imagefolder, npz, table, torchvision_datasets
from losstune.data.own import KEY, load_own
from losstune.data.raw import RawData, ReportProgress, require_printable

NAMES = ("digits", "imagefolder", "npz", "table", "huggingface", FILES, *torchvision_datasets.SOURCES)
"""All values of ``data.name``."""

_TABLES = ("table", "huggingface")
_IMAGES = ("imagefolder", "huggingface", *torchvision_datasets.SOURCES)
_READ_BY = {
    "label": _TABLES,
    "drop": _TABLES,
    "groups": (*_TABLES, "npz", "imagefolder"),
    "own_validation": ("npz", "imagefolder", "huggingface", *torchvision_datasets.WITH_VALIDATION),
    "on_bad_image": _IMAGES,
    "storage": ("imagefolder",),
}
"""The keys that only some sources read, with the names of these."""


def load(settings: DataSettings, progress: ReportProgress | None = None, *, cache: Path | None = None) -> RawData:
    """Read the whole data set into memory, with only the splits that it comes with.

    Args:
        settings: ``data`` of ``params.yaml``; a relative `root` is relative to the working directory.
        progress: Called with the number of images read, if they are decoded one by one.
        cache: A folder for decoded images, so that they are decoded only once.

    Raises:
        LosstuneError: If the settings are wrong, or the data is missing or invalid; the message says what is expected.
    """
    check_settings(settings)
    root = Path(settings.root)
    if settings.name == "digits":
        raw = digits.load()
    elif is_own(settings.name):
        raw = load_own(settings.name, settings.root, settings.options)
    elif settings.name == "npz":
        raw = npz.load(root, **_npz_arguments(settings))
    elif settings.name == "table":
        raw = table.load(root, settings)
    elif settings.name == "huggingface":
        raw = huggingface.load(root, settings, progress=progress, cache=cache)
    elif settings.name == "imagefolder":
        raw = imagefolder.load(
            root,
            image_size=settings.image_size,
            progress=progress,
            cache=cache,
            to_split=True,
            own_validation=settings.own_validation,
            groups=settings.groups,
            skip_bad=settings.on_bad_image == "skip",
            encoded=settings.storage == "encoded",
        )
    else:
        raw = torchvision_datasets.load(
            settings.name,
            root,
            download=settings.download,
            image_size=settings.image_size,
            progress=progress,
            own_validation=settings.own_validation,
            skip_bad=settings.on_bad_image == "skip",
        )
    if len(raw.class_names) < 2:
        raise LosstuneError(f"data.name: {settings.name} in {root} has only one class, expected two or more")
    require_printable(raw.class_names, root)
    return raw


def inspect(settings: DataSettings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the class names, if they are known by name, and notes for the user on how the data will be read.

    No sample is read. Both are empty if the data does not exist yet or the source provides none.

    Raises:
        LosstuneError: If the names of existing files or arrays show that the data is invalid.
    """
    root = Path(settings.root)
    if settings.name == "npz" and os.path.exists(root):
        return (), npz.inspect(root, **_npz_arguments(settings))
    if settings.name == "table" and os.path.exists(root):
        return (), table.inspect(root, settings)
    if settings.name == "huggingface" and os.path.exists(root):
        return huggingface.inspect(root, settings)
    if settings.name == "imagefolder" and os.path.exists(root):
        layout = imagefolder.inspect(root, own_validation=settings.own_validation)
        return layout.class_names, layout.notes
    return (), ()


def check_settings(settings: DataSettings) -> None:
    """Check the settings alone, without reading a file.

    Raises:
        LosstuneError: If no source has the name, or the source would ignore another key.
    """
    check_name(settings.name)
    for key, names in _READ_BY.items():
        value, default = getattr(settings, key), DataSettings.model_fields[key].default
        if value != default and settings.name not in names and not (is_own(settings.name) and key == "own_validation"):
            more = "; losstune.Dataset(groups=...) brings groups" if key == "groups" and is_own(settings.name) else ""
            raise LosstuneError(
                f"data.{key}: found {json.dumps(value)}, expected {json.dumps(default)}: {settings.name} does not read "
                f"it{more}"
            )
    for key in ("label_noise", "long_tail") if settings.name == FILES else ():
        if found := getattr(settings, key):
            raise LosstuneError(f"data.{key}: found {found!r}, but only the training loop reads the data; leave it out")
    if isinstance(settings.label_noise, str) and settings.name not in ("npz", *_TABLES):
        raise LosstuneError(
            f"data.label_noise: found {settings.label_noise!r}, which names an array or column with wrong labels, but "
            f"{settings.name} has none; expected a number in [0, 1), or pairs, or a matrix"
        )
    if settings.name == "imagefolder" and settings.groups is not None:
        imagefolder.require_pattern(settings.groups)
    if settings.image_size is not None and (
        settings.name in {"digits", "npz", "table", FILES} or is_own(settings.name)
    ):
        raise LosstuneError(
            f"data.image_size: found {settings.image_size}, expected null: {settings.name} is not resized"
        )


def _npz_arguments(settings: DataSettings) -> dict[str, Any]:
    noisy = settings.label_noise if isinstance(settings.label_noise, str) else None
    return {"own_validation": settings.own_validation, "groups": settings.groups, "noisy_labels": noisy}


def check_name(name: str) -> None:
    """Check that there is a source of that name.

    Raises:
        LosstuneError: If there is none; the message gives the nearest name and all names.
    """
    if is_own(name):
        require_file(name, KEY)
    elif name not in NAMES:
        raise LosstuneError(
            f"data.name: found {name!r}, expected digits, imagefolder, npz, table, huggingface, files, a torchvision "
            f"data set or {EXPECTED}{did_you_mean(name, NAMES)} "
            f"(torchvision's: {', '.join(torchvision_datasets.SOURCES)})"
        )
