"""Data sources by their name in ``params.yaml``."""

from __future__ import annotations

import os
from pathlib import Path

from losstune.config.schema import DataSettings
from losstune.core.errors import LosstuneError, did_you_mean
from losstune.data import digits, imagefolder, npz, torchvision_datasets
from losstune.data.raw import RawData, ReportProgress, require_printable

NAMES = ("digits", "imagefolder", "npz", *torchvision_datasets.SOURCES)
"""Everything that ``data.name`` may be."""


def load(
    settings: DataSettings, progress: ReportProgress | None = None, *, cache: Path | None = None
) -> RawData:
    """Read the whole data set into memory, not split further than it comes.

    Args:
        settings: ``data`` of ``params.yaml``; a relative `root` is taken from the working directory.
        progress: Told how many images are read, where they are decoded one by one.
        cache: A folder that keeps decoded images, so that a second reading decodes none of them.

    Raises:
        LosstuneError: If the settings are wrong, or the data missing or unfit; the message says what is wanted.
    """
    check_settings(settings)
    root = Path(settings.root)
    if settings.name == "digits":
        raw = digits.load()
    elif settings.name == "npz":
        raw = npz.load(root)
    elif settings.name == "imagefolder":
        raw = imagefolder.load(
            root, image_size=settings.image_size, progress=progress, cache=cache, to_split=True
        )
    else:
        raw = torchvision_datasets.load(
            settings.name,
            root,
            download=settings.download,
            image_size=settings.image_size,
            progress=progress,
        )
    if len(raw.class_names) < 2:
        raise LosstuneError(f"data.name: {settings.name} in {root} has only one class, expected two or more")
    require_printable(raw.class_names, root)
    return raw


def inspect(settings: DataSettings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the class names of a folder of images, and what a person should know of how data will be read.

    No sample is read. Data that isn't there yet, or whose source has no such facts, has neither names nor notes.

    Raises:
        LosstuneError: If the data is there and is not what is wanted, as far as names of files and arrays show it.
    """
    root = Path(settings.root)
    if settings.name == "npz" and os.path.exists(root):
        return (), npz.inspect(root)
    if settings.name == "imagefolder" and os.path.exists(root):
        layout = imagefolder.inspect(root)
        return layout.class_names, layout.notes
    return (), ()


def check_settings(settings: DataSettings) -> None:
    """Raise where the settings alone show that nothing can be loaded; no file is looked at.

    Raises:
        LosstuneError: If no source has the name, or the image size would be ignored.
    """
    check_name(settings.name)
    if settings.image_size is not None and settings.name in {"digits", "npz"}:
        raise LosstuneError(
            f"data.image_size: found {settings.image_size}, expected null: {settings.name} is taken as it is"
        )


def check_name(name: str) -> None:
    """Raise where no source has the name.

    Raises:
        LosstuneError: With the nearest name, and all there are.
    """
    if name not in NAMES:
        raise LosstuneError(
            f"data.name: found {name!r}, expected digits, imagefolder, npz or a torchvision data set"
            f"{did_you_mean(name, NAMES)} (torchvision's: {', '.join(torchvision_datasets.SOURCES)})"
        )
