"""A folder that ``save_to_disk`` of the library ``datasets`` wrote. Nothing is downloaded, and no code of it is run."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from losstune.config.data import DataSettings
from losstune.core.errors import LosstuneError, in_one_line
from losstune.data.column_features import from_frames
from losstune.data.columns import LABEL, Roles, labels_of
from losstune.data.decoded import Decode, decoded, require_most
from losstune.data.decoding import decode
from losstune.data.folders import split_named
from losstune.data.raw import Labels, RawData, ReportProgress, shortlist

_MARKS = ("dataset_dict.json", "state.json")
_EXPECTED = "expected a folder that save_to_disk of the library datasets wrote"
_SPLITS = {"train": "", "validation": "validation", "test": "test"}
"""Splits by the name that :func:`split_named` knows them by, in the order in which they are read."""


def is_saved(path: Path) -> bool:
    """Whether a folder looks like one that ``save_to_disk`` wrote."""
    return any((path / name).is_file() for name in _MARKS)


def load(
    root: Path, settings: DataSettings, *, progress: ReportProgress | None = None, cache: Path | None = None
) -> RawData:
    """Read the data set: its images, or else its other columns as the features of a table.

    Args:
        root: The folder.
        settings: ``data`` of ``params.yaml``.
        progress: Called with the number of decoded images.
        cache: A folder for the decoded images, keyed by names, sizes and times of the files and by the image size.

    Raises:
        LosstuneError: If ``datasets`` is not installed, or the folder, a column or an image is missing or not usable.
    """
    saved = Saved.of(root.absolute(), settings)
    if saved.image is not None:
        return _load_images(saved, settings, progress, cache)
    if settings.image_size is not None:
        raise LosstuneError(f"data.image_size: found {settings.image_size}, expected null: {saved.root} has no images")
    frames = {split: saved.frame(split, [*saved.others, *saved.roles.features]) for split in saved.parts}
    raw = from_frames(
        f"{saved.root}", frames, saved.roles, class_names=saved.class_names, own_validation=settings.own_validation
    )
    return replace(raw, notes=(*saved.notes, *raw.notes))


def inspect(root: Path, settings: DataSettings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the class names, if the labels have any, and notes for the user, without reading an image.

    Raises:
        LosstuneError: As :func:`load`, for what can be found without reading all rows.
    """
    saved = Saved.of(root.absolute(), settings)
    return saved.class_names or (), saved.notes


