"""The prepared folder: the splits as ``.npy`` files, and a manifest that says what they are.

::

    development/train_images.npy  development/validation_images.npy    what tuning reads, and all it reads
    development/train_labels.npy  development/validation_labels.npy
    test/images.npy               test/labels.npy                      what confirming reads, once
    manifest.json

The same data and splits give the same bytes, wherever and whenever they are written.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from losstune.core.errors import LosstuneError
from losstune.core.files import digest, part_name, remove_stale_parts, write_json
from losstune.data import arrays
from losstune.data.manifest import SCHEMA_VERSION, ClassCounts, GroupCounts, Manifest
from losstune.data.raw import Array, Labels, RawData
from losstune.data.splits import Splits

MANIFEST = "manifest.json"
DEVELOPMENT = "development"
TEST = "test"


@dataclass(frozen=True, slots=True)
class DevelopmentData:
    """The data that tuning reads. Images are read-only and memory-mapped, so that processes share one copy.

    Attributes:
        train_images: ``(N, C, H, W)`` uint8 or float32, or ``(N, D)`` float32.
        train_labels: ``(N,)`` int64.
        validation_images: As `train_images`.
        validation_labels: As `train_labels`.
    """

    train_images: Array
    train_labels: Labels
    validation_images: Array
    validation_labels: Labels


@dataclass(frozen=True, slots=True)
class TestData:
    """The data that confirmation is scored on, read-only as in :class:`DevelopmentData`.

    Attributes:
        images: ``(N, C, H, W)`` uint8 or float32, or ``(N, D)`` float32.
        labels: ``(N,)`` int64.
    """

    __test__ = False  # tells pytest that this is no test case

    images: Array
    labels: Labels


def write(
    folder: Path,
    raw: RawData,
    splits: Splits,
    *,
    name: str,
    train_labels: Labels | None = None,
    label_noise: float = 0.0,
    num_labels_changed: int = 0,
) -> Manifest:
    """Write the splits of `raw` and replace `folder`; after a crash the folder is complete or absent.

    Args:
        folder: The folder to replace.
        raw: All samples.
        splits: Indices into `raw`; if `splits.test` is None, the data's own test split is used.
        name: Name of the data.
        train_labels: Noisy labels of the training split; by default the true ones.
        label_noise: Noise rate, for the manifest.
        num_labels_changed: Number of wrong labels in `train_labels`, for the manifest.

    Raises:
        OSError: If the folder cannot be written; no temporary file remains.
    """
    if train_labels is None:
        train_labels = raw.labels[splits.train]
    if splits.test is None:
        assert raw.test_images is not None
        assert raw.test_labels is not None
        test_images, test_labels = raw.test_images, raw.test_labels
        test_indices = np.arange(len(test_labels), dtype=np.int64)
    else:
        test_images, test_labels, test_indices = raw.images, raw.labels[splits.test], splits.test
    validation_labels = raw.labels[splits.validation]

    with replaced(folder) as part:
        development_digest, test_digest = _write_parts(
            part,
            raw.class_names,
            {
                f"{DEVELOPMENT}/train_images.npy": (raw.images, splits.train),
                f"{DEVELOPMENT}/train_labels.npy": (train_labels, np.arange(len(train_labels))),
                f"{DEVELOPMENT}/validation_images.npy": (raw.images, splits.validation),
                f"{DEVELOPMENT}/validation_labels.npy": (raw.labels, splits.validation),
                f"{TEST}/images.npy": (test_images, test_indices),
                f"{TEST}/labels.npy": (test_labels, np.arange(len(test_labels))),
            },
        )
        mean, std = arrays.statistics(raw.images, splits.train)
        manifest = Manifest(
            name=name,
            class_names=raw.class_names,
            counts=ClassCounts(
                train=_count(train_labels, raw.class_names),
                validation=_count(validation_labels, raw.class_names),
                test=_count(test_labels, raw.class_names),
            ),
            input_shape=raw.images.shape[1:],
            dtype=raw.images.dtype.name,
            mean=mean,
            std=std,
            label_noise=label_noise,
            num_labels_changed=num_labels_changed,
            digest=digest([development_digest, test_digest]),
            development_digest=development_digest,
            test_digest=test_digest,
            num_groups=_num_groups(raw, splits),
            skipped=raw.skipped or None,
            feature_names=raw.feature_names or None,
        )
        write_json(part / MANIFEST, manifest.model_dump(mode="json", exclude_none=True))
    return manifest


def write_features(folder: Path, base: Manifest, development: DevelopmentData, test: TestData, source: str) -> Manifest:
    """Write features of prepared samples in place of the samples, with the same splits and labels.

    They are stored as they are used: their manifest has mean 0 and standard deviation 1.

    Args:
        folder: The folder to replace.
        base: Manifest of the samples.
        development: Features (N, D) float32 of the training and validation split, and their labels.
        test: Features and labels of the test split.
        source: What the features were computed from, see :attr:`losstune.data.manifest.Manifest.source`.

    Raises:
        OSError: If the folder cannot be written; no temporary file remains.
    """
    num_features = development.train_images.shape[1]
    with replaced(folder) as part:
        contents = {f"{DEVELOPMENT}/{name}.npy": getattr(development, name) for name in DevelopmentData.__slots__}
        contents |= {f"{TEST}/images.npy": test.images, f"{TEST}/labels.npy": test.labels}
        development_digest, test_digest = _write_parts(
            part, base.class_names, {file: (array, np.arange(len(array))) for file, array in contents.items()}
        )
        manifest = base.model_copy(
            update={
                "input_shape": (num_features,),
                "dtype": "float32",
                "mean": (0.0,) * num_features,
                "std": (1.0,) * num_features,
                "digest": digest([development_digest, test_digest]),
                "development_digest": development_digest,
                "test_digest": test_digest,
                "source": source,
                "feature_names": None,
            }
        )
        write_json(part / MANIFEST, manifest.model_dump(mode="json", exclude_none=True))
    return manifest


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `folder` at the end; after an error nothing remains.

    Raises:
        OSError: If the folder cannot be written.
    """
    is_first = not folder.parent.exists()
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(part_name(folder))
    part.mkdir()
    try:
        yield part
        _replace(folder, part)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if is_first:
            folder.parent.rmdir()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(folder)  # set by opening, but not by writing
        raise


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of the prepared folder.

    Raises:
        LosstuneError: If the manifest is missing, damaged, or has another version.
    """
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise LosstuneError(f"{path}: no such file; `losstune prepare` writes it") from None
    except (OSError, ValidationError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise LosstuneError(f"{path}: damaged ({reason}); `losstune prepare` writes it anew") from None
    if manifest.schema_version != SCHEMA_VERSION:
        raise LosstuneError(
            f"{path}: found schema_version {manifest.schema_version}, expected {SCHEMA_VERSION}; "
            "`losstune prepare` writes it anew"
        )
    return manifest


def read_development(folder: Path, *, verify: bool = False) -> DevelopmentData:
    """Read the training and validation splits, without opening a file of the test split.

    Args:
        folder: The folder that :func:`write` wrote.
        verify: Whether to hash the contents and compare them with the manifest; once per study is enough.

    Raises:
        LosstuneError: If a file is missing, damaged, or does not match the manifest.
    """
    manifest = read_manifest(folder)
    part = folder / DEVELOPMENT
    data = DevelopmentData(
        *_read_pair(part / "train_images.npy", part / "train_labels.npy", manifest, manifest.counts.train),
        *_read_pair(
            part / "validation_images.npy", part / "validation_labels.npy", manifest, manifest.counts.validation
        ),
    )
    if verify:
        contents = {f"{DEVELOPMENT}/{field}.npy": getattr(data, field) for field in DevelopmentData.__slots__}
        _verify(part, contents, manifest.class_names, manifest.development_digest)
    return data


def read_test(folder: Path, *, verify: bool = False) -> TestData:
    """Read the test split.

    Args:
        folder: The folder that :func:`write` wrote.
        verify: As in :func:`read_development`.

    Raises:
        LosstuneError: If a file is missing, damaged, or does not match the manifest.
    """
    manifest = read_manifest(folder)
    part = folder / TEST
    data = TestData(*_read_pair(part / "images.npy", part / "labels.npy", manifest, manifest.counts.test))
    if verify:
        contents = {f"{TEST}/images.npy": data.images, f"{TEST}/labels.npy": data.labels}
        _verify(part, contents, manifest.class_names, manifest.test_digest)
    return data


def _replace(folder: Path, part: Path) -> None:
    old = part.with_suffix(".old")
    if folder.exists():
        os.replace(folder, old)
    os.replace(part, folder)
    shutil.rmtree(old, ignore_errors=True)
    remove_stale_parts(folder)


def _write_parts(
    part: Path, class_names: Sequence[str], contents: Mapping[str, tuple[Array, Labels]]
) -> tuple[str, str]:
    """Write ``array[indices]`` for each file, and return the digests of both parts."""
    digests = {file: arrays.write_array(part / file, array, indices) for file, (array, indices) in contents.items()}
    return _digest_of_part(digests, DEVELOPMENT, class_names), _digest_of_part(digests, TEST, class_names)


def _digest_of_part(digests: dict[str, str], part: str, class_names: Sequence[str]) -> str:
    contents = {file: value for file, value in digests.items() if file.startswith(f"{part}/")}
    return digest({"arrays": contents, "class_names": list(class_names)})


def _verify(part: Path, contents: dict[str, Array], class_names: Sequence[str], expected: str) -> None:
    digests = {file: arrays.digest_of_array(array) for file, array in contents.items()}
    found = _digest_of_part(digests, part.name, class_names)
    if found != expected:
        raise LosstuneError(
            f"{part}: contents have digest {found[:12]}, the manifest says {expected[:12]}; "
            "`losstune prepare` writes them anew"
        )


def _num_groups(raw: RawData, splits: Splits) -> GroupCounts | None:
    if raw.groups is None:
        return None
    test = raw.test_groups if splits.test is None else raw.groups[splits.test]
    return GroupCounts(
        train=len(np.unique(raw.groups[splits.train])),
        validation=len(np.unique(raw.groups[splits.validation])),
        test=None if test is None else len(np.unique(test)),
    )


def _count(labels: Labels, class_names: Sequence[str]) -> tuple[int, ...]:
    return tuple(np.bincount(labels, minlength=len(class_names)).tolist())


def _read_pair(
    images_path: Path, labels_path: Path, manifest: Manifest, counts: tuple[int, ...]
) -> tuple[Array, Labels]:
    images = _read_array(images_path, (sum(counts), *manifest.input_shape), manifest.dtype, mapped=True)
    labels = _read_array(labels_path, (sum(counts),), "int64", mapped=False)
    if labels.min() < 0 or labels.max() >= manifest.num_classes or _count(labels, manifest.class_names) != counts:
        raise LosstuneError(
            f"{labels_path}: the labels do not match the counts in the manifest; `losstune prepare` writes them anew"
        )
    return images, labels


def _read_array(path: Path, shape: tuple[int, ...], dtype: str, *, mapped: bool) -> Array:
    try:
        array: Array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except FileNotFoundError:
        raise LosstuneError(f"{path}: no such file; `losstune prepare` writes it") from None
    except (OSError, ValueError, EOFError) as error:
        raise LosstuneError(f"{path}: damaged ({error}); `losstune prepare` writes it anew") from None
    if array.shape != shape or array.dtype.name != dtype:
        raise LosstuneError(
            f"{path}: found {array.dtype.name} of shape {array.shape}, "
            f"the manifest says {dtype} of shape {shape}; `losstune prepare` writes it anew"
        )
    return array
