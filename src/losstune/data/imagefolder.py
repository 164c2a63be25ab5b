"""An image folder: one folder a class, or one such folder for each split.

If there is a ``train`` folder with class folders in it, the folders are splits. ``test``, or else ``val``, is the test
split. If both exist, ``val`` joins the training data, and ``data.validation_fraction`` of that is held out. Without a
``train`` folder every folder is a class, and the splits are drawn. With ``data.own_validation``, ``val`` is the
validation split. See :mod:`losstune.data.folders`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from losstune.core.errors import LosstuneError
from losstune.data.decoded import Decode, decoded, require_most
from losstune.data.decoding import SKIP, decode
from losstune.data.encoded import Checked, EncodedImages, Files
from losstune.data.filetypes import describe_file
from losstune.data.folders import Layout, find_layout
from losstune.data.groups import read_groups, require_groups
from losstune.data.raw import Array, Labels, RawData, ReportProgress, printable, shortlist
from losstune.data.splits import require_every_class
from losstune.data.walk import files_below, is_image

_CACHE_VERSION = 1


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file with the extension of an image, and the label of its class folder."""

    path: str
    num_bytes: int
    modified_ns: int
    label: int


def load(
    root: Path,
    *,
    image_size: int | None,
    progress: ReportProgress | None = None,
    cache: Path | None = None,
    to_split: bool = False,
    own_validation: bool = False,
    groups: str | None = None,
    skip_bad: bool = False,
    encoded: bool = False,
) -> RawData:
    """Read all images below `root`, without hidden files and files whose extension is not an image's.

    Args:
        root: Root folder; the module docstring describes the layouts.
        image_size: Side in pixels to which every image is resized; None if all have the same size.
        progress: Called with the number of decoded images.
        cache: A folder for the decoded images, keyed by the files' relative paths, sizes and times, and by
            `image_size`.
        to_split: Whether to check that every class has an image for each split that is still to be drawn.
        own_validation: Whether a folder of validation images is the validation split.
        groups: A regular expression that is searched for in each file's path relative to the root; its first group is
            the group of the image. None without groups.
        skip_bad: Whether images that cannot be read are left out; else one is an error.
        encoded: Whether the images stay encoded, as :class:`losstune.data.encoded.EncodedImages`; each is decoded once,
            as a check.

    Raises:
        LosstuneError: If the folder or its images are missing or invalid; the message names the file or folder.
    """
    root = root.absolute()
    layout = inspect(root, own_validation=own_validation)
    passed_over: Counter[str] = Counter()
    files_per_split = list_images(layout, passed_over, skip_bad=skip_bad)
    files = [file for files_of_split in files_per_split for file in files_of_split]
    labels: Labels = np.array([file.label for file in files], dtype=np.int64)
    number_of_split = np.repeat(np.arange(len(files_per_split)), [len(split) for split in files_per_split])
    group_of = _groups(root, files, groups)
    class_names, notes = layout.class_names, layout.notes
    if passed_over:
        endings = shortlist([f"{number:,} {ending}" for ending, number in passed_over.most_common()])
        notes += (f"Not read in the class folders, as the extension is not an image's: {endings}.",)
    if to_split:  # fails before minutes of decoding
        drawn = (
            number_of_split == 0 if layout.has_validation else number_of_split < len(layout.folders) - layout.has_test
        )
        num_splits = 3 - layout.has_test - layout.has_validation
        try:
            require_every_class(
                labels[drawn], class_names, minimum=num_splits, where=f"data to split {num_splits} ways"
            )
            if group_of is not None:
                require_groups(labels[drawn], group_of[drawn], class_names, num_splits=num_splits)
        except LosstuneError as error:
            raise LosstuneError(f"data.root: {root}: {error}") from None
    decode_files: Decode = partial(
        decode,
        len(files),
        lambda index: Image.open(files[index].path),
        lambda index: files[index].path,
        image_size=image_size,
        progress=progress,
    )
    images: Array | EncodedImages
    if encoded:
        images, missing = _checked(files, decode_files, image_size, skip_bad=skip_bad)
    else:
        path = None if cache is None else cache / f"{_key(root, files, image_size, skip_bad)}.npy"
        images, missing = decoded(decode_files, len(files), path, skip_bad=skip_bad)
    skipped = tuple(os.path.relpath(files[index].path, root) for index in missing.tolist())
    if skipped:
        require_most(labels, missing, class_names, f"data.root: {root}")
        kept = np.delete(np.arange(len(files)), missing)
        labels, number_of_split = labels[kept], number_of_split[kept]
        group_of = None if group_of is None else group_of[kept]
    num_rest = int((number_of_split < len(files_per_split) - layout.has_test).sum())
    return RawData(
        images[:num_rest],
        labels[:num_rest],
        class_names,
        images[num_rest:] if layout.has_test else None,
        labels[num_rest:] if layout.has_test else None,
        notes,
        np.flatnonzero(number_of_split == 1) if layout.has_validation else None,
        groups=None if group_of is None else group_of[:num_rest],
        test_groups=group_of[num_rest:] if group_of is not None and layout.has_test else None,
        skipped=tuple(map(printable, skipped)),
    )