@dataclass(frozen=True, slots=True)
class Saved:
    """A saved data set, with its rows still on the disk.

    Attributes:
        root: The folder.
        parts: The data sets by split: ``""`` (the training data), ``"validation"``, ``"test"``, in this order.
        roles: What the columns are.
        image: The column of images; None if there is none.
        class_names: Names of the classes; None if the labels are their names, or numbers without names.
        notes: How splits and columns are used, for the user.
    """

    root: Path
    parts: dict[str, Any]
    roles: Roles
    image: str | None
    class_names: tuple[str, ...] | None
    notes: tuple[str, ...]

    @classmethod
    def of(cls, root: Path, settings: DataSettings) -> Saved:
        """Open the data set and decide what its columns are.

        Raises:
            LosstuneError: If ``datasets`` is not installed, or the folder or a column is missing or not usable.
        """
        parts, notes = _splits(root, settings)
        features = parts[""].features
        images = [name for name, kind in features.items() if _is(kind, "Image") and name not in settings.drop]
        if len(images) > 1:
            raise LosstuneError(
                f"{root}: found the columns of images {shortlist(images)}, expected one; name the others in data.drop"
            )
        classes = [name for name, kind in features.items() if _is(kind, "ClassLabel")]
        label = classes[0] if LABEL not in features and len(classes) == 1 else None
        roles = Roles.of(settings, list(features), f"{root}", label)
        labels = [*roles.labels, *([roles.noisy] if roles.noisy else [])]
        names = {tuple(features[name].names) for name in labels if _is(features[name], "ClassLabel")}
        if len(names) > 1:
            raise LosstuneError(f"{root}: {shortlist(labels)} have different classes, expected the same")
        saved = cls(root, parts, roles, images[0] if images else None, names.pop() if names else None, ())
        wanted = [*saved.others, *(images or roles.features)]
        for split, part in parts.items():
            for name in wanted:
                if name not in part.features:
                    raise LosstuneError(f"{root}: {split} has no column {name!r}, expected that of the training data")
        for name in () if images else roles.features:
            if not (_is(features[name], "Value") or _is(features[name], "ClassLabel")):
                raise LosstuneError(
                    f"{root}: column {name}: found {type(features[name]).__name__}, expected images, numbers or "
                    f"categories; `data.drop: [{name}]` leaves the column out"
                )
        if images and (unread := [name for name in roles.features if name != images[0]]):
            notes.append(f"Not read, as there are images: {shortlist(unread)}.")
        if "test" in parts and bool(saved.frame("test", list(roles.labels)).isna().all(axis=None)):
            notes.append("The test split has no labels and is not read; it is drawn.")
            del parts["test"]
        return replace(saved, notes=tuple(notes))

    @property
    def others(self) -> list[str]:
        """The columns that are no features."""
        return list(dict.fromkeys(filter(None, (*self.roles.labels, self.roles.groups, self.roles.noisy))))

    def images(self) -> Images:
        """Return the images of all splits; there must be a column of images."""
        assert self.image is not None
        sizes = [len(part) for part in self.parts.values()]
        columns = tuple(part.data.table.column(self.image) for part in self.parts.values())
        return Images(self.image, tuple(self.parts), columns, np.cumsum([0, *sizes], dtype=np.int64))

    def labelled(self, frames: Mapping[str, Any]) -> dict[str, Any]:
        """Return labels and groups as arguments of :class:`RawData`, from the columns :attr:`others` of each split.

        Raises:
            LosstuneError: If a split is empty, or labels or groups are missing or not understood.
        """
        for split, frame in frames.items():
            if not len(frame):
                raise LosstuneError(f"{self.root}: found no row{f' in {split}' if split else ''}, expected samples")
        return labels_of(f"{self.root}", frames, self.roles, self.class_names)

    def frame(self, split: str, columns: list[str]) -> Any:
        """Return columns as a pandas frame; classes of labels are numbers, other classes names; -1 is missing."""
        part = self.parts[split]
        frame = part.data.table.select(columns).replace_schema_metadata().to_pandas()
        for name in columns:
            if _is(kind := part.features[name], "ClassLabel"):
                named = dict(enumerate(kind.names))
                frame[name] = frame[name].where(frame[name] >= 0) if name in self.others else frame[name].map(named)
        return frame


def _is(feature: Any, kind: str) -> bool:
    return type(feature).__name__ == kind


def _splits(root: Path, settings: DataSettings) -> tuple[dict[str, Any], list[str]]:
    """Open the data sets in the folder, by split; return notes on what is not read."""
    if not root.is_dir():
        raise LosstuneError(f"data.root: no folder {root}; {_EXPECTED}")
    if not is_saved(root):
        raise LosstuneError(f"data.root: {root} has neither {' nor '.join(_MARKS)}; {_EXPECTED}")
    try:
        import datasets

        open_folder = datasets.load_from_disk
    except (ImportError, AttributeError) as error:
        raise LosstuneError(
            f"data.name: huggingface needs the library datasets ({in_one_line(error, 100)}); install it by "
            "`pip install 'losstune[huggingface]'`"
        ) from None
    try:
        loaded = open_folder(str(root))
    except Exception as error:  # of many types, on damaged files
        raise LosstuneError(f"{root}: cannot be read: {in_one_line(error, 200)}; {_EXPECTED}") from None
    if not isinstance(loaded, dict):
        loaded = {"train": loaded}
    by_split: dict[str, Any] = {}
    unread = []
    for name, part in loaded.items():
        split = split_named(name)
        if split is None:
            unread.append(name)
        elif split in by_split:
            raise LosstuneError(f"{root}: found two splits for {split} in {shortlist(list(loaded))}, expected one")
        else:
            by_split[split] = part
    if "train" not in by_split:
        raise LosstuneError(f"{root}: found the splits {shortlist(list(loaded))}, expected train among them")
    if settings.own_validation and "validation" not in by_split:
        raise LosstuneError(
            f"data.own_validation: found true, and {root} has no validation split, only {shortlist(list(loaded))}; "
            "expected false"
        )
    notes = [f"Not read: {'split' if len(unread) == 1 else 'splits'} {shortlist(unread)}."] if unread else []
    return {_SPLITS[split]: by_split[split] for split in _SPLITS if split in by_split}, notes


