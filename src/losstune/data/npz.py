"""Arrays in one ``.npz`` file: images, or rows of features.

The file holds ``images`` (or ``x``, ``X``) and ``labels`` (or ``y``). ``test_images`` and ``test_labels`` are its own
test split, ``class_names`` the names of its classes. The names that Keras and MedMNIST use (``x_train``,
``train_images``, ...) are accepted, too. A validation split in the file joins the training data.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from losstune.core.errors import LosstuneError
from losstune.data.conversion import as_stored, describe, require_array
from losstune.data.filetypes import ARRAYS, describe_file
from losstune.data.labels import read_labels
from losstune.data.raw import Array, RawData, shortlist

_USUAL = (("images", "labels"), ("x", "y"), ("X", "y"))
_MIXED = (("images", "y"), ("x", "labels"), ("X", "labels"))
_STYLES = {
    "": ("{}", "train_{}", "{}_train"),
    "validation": ("val_{}", "{}_val", "validation_{}", "{}_validation"),
    "test": ("test_{}", "{}_test"),
}
_KEYS = {
    split: tuple(
        (style.format(samples), style.format(labels))
        for pairs in (_USUAL, _MIXED)
        for style in styles
        for samples, labels in pairs
    )
    for split, styles in _STYLES.items()
}
"""For each split, the accepted pairs of array names; the first pair found is used."""
_EXPECTED = (
    "expected images, x or X for the samples and labels or y for their classes (or both with train_ before or "
    "_train after)"
)
_WANTED = "an .npz file with images and labels"


def load(path: Path) -> RawData:
    """Read the arrays of `path` without unpickling anything.

    Images are ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)``; the channel axis is the smallest of the three.
    Integers from 0 to 255 are stored as uint8, other values as float32. Rows of features are ``(N, D)``. Labels
    are as for :func:`losstune.data.labels.read_labels`.

    Raises:
        LosstuneError: If the file or an array is missing or invalid; the message names the file and the array.
    """
    with _opened(path) as archive:
        return _from_arrays(path.absolute(), archive)


def inspect(path: Path) -> tuple[str, ...]:
    """Return notes for the user on the arrays' names, without reading an array.

    Raises:
        LosstuneError: As :func:`load`, for what can be found without reading an array.
    """
    with _opened(path) as archive:
        return _notes(archive, _find_pairs(path.absolute(), archive))


@contextmanager
def _opened(path: Path) -> Iterator[Mapping[str, Array]]:
    path = path.absolute()
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise LosstuneError(f"{path}: found one array, expected {_WANTED}, as numpy.savez writes it")
        with archive:
            if archive.files and (kind := describe_file(path)) != ARRAYS:
                raise LosstuneError(f"{path}: found {kind}; expected {_WANTED}, as numpy.savez writes it")
            yield archive
    except FileNotFoundError:
        raise LosstuneError(f"data.root: no file {path}; expected {_WANTED}") from None
    except MemoryError as error:
        raise LosstuneError(f"{path}: an array is larger than the memory: {error}") from None
    except IsADirectoryError:
        raise LosstuneError(
            f"data.root: {path} is a folder; expected {_WANTED} (data.name imagefolder reads a folder of images)"
        ) from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise LosstuneError(f"{path}: cannot be read as .npz: {_reason(path, error)}") from None


def _reason(path: Path, error: Exception) -> str:
    reason = str(error)
    if "Object arrays" in reason:
        return "it holds pickled Python objects, which could run any code and are not opened"
    try:
        kind = describe_file(path)
    except (OSError, ValueError):
        return reason
    # For an archive of arrays, NumPy's own message says more.
    return reason if kind == ARRAYS else f"found {kind}; expected {_WANTED}, as numpy.savez writes it"


def _from_arrays(path: Path, archive: Mapping[str, Array]) -> RawData:
    pairs = _find_pairs(path, archive)
    samples = {split: as_stored(f"{path}: {keys[0]}", archive[keys[0]]) for split, keys in pairs.items()}
    found = {f"{path}: {keys[1]}": archive[keys[1]] for keys in pairs.values()}
    labels = read_labels(found, _class_names(path, archive))
    by_split = dict(zip(pairs, labels.indices, strict=True))
    images = samples[""]
    for split, keys in pairs.items():
        other = samples[split]
        if len(other) != len(by_split[split]):
            raise LosstuneError(f"{path}: {keys[0]} has {len(other)} samples, {keys[1]} has {len(by_split[split])}")
        if other.shape[1:] != images.shape[1:] or other.dtype != images.dtype:
            raise LosstuneError(f"{path}: {split} samples are {describe(other)}, training samples {describe(images)}")
    indices = by_split[""]
    if "validation" in pairs:
        images = np.concatenate([images, samples["validation"]])
        indices = np.concatenate([indices, by_split["validation"]])
    soft = dict(zip(pairs, labels.targets or (), strict=False))
    targets = soft.get("")
    if targets is not None and "validation" in pairs:
        targets = np.concatenate([targets, soft["validation"]])
    return RawData(
        images,
        indices,
        labels.class_names,
        samples.get("test"),
        by_split.get("test"),
        notes=(*_notes(archive, pairs), *labels.notes),
        targets=targets,
        test_targets=soft.get("test"),
    )


def _find_pairs(path: Path, archive: Mapping[str, Array]) -> dict[str, tuple[str, str]]:
    """Return the array names of samples and labels for each split found; the key of the training data is ""."""
    found = {split: pair for split in _KEYS if (pair := _find(path, archive, split))}
    if "" not in found:
        raise LosstuneError(f"{path}: found {shortlist(list(archive)) or 'no arrays'}, {_EXPECTED}")
    return found


def _notes(archive: Mapping[str, Array], pairs: Mapping[str, tuple[str, str]]) -> tuple[str, ...]:
    read = {"class_names", *(name for pair in pairs.values() for name in pair)}
    unread = [name for name in archive if name not in read]
    if not unread:
        return ()
    return (
        f"Not read: {'array' if len(unread) == 1 else 'arrays'} {shortlist(unread)}. Sample weights and groups are "
        "not supported.",
    )


def _find(path: Path, archive: Mapping[str, Array], split: str) -> tuple[str, str] | None:
    for pair in _KEYS[split]:
        if pair[0] in archive and pair[1] in archive:
            return pair
    half = next((pair for pair in _KEYS[split] if pair[0] in archive or pair[1] in archive), None)
    if half is None:
        return None
    present = half[0] if half[0] in archive else half[1]
    partners = dict.fromkeys(name for pair in _KEYS[split] if present in pair for name in pair if name != present)
    raise LosstuneError(f"{path}: found {present} without {' or '.join(partners)} (arrays: {shortlist(list(archive))})")


def _class_names(path: Path, archive: Mapping[str, Array]) -> tuple[str, ...] | None:
    if "class_names" not in archive:
        return None
    names = archive["class_names"]
    require_array(f"{path}: class_names", names)
    if names.ndim != 1 or names.dtype.kind != "U" or len(set(names.tolist())) < len(names):
        raise LosstuneError(f"{path}: class_names: found {describe(names)}, expected different texts, one per class")
    return tuple(names.tolist())
