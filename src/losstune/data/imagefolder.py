"""An image folder: one folder a class, or one such folder for each split.

If there is a ``train`` folder with class folders in it, the folders are splits. ``test``, or else ``val``, is the test
split. If both exist, ``val`` joins the training data, and ``data.validation_fraction`` of that is held out. Without a
``train`` folder every folder is a class, and the splits are drawn. See :mod:`losstune.data.folders`.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from losstune.core.errors import LosstuneError
from losstune.data.decoding import decode
from losstune.data.filetypes import describe_file
from losstune.data.folders import Layout, find_layout
from losstune.data.raw import Array, Labels, RawData, ReportProgress, shortlist
from losstune.data.splits import require_splittable
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
) -> RawData:
    """Read all images below `root`, without hidden files and files whose extension is not an image's.

    Args:
        root: Root folder; the module docstring describes the layouts.
        image_size: Side in pixels to which every image is resized; None if all have the same size.
        progress: Called with the number of decoded images.
        cache: A folder for the decoded images, keyed by the files' relative paths, sizes and times, and by
            `image_size`.
        to_split: Whether to check that every class has an image for each split that is still to be drawn.

    Raises:
        LosstuneError: If the folder or its images are missing or invalid; the message names the file or folder.
    """
    root = root.absolute()
    layout = inspect(root)
    passed_over: Counter[str] = Counter()
    files_per_split = list_images(layout, passed_over)
    files = [file for files_of_split in files_per_split for file in files_of_split]
    labels: Labels = np.array([file.label for file in files], dtype=np.int64)
    num_test = len(files_per_split[-1]) if layout.has_test else 0
    class_names, notes = layout.class_names, layout.notes
    if passed_over:
        endings = shortlist([f"{number:,} {ending}" for ending, number in passed_over.most_common()])
        notes += (f"Not read in the class folders, as the extension is not an image's: {endings}.",)
    if to_split:  # fails before minutes of decoding
        try:
            require_splittable(labels[: len(labels) - num_test], class_names, has_test=num_test > 0)
        except LosstuneError as error:
            raise LosstuneError(f"data.root: {root}: {error}") from None
    decode_files = partial(
        decode,
        len(files),
        lambda index: Image.open(files[index].path),
        lambda index: files[index].path,
        image_size=image_size,
        progress=progress,
    )
    if cache is None:
        images = decode_files()
    else:
        images = _decode_into(cache / f"{_key(root, files, image_size)}.npy", decode_files)
    if not num_test:
        return RawData(images, labels, class_names, notes=notes)
    return RawData(images[:-num_test], labels[:-num_test], class_names, images[-num_test:], labels[-num_test:], notes)


def inspect(root: Path) -> Layout:
    """Return the folder's splits and classes, without opening images or listing the class folders.

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
        return find_layout(root)
    except OSError as error:
        raise LosstuneError(f"data.root: cannot be read: {error}") from None


def list_images(layout: Layout, passed_over: Counter[str] | None = None) -> list[list[ImageFile]]:
    """Return the images of each split of a layout, without opening them.

    Args:
        layout: As :func:`inspect` returns it.
        passed_over: Counts the other files by their extension.

    Raises:
        LosstuneError: If a class has no image, or a file is empty.
    """
    others = Counter[str]() if passed_over is None else passed_over
    try:
        return [
            _list_files([paths.get(name) for name in layout.class_names], others, may_lack=number > 0)
            for number, paths in enumerate(layout.classes)
        ]
    except OSError as error:
        raise LosstuneError(f"data.root: cannot be read: {error}") from None


def _list_files(class_folders: Sequence[str | None], passed_over: Counter[str], *, may_lack: bool) -> list[ImageFile]:
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
    if empty is not None:
        raise LosstuneError(f"{empty.path}: not a readable image (the file is empty)")
    return files


def _key(root: Path, files: Sequence[ImageFile], image_size: int | None) -> str:
    hasher = hashlib.sha256(f"{_CACHE_VERSION} {image_size}".encode())
    for file in files:
        hasher.update(os.fsencode(os.path.relpath(file.path, root)))
        hasher.update(f"\0{file.num_bytes} {file.modified_ns} {file.label}\n".encode())
    return hasher.hexdigest()


def _decode_into(path: Path, decode_files: Callable[..., Array]) -> Array:
    """Return the memory-mapped cache file; if there is none, decode into it. A crash leaves no partial file."""
    try:
        return _open_mapped(path)
    except (OSError, ValueError):
        pass
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)

    def allocate(shape: tuple[int, ...]) -> Array:
        images = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        if hasattr(os, "posix_fallocate"):
            # Writing to a mapped file on a full disk would kill the process without a message.
            with open(part, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, os.path.getsize(part))
        return images

    try:
        decode_files(allocate=allocate)
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        with suppress(OSError):  # a folder that is no longer empty stays
            for folder in made:
                folder.rmdir()
        raise
    return _open_mapped(path)


def _open_mapped(path: Path) -> Array:
    images: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return images