def _checked(
    files: Sequence[ImageFile], decode_files: Decode, image_size: int | None, *, skip_bad: bool
) -> tuple[EncodedImages, Labels]:
    """Return the images that can be decoded, encoded as they are, and the indices of the others."""
    bad: set[int] | None = set() if skip_bad else None
    channels, height, width = decode_files(allocate=Checked, bad=bad).shape[1:]
    missing = bad or set()
    paths = [file.path for index, file in enumerate(files) if index not in missing]
    images = EncodedImages(Files(paths), (channels, height, width), resized=image_size is not None)
    return images, np.array(sorted(missing), dtype=np.int64)


def _groups(root: Path, files: Sequence[ImageFile], pattern: str | None) -> Labels | None:
    """Return the group of each image, by its path."""
    if pattern is None:
        return None
    shown = printable(pattern)
    search = re.compile(pattern).search
    names = []
    for file in files:
        path = Path(os.path.relpath(file.path, root)).as_posix()
        match = search(path)
        if match is None or match[1] is None:
            raise LosstuneError(
                f"data.groups: '{shown}' does not match {printable(path)!r}, a path relative to {root}; expected a "
                "regular expression whose first group is found in each"
            )
        names.append(match[1])
    return read_groups({"data.groups": np.array(names)})[0]


def require_pattern(pattern: str) -> None:
    """Check the regular expression of the groups.

    Raises:
        LosstuneError: If it is none, or has no group.
    """
    found = f"data.groups: found '{printable(pattern)}'"  # as it was written, without doubled backslashes
    example = r"such as (patient\d+)_ or ^[^/]+/[^/]+/([^_]+)"
    try:
        num_groups = re.compile(pattern).groups
    except re.error as error:
        raise LosstuneError(f"{found}: {error}; expected a regular expression, {example}") from None
    if not num_groups:
        raise LosstuneError(
            f"{found} without a group in parentheses, expected a regular expression whose first group is the name, "
            f"{example}"
        )


def inspect(root: Path, *, own_validation: bool = False) -> Layout:
    """Return the folder's splits and classes, without opening images or listing the class folders.

    Args:
        root: Root folder.
        own_validation: Whether a folder of validation images is the validation split.

    Raises:
        LosstuneError: If the folder does not exist or has none of the layouts.
    """
    root = root.absolute()
    if not root.is_dir():
        there = f"; there is a file, {describe_file(root)}" if root.is_file() else ""
        raise LosstuneError(
            f"data.root: no folder {root}; expected one with a folder per class, or with train/ and test/{there}"
        )
    try:
        return find_layout(root, own_validation=own_validation)
    except OSError as error:
        raise LosstuneError(f"data.root: cannot be read: {error}") from None


def list_images(
    layout: Layout, passed_over: Counter[str] | None = None, *, skip_bad: bool = False
) -> list[list[ImageFile]]:
    """Return the images of each split of a layout, without opening them.

    Args:
        layout: As :func:`inspect` returns it.
        passed_over: Counts the other files by their extension.
        skip_bad: Whether an empty file is listed; else it is an error.

    Raises:
        LosstuneError: If a class has no image, or a file is empty.
    """
    others = Counter[str]() if passed_over is None else passed_over
    try:
        return [
            _list_files(
                [paths.get(name) for name in layout.class_names], others, may_lack=number > 0, skip_bad=skip_bad
            )
            for number, paths in enumerate(layout.classes)
        ]
    except OSError as error:
        raise LosstuneError(f"data.root: cannot be read: {error}") from None


def _list_files(
    class_folders: Sequence[str | None], passed_over: Counter[str], *, may_lack: bool, skip_bad: bool
) -> list[ImageFile]:
    files: list[ImageFile] = []
    for label, folder in enumerate(class_folders):
        if folder is None:
            continue
        files_of_class = []
        for entry in files_below(folder):
            if is_image(entry):
                status = entry.stat()
                files_of_class.append(ImageFile(entry.path, status.st_size, status.st_mtime_ns, label))
            else:
                passed_over[os.path.splitext(entry.name)[1].lower() or "without extension"] += 1
        if not files_of_class and not may_lack:
            raise LosstuneError(f"data.root: class folder {folder} has no images (files with .png, .jpg, ...)")
        files.extend(files_of_class)
    if not files:
        folder = os.path.dirname(next(filter(None, class_folders)))
        raise LosstuneError(f"data.root: the class folders in {folder} have no images (files with .png, .jpg, ...)")
    empty = next((file for file in files if file.num_bytes == 0), None)
    if empty is not None and not skip_bad:
        raise LosstuneError(f"{empty.path}: not a readable image (the file is empty); {SKIP}")
    return files


def _key(root: Path, files: Sequence[ImageFile], image_size: int | None, skip_bad: bool) -> str:
    hasher = hashlib.sha256(f"{_CACHE_VERSION} {image_size}{' skip' if skip_bad else ''}".encode())
    for file in files:
        hasher.update(os.fsencode(os.path.relpath(file.path, root)))
        hasher.update(f"\0{file.num_bytes} {file.modified_ns} {file.label}\n".encode())
    return hasher.hexdigest()
