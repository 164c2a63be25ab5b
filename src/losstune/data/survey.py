"""Look at a data set before there is a study: what it is, its classes and sizes, and which settings it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from losstune.config.data import DataSettings
from losstune.core import own_code
from losstune.core.errors import LosstuneError, did_you_mean
from losstune.data import columns, digits, huggingface, imagefolder, npz, table, torchvision_datasets
from losstune.data.filetypes import ARRAYS, describe_file
from losstune.data.raw import RawData, describe_classes
from losstune.data.sources import NAMES
from losstune.data.splits import require_splittable

MOST_HEADERS = 1000
"""Images whose size is read from the file's header; reading takes a second."""

MOST_BYTES = 1 << 30
"""A larger ``.npz`` file is not read here."""

MUCH_LARGER = 3
"""Classes count as unequal if the largest has this many times the samples of the smallest."""

_SIDES = (16, 24, 32, 48, 64, 96, 128, 160, 192, 224)
_TURNED = range(5, 9)
_ORIENTATION_TAG = 0x0112
_GREY = {"1", "L", "I;16", "I"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a data set is.

    Attributes:
        settings: Keys of the section ``data`` that it needs.
        has_files: Whether its files are at ``data.root``, or may be.
        class_names: In the order of the labels; empty if only reading the data gives them.
        class_counts: Samples of each class, those of the data's own test split included.
        input_shape: Shape of a sample, ``(C, H, W)`` or ``(D,)``; None if it is not known.
        facts: Facts for the user, a sentence each, without the full stop.
        has_soft_labels: Whether its labels are distributions.
    """

    settings: dict[str, Any]
    has_files: bool = False
    class_names: tuple[str, ...] = ()
    class_counts: tuple[int, ...] = ()
    input_shape: tuple[int, ...] | None = None
    facts: tuple[str, ...] = field(default=())
    has_soft_labels: bool = False

    @property
    def imbalance(self) -> float:
        """The size of the largest class, relative to the smallest."""
        return max(self.class_counts) / max(1, min(self.class_counts)) if self.class_counts else 1.0


def survey(name: str, *, most_pixels: int) -> Survey:
    """Look at a data set, without decoding images.

    Args:
        name: A folder of images or of Hugging Face's ``save_to_disk``, an ``.npz`` file, a table, the name of a data
            set, or a reference to a user's loader.
        most_pixels: The most pixels a side that the model needs; larger images are to be resized.

    Raises:
        LosstuneError: If there is nothing of that name, or it is no data for a classifier.
    """
    path = Path(name)
    if name == "digits":
        return _of_arrays({"name": "digits"}, digits.load())
    if name in torchvision_datasets.SOURCES:
        return _of_torchvision(name)
    if own_code.is_own(name) and not path.exists():
        own_code.code_digest(name, "PATH")
        facts = ("read by your own code; if you name its files as data.root, DVC notices when they change",)
        return Survey(settings={"name": name}, has_files=True, facts=facts)
    if path.is_dir() and huggingface.is_saved(path):
        return _of_saved(path, most_pixels)
    if path.is_dir():
        return _of_folder(path, most_pixels)
    if not path.exists():
        near = did_you_mean(name, [*NAMES, *(entry.name for entry in path.absolute().parent.glob("*"))])
        raise LosstuneError(
            f"{name}: no such file or folder, and no data set of that name{near}; expected a folder of images, an .npz "
            "file, a table (.csv, .parquet), digits, a torchvision data set such as MNIST, or your own loader as "
            "my_data.py:load"
        )
    if table.is_table(path):
        return _of_table(path)
    if (kind := describe_file(path)) != ARRAYS:
        raise LosstuneError(f"{name}: found {kind}; expected a folder of images or an .npz file with images and labels")
    if path.stat().st_size > MOST_BYTES:
        settings = {"name": "npz", "root": name}
        return Survey(settings=settings, has_files=True, facts=(*npz.inspect(path), "too large to be read here"))
    return _of_arrays({"name": "npz", "root": name}, npz.load(path), has_files=True, place=name)


def _of_table(path: Path) -> Survey:
    names = table.names(path)
    label = columns.LABEL if columns.LABEL in names else names[-1]
    settings: dict[str, Any] = {"name": "table", "root": path.as_posix()} | (
        {} if label == columns.LABEL else {"label": label}
    )
    found = _of_arrays(settings, table.load(path, DataSettings(**settings)), has_files=True, place=str(path))
    guess = "" if label == columns.LABEL else ", the last one; data.label names another"
    return replace(found, facts=(f"labels are in the column {label}{guess}", *found.facts))


def _of_saved(root: Path, most_pixels: int) -> Survey:
    settings: dict[str, Any] = {"name": "huggingface", "root": root.as_posix()}
    saved = huggingface.Saved.of(root.absolute(), DataSettings(**settings))
    if saved.image is None:
        return _of_arrays(settings, huggingface.load(root, DataSettings(**settings)), has_files=True, place=str(root))
    labelled = saved.labelled({split: saved.frame(split, saved.others) for split in saved.parts})
    images = saved.images()
    openers = [(images.name_of(index), partial(images.open, index)) for index in range(len(images))]
    return _of_images(settings, labelled, openers, saved.notes, most_pixels, str(root))


def _of_torchvision(name: str) -> Survey:
    root = Path("data/raw")
    is_there = root.is_dir() and any(entry.name != ".gitkeep" for entry in root.iterdir())
    where = f"its files are expected in {root}" if is_there else f"`prepare` downloads it into {root}"
    source = torchvision_datasets.SOURCES[name]
    own_test = "it has a test split of its own" if source.test else "the test split is drawn from it"
    return Survey(settings={"name": name} | ({} if is_there else {"download": True}), facts=(where, own_test))


def _of_arrays(settings: dict[str, Any], raw: RawData, *, has_files: bool = False, place: str = "digits") -> Survey:
    raw = raw.with_features(np.arange(len(raw.labels)))
    _require_classes(raw.class_names, place)
    _require_splittable(raw.labels, raw.class_names, raw.test_labels is not None, place)
    labels = raw.labels if raw.test_labels is None else np.concatenate([raw.labels, raw.test_labels])
    counts = np.bincount(labels, minlength=len(raw.class_names))
    shape = tuple(raw.images.shape[1:])
    kind = "x".join(map(str, shape)) if len(shape) == 3 else f"{shape[0]} features"
    return Survey(
        settings=settings,
        has_files=has_files,
        class_names=raw.class_names,
        class_counts=tuple(counts.tolist()),
        input_shape=shape,
        facts=(
            describe_classes(raw.class_names),
            f"{len(labels):,} samples of {kind}, {_per_class(counts.tolist())}",
            _test_split(0 if raw.test_labels is None else len(raw.test_labels)),
            *(note.rstrip(".") for note in raw.notes),
        ),
        has_soft_labels=raw.targets is not None,
    )


def _of_folder(root: Path, most_pixels: int) -> Survey:
    layout = imagefolder.inspect(root)
    splits = imagefolder.list_images(layout)
    files = [file for split in splits for file in split]
    labels = np.array([file.label for file in files])
    num_rest = len(labels) - (len(splits[-1]) if layout.has_test else 0)
    test_labels = labels[num_rest:] if layout.has_test else None
    labelled = {"labels": labels[:num_rest], "class_names": layout.class_names, "test_labels": test_labels}
    openers = [(file.path, partial(Image.open, file.path)) for file in files]
    settings = {"name": "imagefolder", "root": root.as_posix()}
    return _of_images(settings, labelled, openers, layout.notes, most_pixels, str(root))


def _of_images(
    settings: dict[str, Any],
    labelled: Mapping[str, Any],
    images: Sequence[tuple[str, Callable[[], Image.Image]]],
    notes: Sequence[str],
    most_pixels: int,
    place: str,
) -> Survey:
    """Return the survey of images that are not decoded.

    Args:
        settings: As the survey's, without the image size.
        labelled: Labels and names of classes, as arguments of :class:`RawData`.
        images: Name of each image, and what opens it.
        notes: How the data is read, one sentence each.
        most_pixels: As for :func:`survey`.
        place: Start of error messages.
    """
    class_names, labels, test_labels = (labelled[name] for name in ("class_names", "labels", "test_labels"))
    _require_classes(class_names, place)
    _require_splittable(labels, class_names, test_labels is not None, place)
    everywhere = labels if test_labels is None else np.concatenate([labels, test_labels])
    counts = np.bincount(everywhere, minlength=len(class_names)).tolist()
    sizes, is_grey = _sizes(images)
    side = _side(sizes, most_pixels)
    width, height = (side, side) if side else sizes[0]
    return Survey(
        settings=settings | ({"image_size": side} if side else {}),
        has_files=True,
        class_names=class_names,
        class_counts=tuple(counts),
        input_shape=(1 if is_grey else 3, height, width),
        facts=(
            describe_classes(class_names),
            f"{len(images):,} images, {_per_class(counts)}",
            _test_split(0 if test_labels is None else len(test_labels)),
            *(note.rstrip(".") for note in notes),
            _describe_sizes(sizes, side),
        ),
    )


def _require_classes(class_names: Sequence[str], place: str) -> None:
    if len(class_names) < 2:
        raise LosstuneError(f"{place}: has only one class, expected two or more")


def _require_splittable(labels: Any, class_names: Sequence[str], has_test: bool, place: str) -> None:
    try:
        require_splittable(labels, class_names, has_test=has_test)
    except LosstuneError as error:
        raise LosstuneError(f"{place}: {error}") from None


def _per_class(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    if low == high:
        return f"{low:,} per class"
    unequal = (
        f": the largest class has {high / max(1, low):.1f} times the smallest" if high >= MUCH_LARGER * low else ""
    )
    return f"{low:,} to {high:,} per class{unequal}"


def _test_split(num_test: int) -> str:
    if num_test:
        return f"its own test split has {num_test:,} of them"
    return "the test split is drawn from them, as a fifth"


def _sizes(images: Sequence[tuple[str, Callable[[], Image.Image]]]) -> tuple[list[tuple[int, int]], bool]:
    """Return width and height of images spread over the files, upright, and whether all of them are grey."""
    step = max(1, len(images) // MOST_HEADERS)
    sizes, is_grey = [], True
    for name, open_image in images[::step]:
        try:
            with open_image() as image:
                width, height = image.size
                is_turned = image.getexif().get(_ORIENTATION_TAG, 1) in _TURNED
                is_grey = is_grey and image.mode in _GREY
        except Exception as error:  # decoders raise errors of nearly any type on damaged files
            reason = " ".join(str(error).split()) or type(error).__name__
            raise LosstuneError(f"{name}: not a readable image ({reason})") from None
        sizes.append((height, width) if is_turned else (width, height))
    return sizes, is_grey


def _side(sizes: Sequence[tuple[int, int]], most_pixels: int) -> int | None:
    """Return the side to resize to; None if all images have one size, which is small enough."""
    if len(set(sizes)) == 1 and max(sizes[0]) <= most_pixels:
        return None
    usual = int(np.median([min(size) for size in sizes]))
    fitting = [side for side in _SIDES if side <= min(usual, most_pixels)]
    return fitting[-1] if fitting else max(4, usual)


def _describe_sizes(sizes: Sequence[tuple[int, int]], side: int | None) -> str:
    small, large = (f"{width}x{height}" for width, height in (min(sizes, key=_area), max(sizes, key=_area)))
    found = f"{small} pixels" if len(set(sizes)) == 1 else f"from {small} to {large} pixels"
    return f"{found}, resized to {side}x{side} (data.image_size)" if side else f"{found}, not resized"


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]
