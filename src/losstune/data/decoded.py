"""Decoded images on the disk, so that they are decoded only once and need not fit in memory."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np

from losstune.core.errors import LosstuneError
from losstune.core.files import write_json
from losstune.data.arrays import write_array
from losstune.data.decoding import Allocate
from losstune.data.raw import Array, Labels


class Decode(Protocol):
    """Decodes all images; collects those that cannot be decoded, if it gets a set."""

    def __call__(self, *, allocate: Allocate | None = None, bad: set[int] | None = None) -> Array:
        """Return the images (N, C, H, W); those in `bad` are left undefined."""


def decoded(decode: Decode, num_images: int, path: Path | None, *, skip_bad: bool) -> tuple[Array, Labels]:
    """Return the images that can be decoded, and the indices of the others.

    Args:
        decode: Decodes all images.
        num_images: Number of images.
        path: The memory-mapped file to keep them in, or to take them from; None to keep them in memory.
        skip_bad: Whether images that cannot be decoded are left out; else one is an error.

    Raises:
        LosstuneError: As `decode`.
    """
    if path is None:
        bad: set[int] | None = set() if skip_bad else None
        images = decode(bad=bad)
        missing: Labels = np.array(sorted(bad or ()), dtype=np.int64)
        return (images[_others(num_images, missing)] if len(missing) else images), missing
    listing = path.with_suffix(".skipped.json")
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
        missing = np.array(json.loads(listing.read_bytes()) if skip_bad else [], dtype=np.int64)
        if len(images) + len(missing) == num_images:
            return images, missing
    except (OSError, ValueError):
        pass
    return _decode_into(path, listing, decode, skip_bad=skip_bad)


def _others(num_images: int, missing: Labels) -> Labels:
    return np.setdiff1d(np.arange(num_images, dtype=np.int64), missing)


def _decode_into(path: Path, listing: Path, decode: Decode, *, skip_bad: bool) -> tuple[Array, Labels]:
    """Decode into a file and map it. A crash leaves no partial file."""
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _temporary(path.parent)

    def allocate(shape: tuple[int, ...]) -> Array:
        images = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        if hasattr(os, "posix_fallocate"):
            # Writing to a mapped file on a full disk would kill the process without a message.
            with open(part, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, os.path.getsize(part))
        return images

    parts = [part]
    try:
        bad: set[int] | None = set() if skip_bad else None
        images = decode(allocate=allocate, bad=bad)
        missing: Labels = np.array(sorted(bad or ()), dtype=np.int64)
        if len(missing):
            parts.append(_temporary(path.parent))
            write_array(Path(parts[-1]), images, _others(len(images), missing))
        if skip_bad:
            write_json(listing, missing.tolist())  # before the images, which say that both are there
        os.replace(parts[-1], path)
    except BaseException:
        for name in parts:
            Path(name).unlink(missing_ok=True)
        with suppress(OSError):  # a folder that is no longer empty stays
            for folder in made:
                folder.rmdir()
        raise
    if len(parts) > 1:
        Path(part).unlink()
    mapped: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped, missing


def _temporary(folder: Path) -> str:
    handle, name = tempfile.mkstemp(dir=folder, suffix=".part")
    os.close(handle)
    return name


def require_most(labels: Labels, missing: Labels, class_names: Sequence[str], where: str) -> None:
    """Check that at least half of the images of each class could be read.

    Args:
        labels: The class of each image, (N,), those that could not be read included.
        missing: Indices of those that could not be read.
        class_names: In the order of the labels.
        where: Start of the error message.

    Raises:
        LosstuneError: If not; the message names the class.
    """
    num_all = np.bincount(labels, minlength=len(class_names))
    num_bad = np.bincount(labels[missing], minlength=len(class_names))
    worst = int((num_bad / np.maximum(num_all, 1)).argmax())
    if 2 * num_bad[worst] > num_all[worst]:
        raise LosstuneError(
            f"{where}: {num_bad[worst]:,} of {num_all[worst]:,} images of class {class_names[worst]!r} cannot be read, "
            "expected at most half of them (data.on_bad_image: skip leaves images out)"
        )
