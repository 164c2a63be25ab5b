"""Data sources by their name in ``params.yaml``."""

from __future__ import annotations

import os
from pathlib import Path

from losstune.config.data import FILES, DataSettings
from losstune.core.errors import LosstuneError, did_you_mean
from losstune.core.local_code import EXPECTED
from losstune.core.own_code import is_own, require_file
from losstune.data import digits, imagefolder, npz, torchvision_datasets
from losstune.data.own import KEY, load_own
from losstune.data.raw import RawData, ReportProgress, require_printable

NAMES = ("digits", "imagefolder", "npz", FILES, *torchvision_datasets.SOURCES)
"""All values of ``data.name``."""


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
        raw = npz.load(root)
    elif settings.name == "imagefolder":
        raw = imagefolder.load(root, image_size=settings.image_size, progress=progress, cache=cache, to_split=True)
    else:
        raw = torchvision_datasets.load(
            settings.name, root, download=settings.download, image_size=settings.image_size, progress=progress
        )
    if len(raw.class_names) < 2:
        raise LosstuneError(f"data.name: {settings.name} in {root} has only one class, expected two or more")
    require_printable(raw.class_names, root)
    return raw


def inspect(settings: DataSettings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the class names of an image folder, and notes for the user on how the data will be read.

    No sample is read. Both are empty if the data does not exist yet or the source provides none.

    Raises:
        LosstuneError: If the names of existing files or arrays show that the data is invalid.
    """
    root = Path(settings.root)
    if settings.name == "npz" and os.path.exists(root):
        return (), npz.inspect(root)
    if settings.name == "imagefolder" and os.path.exists(root):
        layout = imagefolder.inspect(root)
        return layout.class_names, layout.notes
    return (), ()


def check_settings(settings: DataSettings) -> None:
    """Check the settings alone, without reading a file.

    Raises:
        LosstuneError: If no source has the name, or the source would ignore the image size.
    """
    check_name(settings.name)
    if settings.image_size is not None and (settings.name in {"digits", "npz", FILES} or is_own(settings.name)):
        raise LosstuneError(
            f"data.image_size: found {settings.image_size}, expected null: {settings.name} is not resized"
        )


def check_name(name: str) -> None:
    """Check that there is a source of that name.

    Raises:
        LosstuneError: If there is none; the message gives the nearest name and all names.
    """
    if is_own(name):
        require_file(name, KEY)
    elif name not in NAMES:
        raise LosstuneError(
            f"data.name: found {name!r}, expected digits, imagefolder, npz, files, a torchvision data set or {EXPECTED}"
            f"{did_you_mean(name, NAMES)} (torchvision's: {', '.join(torchvision_datasets.SOURCES)})"
        )
