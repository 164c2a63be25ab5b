"""A folder of images, one folder a class.

Two layouts are read. With a ``train`` folder that holds class folders, the folders are splits: ``test``, or
else ``val``, is the test split; where both are there, ``val`` joins the training data, of which
``data.validation_fraction`` is then held out. Without one, every folder is a class, and the splits are drawn.
Names of splits may be longer (``training``, ``testing``, ``valid``, ``validation``) and in any case.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from losstune.data.decoding import decode
from losstune.data.raw import Array, Labels, RawData, ReportProgress, require_printable
from losstune.data.splits import require_splittable
from losstune.errors import LosstuneError

SUFFIXES = frozenset(
    ".avif .bmp .gif .jfif .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split()  # noqa: SIM905
)

_SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_CACHE_VERSION = 1


@dataclass(frozen=True, slots=True)
class _File:
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
    """Read all images below `root`, passing over hidden files and what is no image by its ending.

    Args:
        root: See the module's text for the layouts.
        image_size: Pixels a side that every image is resized to; None where all have the same size.
        progress: Told how many images are decoded.
        cache: A folder that keeps the decoded images, by the files' relative paths, sizes and times, and by
            `image_size`.
        to_split: Whether every class has to have an image for each split that is still to be drawn.

    Raises:
        LosstuneError: If the folder or its images are missing or unfit; the message names the file or folder.
    """
    root = root.absolute()
    if not root.is_dir():
        raise LosstuneError(
            f"data.root: no folder {root}; expected one with a folder per class, or with train/ and test/"
        )
    try:
        folders = _split_folders(root)
        classes = [_class_folders(folder) for folder in folders]
        class_names = tuple(classes[0])
        require_printable(class_names, root)
        _require_same_classes(folders, classes)
        files_per_split = [_list_files(list(paths.values())) for paths in classes]
    except OSError as error:
        raise LosstuneError(f"data.root: cannot be read: {error}") from None

    files = [file for files_of_split in files_per_split for file in files_of_split]
    labels: Labels = np.array([file.label for file in files], dtype=np.int64)
    num_test = len(files_per_split[-1]) if len(folders) > 1 else 0
    if to_split:  # told before minutes of decoding, not after them
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
        return RawData(images, labels, class_names)
    return RawData(
        images[:-num_test], labels[:-num_test], class_names, images[-num_test:], labels[-num_test:]
    )


def _visible(folder: str | Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if not entry.name.startswith(".") and entry.name != "__MACOSX"]
    return sorted(visible, key=lambda entry: os.fsencode(entry.name))


def _is_image(entry: os.DirEntry[str]) -> bool:
    return os.path.splitext(entry.name)[1].lower() in SUFFIXES and not entry.is_dir()


def _holds_class_folders(folder: str | Path) -> bool:
    entries = _visible(folder)
    return any(entry.is_dir() for entry in entries) and not any(_is_image(entry) for entry in entries)


def _split_folders(root: Path) -> list[Path]:
    """Return the folders of the splits, the test split last, or the root alone where there are none."""
    found: dict[str, Path] = {}
    for entry in _visible(root):
        split = next((split for split, names in _SPLIT_NAMES.items() if entry.name.lower() in names), None)
        # A class may be called "train", too: a split's folder holds folders, a class's holds images.
        if split is None or not entry.is_dir() or not _holds_class_folders(entry.path):
            continue
        if split in found:
            raise LosstuneError(
                f"data.root: {root} has both {found[split].name} and {entry.name}; expected one"
            )
        found[split] = Path(entry.path)
    if found and "train" not in found:
        names = " and ".join(path.name for path in found.values())
        raise LosstuneError(f"data.root: {root} has {names} with class folders in it, but no train")
    return [found[split] for split in _SPLIT_NAMES if split in found] or [root]


def _class_folders(folder: Path) -> dict[str, str]:
    classes: dict[str, str] = {}
    for entry in _visible(folder):
        if not entry.is_dir():
            continue
        # One spelling of accents, and no undecodable bytes: the names are part of the data's digest.
        name = unicodedata.normalize("NFC", os.fsencode(entry.name).decode("utf-8", "replace"))
        if name in classes:
            raise LosstuneError(f"data.root: {entry.path} and {classes[name]} spell the same name")
        classes[name] = entry.path
    if len(classes) < 2:
        found = f"one class folder ({next(iter(classes))})" if classes else "no class folders"
        inner = next(iter(classes.values()), None)
        guess = f"; did you mean {inner}?" if inner and _holds_class_folders(inner) else ""
        raise LosstuneError(f"data.root: found {found} in {folder}, expected two or more{guess}")
    return dict(sorted(classes.items()))


def _require_same_classes(folders: Sequence[Path], classes: Sequence[dict[str, str]]) -> None:
    for folder, names in zip(folders[1:], classes[1:], strict=True):
        for name in sorted(classes[0].keys() ^ names.keys()):
            here, missing = (folders[0], folder) if name in classes[0] else (folder, folders[0])
            raise LosstuneError(
                f"data.root: class {name!r} is in {here} and not in {missing}, "
                "expected the same class folders in both"
            )


def _list_files(class_folders: Sequence[str]) -> list[_File]:
    files: list[_File] = []
    for label, folder in enumerate(class_folders):
        files_of_class = [
            _File(entry.path, status.st_size, status.st_mtime_ns, label)
            for entry in _images_below(folder, {os.path.realpath(folder)})
            for status in (entry.stat(),)
        ]
        if not files_of_class:
            raise LosstuneError(
                f"data.root: class folder {folder} has no images (by their ending: .png, .jpg, ...)"
            )
        files.extend(files_of_class)
    empty = next((file for file in files if file.num_bytes == 0), None)
    if empty is not None:
        raise LosstuneError(f"{empty.path}: not a readable image (the file is empty)")
    return files


def _images_below(folder: str, seen: set[str]) -> Iterator[os.DirEntry[str]]:
    for entry in _visible(folder):
        if entry.is_dir():
            # A link to a folder above would never end.
            target = os.path.realpath(entry.path)
            if target not in seen:
                seen.add(target)
                yield from _images_below(entry.path, seen)
        elif _is_image(entry):
            yield entry


def _key(root: Path, files: Sequence[_File], image_size: int | None) -> str:
    hasher = hashlib.sha256(f"{_CACHE_VERSION} {image_size}".encode())
    for file in files:
        hasher.update(os.fsencode(os.path.relpath(file.path, root)))
        hasher.update(f"\0{file.num_bytes} {file.modified_ns} {file.label}\n".encode())
    return hasher.hexdigest()


def _decode_into(path: Path, decode_files: Callable[..., Array]) -> Array:
    """Decode straight into a mapped file, whole or absent, unless it is there already."""
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
            # Writing to a mapped file on a full disk would kill the process without a word.
            with open(part, "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, os.path.getsize(part))
        return images

    try:
        decode_files(allocate=allocate)
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        with suppress(OSError):  # as it was before: a folder that holds something by now stays
            for folder in made:
                folder.rmdir()
        raise
    return _open_mapped(path)


def _open_mapped(path: Path) -> Array:
    images: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return images