@dataclass(frozen=True, slots=True)
class Images:
    """The images of all splits, one split after the other.

    Attributes:
        column: Name of their column.
        splits: Name of each split.
        columns: Their Arrow columns, with the content of each image's file.
        starts: Number of images before each split, and of all.
    """

    column: str
    splits: tuple[str, ...]
    columns: tuple[Any, ...]
    starts: Labels

    def __len__(self) -> int:
        return int(self.starts[-1])

    def open(self, index: int) -> Image.Image:
        """Open an image, by its content alone: the file that a path names is not read."""
        part, row = self._place(index)
        content = self.columns[part][row]["bytes"].as_py()
        if content is None:
            raise ValueError("the folder has no content of it")
        return Image.open(io.BytesIO(content))

    def name_of(self, index: int) -> str:
        """Return a name for messages: the split, the column and the row from 1."""
        part, row = self._place(index)
        split = f"{self.splits[part]}: " if self.splits[part] else ""
        return f"{split}{self.column} {row + 1}"

    def _place(self, index: int) -> tuple[int, int]:
        part = int(np.searchsorted(self.starts, index, side="right")) - 1
        return part, index - int(self.starts[part])


def _load_images(saved: Saved, settings: DataSettings, progress: ReportProgress | None, cache: Path | None) -> RawData:
    frames = {split: saved.frame(split, saved.others) for split in saved.parts}
    labelled = saved.labelled(frames)  # fails before minutes of decoding
    images = saved.images()
    decode_images: Decode = partial(
        decode,
        len(images),
        images.open,
        lambda index: f"{saved.root}: {images.name_of(index)}",
        image_size=settings.image_size,
        progress=progress,
    )
    path = None if cache is None else cache / f"{_key(saved, settings, images.starts.tolist())}.npy"
    pixels, missing = decoded(decode_images, len(images), path, skip_bad=settings.on_bad_image == "skip")
    skipped = tuple(images.name_of(index) for index in missing.tolist())
    if skipped:
        everywhere = [labelled["labels"], *([labelled["test_labels"]] if "test" in frames else [])]
        require_most(np.concatenate(everywhere), missing, labelled["class_names"], f"{saved.root}")
        is_kept = np.isin(np.arange(len(images)), missing, invert=True)
        parts = zip(frames.items(), np.split(is_kept, images.starts[1:-1]), strict=True)
        frames = {split: frame[is_kept_of_split] for (split, frame), is_kept_of_split in parts}
        labelled = saved.labelled(frames)
    num_rest = len(labelled["labels"])
    labelled["notes"] = (*saved.notes, *labelled["notes"])
    return RawData(
        images=pixels[:num_rest],
        test_images=pixels[num_rest:] if "test" in frames else None,
        validation=np.arange(len(frames[""]), num_rest, dtype=np.int64) if settings.own_validation else None,
        skipped=skipped,
        **labelled,
    )


def _key(saved: Saved, settings: DataSettings, starts: list[int]) -> str:
    hasher = hashlib.sha256(
        f"huggingface {saved.image} {settings.image_size} {settings.on_bad_image} {starts}".encode()
    )
    for path in sorted(saved.root.rglob("*.arrow")):
        status = path.stat()
        hasher.update(f"{path.relative_to(saved.root)}\0{status.st_size} {status.st_mtime_ns}\n".encode())
    return hasher.hexdigest()
