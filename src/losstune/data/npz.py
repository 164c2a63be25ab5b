"""Arrays in one ``.npz`` file: images, or rows of features.

The file holds ``images`` (or ``x``, ``X``) and ``labels`` (or ``y``). ``test_images`` and ``test_labels`` are its own
test split, ``class_names`` the names of its classes. The names that Keras and MedMNIST use (``x_train``,
``train_images``, ...) are accepted, too. A validation split in the file joins the training data, or is used as such
if ``data.own_validation`` says so. Groups are an array for each split, such as ``groups`` and ``test_groups``.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from losstune.core.errors import LosstuneError, did_you_mean
from losstune.data.conversion import as_stored, describe, require_array
from losstune.data.filetypes import ARRAYS, describe_file
from losstune.data.groups import join_splits, read_groups
from losstune.data.labels import read_labels
from losstune.data.raw import Array, Labels, RawData, shortlist

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


def load(
    path: Path, *, own_validation: bool = False, groups: str | None = None, noisy_labels: str | None = None
) -> RawData:
    """Read the arrays of `path` without unpickling anything.

    Images are ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)``; the channel axis is the smallest of the three.
    Integers from 0 to 255 are stored as uint8, other values as float32. Rows of features are ``(N, D)``. Labels
    are as for :func:`losstune.data.labels.read_labels`.

    Args:
        path: The file.
        own_validation: Whether the file's validation split is used as such; else it joins the training data.
        groups: Name of the array with the group of each sample; None without groups.
        noisy_labels: Name of the array with the labels as they were given, beside the true ones; None without any.

    Raises:
        LosstuneError: If the file or an array is missing or invalid; the message names the file and the array.
    """
    with _opened(path) as archive:
        return _from_arrays(path.absolute(), archive, own_validation, groups, noisy_labels)


def inspect(
    path: Path, *, own_validation: bool = False, groups: str | None = None, noisy_labels: str | None = None
) -> tuple[str, ...]:
    """Return notes for the user on the arrays' names, without reading an array. The arguments are those of `load`.

    Raises:
        LosstuneError: As :func:`load`, for what can be found without reading an array.
    """
    with _opened(path) as archive:
        pairs = _find_pairs(path.absolute(), archive, own_validation)
        found = [
            *_beside(path.absolute(), archive, pairs, "data.groups", groups).values(),
            *_beside(path.absolute(), archive, pairs, "data.label_noise", noisy_labels).values(),
        ]
        return _notes(archive, pairs, found)


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
    if kind == ARRAYS:
        return reason
    hint = " (data.name: table reads tables)" if "table" in kind else ""
    return f"found {kind}; expected {_WANTED}, as numpy.savez writes it{hint}"


def _from_arrays(
    path: Path, archive: Mapping[str, Array], own_validation: bool, groups: str | None, noisy_labels: str | None
) -> RawData:
    pairs = _find_pairs(path, archive, own_validation)
    groups_of = _beside(path, archive, pairs, "data.groups", groups)
    noisy_of = _beside(path, archive, pairs, "data.label_noise", noisy_labels)
    samples = {split: as_stored(f"{path}: {keys[0]}", archive[keys[0]]) for split, keys in pairs.items()}
    named = [*(keys[1] for keys in pairs.values()), *noisy_of.values()]
    found = {name: archive[name] for name in named}
    labels = read_labels({f"{path}: {name}": found[name] for name in named}, _class_names(path, archive))
    if noisy_of and labels.targets is not None:
        soft_names = shortlist([name for name, array in found.items() if array.ndim > 1])
        raise LosstuneError(
            f"data.label_noise: found {noisy_labels!r}, and {path} has soft labels in {soft_names}; expected one class "
            "for each sample, or 0"
        )
    by_split = dict(zip(pairs, labels.indices[: len(pairs)], strict=True))
    noisy = dict(zip(noisy_of, labels.indices[len(pairs) :], strict=True))
    images = samples[""]
    for split, keys in pairs.items():
        other = samples[split]
        if len(other) != len(by_split[split]):
            raise LosstuneError(f"{path}: {keys[0]} has {len(other)} samples, {keys[1]} has {len(by_split[split])}")
        if other.shape[1:] != images.shape[1:] or other.dtype != images.dtype:
            raise LosstuneError(f"{path}: {split} samples are {describe(other)}, training samples {describe(images)}")
    indices = by_split[""]
    validation = None
    if "validation" in pairs:
        images = np.concatenate([images, samples["validation"]])
        if own_validation:
            validation = np.arange(len(indices), len(images), dtype=np.int64)
        indices = np.concatenate([indices, by_split["validation"]])
    grouped = _read_groups({split: (f"{path}: {name}", archive[name]) for split, name in groups_of.items()})
    for kind, arrays, names in (("groups", grouped, groups_of), ("labels", noisy, noisy_of)):
        for split, array in arrays.items():
            if len(array) != len(by_split[split]):
                raise LosstuneError(
                    f"{path}: {names[split]} has {len(array)} {kind}, {pairs[split][1]} has {len(by_split[split])}"
                )
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
        (*_notes(archive, pairs, [*groups_of.values(), *noisy_of.values()]), *labels.notes),
        validation,
        noisy_labels=join_splits(noisy),
        test_noisy_labels=noisy.get("test"),
        groups=join_splits(grouped),
        test_groups=grouped.get("test"),
        targets=targets,
        test_targets=soft.get("test"),
    )


def _find_pairs(path: Path, archive: Mapping[str, Array], own_validation: bool) -> dict[str, tuple[str, str]]:
    """Return the array names of samples and labels for each split found; the key of the training data is ""."""
    found = {split: pair for split in _KEYS if (pair := _find(path, archive, split))}
    if "" not in found:
        raise LosstuneError(f"{path}: found {shortlist(list(archive)) or 'no arrays'}, {_EXPECTED}")
    if own_validation and "validation" not in found:
        raise LosstuneError(
            f"data.own_validation: found true, and {path} has no validation split, such as val_images and val_labels "
            f"(arrays: {shortlist(list(archive))}); expected false"
        )
    return found


def _beside(
    path: Path, archive: Mapping[str, Array], pairs: Mapping[str, tuple[str, str]], key: str, wanted: str | None
) -> dict[str, str]:
    """Return the name of a further array for each split, if one is wanted; the test split may lack it."""
    found: dict[str, str] = {}
    for split in pairs if wanted is not None else ():
        names = [style.format(wanted) for style in _STYLES[split]]
        present = next((name for name in names if name in archive), None)
        if present is not None:
            found[split] = present
        elif split != "test":
            raise LosstuneError(
                f"{key}: found {wanted!r}, and {path} has no array {' or '.join(names)} (arrays: "
                f"{shortlist(list(archive))}){did_you_mean(str(wanted), list(archive))}"
            )
    return found


def _read_groups(arrays: Mapping[str, tuple[str, Array]]) -> dict[str, Labels]:
    if not arrays:
        return {}
    for name, array in arrays.values():
        require_array(name, array)
    return dict(zip(arrays, read_groups(dict(arrays.values())), strict=True))


def _notes(
    archive: Mapping[str, Array], pairs: Mapping[str, tuple[str, str]], others: Sequence[str]
) -> tuple[str, ...]:
    read = {"class_names", *(name for pair in pairs.values() for name in pair), *others}
    unread = [name for name in archive if name not in read]
    if not unread:
        return ()
    near = " `data.groups: groups` keeps its groups together." if "groups" in unread else ""
    return (
        f"Not read: {'array' if len(unread) == 1 else 'arrays'} {shortlist(unread)}.{near} Sample weights are not "
        "supported.",
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
