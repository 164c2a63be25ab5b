"""The prepared folder: the splits as ``.npy`` files, and a manifest that says what they are.

::

    development/train_images.npy  development/validation_images.npy    what tuning reads, and all it reads
    development/train_labels.npy  development/validation_labels.npy
    development/train_targets.npy development/validation_targets.npy   soft labels, if the data has them
    test/images.npy               test/labels.npy  test/targets.npy    what confirming reads, once
    manifest.json

The same data and splits give the same bytes, wherever and whenever they are written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from losstune.core.errors import LosstuneError
from losstune.core.files import digest, replaced, write_json
from losstune.data import arrays
from losstune.data.encoded import EncodedImages, Images, read_encoded
from losstune.data.groups import num_groups
from losstune.data.manifest import SCHEMA_VERSION, ClassCounts, Manifest, SoftLabels
from losstune.data.noise import NoisyLabels
from losstune.data.part_digests import digest_of_part, encoded_facts, require_intact
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
        train_targets: Soft labels ``(N, C)`` float32; None if every sample has one class.
        validation_targets: As `train_targets`.
    """

    train_images: Images
    train_labels: Labels
    validation_images: Images
    validation_labels: Labels
    train_targets: Array | None = None
    validation_targets: Array | None = None


@dataclass(frozen=True, slots=True)
class TestData:
    """The data that confirmation is scored on, read-only as in :class:`DevelopmentData`.

    Attributes:
        images: ``(N, C, H, W)`` uint8 or float32, or ``(N, D)`` float32.
        labels: ``(N,)`` int64.
        targets: Soft labels ``(N, C)`` float32; None if every sample has one class.
    """

    __test__ = False  # tells pytest that this is no test case

    images: Images
    labels: Labels
    targets: Array | None = None


def write(
    folder: Path,
    raw: RawData,
    splits: Splits,
    *,
    name: str,
    noise: NoisyLabels | None = None,
    long_tail: float | None = None,
) -> Manifest:
    """Write the splits of `raw` and replace `folder`; after a crash the folder is complete or absent.

    Args:
        folder: The folder to replace.
        raw: All samples.
        splits: Indices into `raw`; if `splits.test` is None, the data's own test split is used.
        name: Name of the data.
        noise: Noisy labels of the splits; by default they have the true ones.
        long_tail: Ratio of a long tail that `splits.train` already has, for the manifest.

    Raises:
        OSError: If the folder cannot be written; no temporary file remains.
    """
    if splits.test is None:
        assert raw.test_images is not None
        test_images, test_targets = raw.test_images, raw.test_targets
        test_indices = np.arange(len(test_images), dtype=np.int64)
    else:
        test_images, test_targets, test_indices = raw.images, raw.targets, splits.test
    labels = noise.labels if noise is not None else splits.of(raw.labels, raw.test_labels)
    train_labels, validation_labels, test_labels = labels["train"], labels["validation"], labels["test"]
    soft = {}
    if raw.targets is not None and test_targets is not None:
        soft = {
            f"{DEVELOPMENT}/train_targets.npy": (raw.targets, splits.train),
            f"{DEVELOPMENT}/validation_targets.npy": (raw.targets, splits.validation),
            f"{TEST}/targets.npy": (test_targets, test_indices),
        }

    with replaced(folder) as part:
        digests = _write_all(
            part,
            {
                f"{DEVELOPMENT}/train_images.npy": (raw.images, splits.train),
                f"{DEVELOPMENT}/train_labels.npy": (train_labels, np.arange(len(train_labels))),
                f"{DEVELOPMENT}/validation_images.npy": (raw.images, splits.validation),
                f"{DEVELOPMENT}/validation_labels.npy": (validation_labels, np.arange(len(validation_labels))),
                f"{TEST}/images.npy": (test_images, test_indices),
                f"{TEST}/labels.npy": (test_labels, np.arange(len(test_labels))),
                **soft,
            },
        )
        development_digest, test_digest = (
            digest_of_part(digests, name, raw.class_names) for name in (DEVELOPMENT, TEST)
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
            label_noise=noise.facts.rates.get("train", 0.0) if noise else 0.0,
            num_labels_changed=noise.num_changed if noise else 0,
            digest=digest([development_digest, test_digest]),
            development_digest=development_digest,
            test_digest=test_digest,
            num_groups=num_groups(raw, splits.train, splits.validation, splits.test),
            skipped=raw.skipped or None,
            feature_names=raw.feature_names or None,
            encoded=encoded_facts(part, digests, raw.images) if isinstance(raw.images, EncodedImages) else None,
            noise=noise.facts if noise else None,
            long_tail=long_tail,
            soft_labels=_facts_of(raw.targets[splits.train], test_targets[test_indices])
            if raw.targets is not None and test_targets is not None
            else None,
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
        contents = {f"{DEVELOPMENT}/{name}.npy": array for name, array in _arrays_of(development).items()}
        contents |= {f"{TEST}/{name}.npy": array for name, array in _arrays_of(test).items()}
        digests = _write_all(part, {file: (array, np.arange(len(array))) for file, array in contents.items()})
        development_digest, test_digest = (
            digest_of_part(digests, name, base.class_names) for name in (DEVELOPMENT, TEST)
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
                "encoded": None,
            }
        )
        write_json(part / MANIFEST, manifest.model_dump(mode="json", exclude_none=True))
    return manifest


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
        _read_targets(part / "train_targets.npy", manifest, manifest.counts.train),
        _read_targets(part / "validation_targets.npy", manifest, manifest.counts.validation),
    )
    if verify:
        contents = {f"{DEVELOPMENT}/{name}.npy": array for name, array in _arrays_of(data).items()}
        require_intact(part, contents, manifest, manifest.development_digest)
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
    data = TestData(
        *_read_pair(part / "images.npy", part / "labels.npy", manifest, manifest.counts.test),
        _read_targets(part / "targets.npy", manifest, manifest.counts.test),
    )
    if verify:
        contents = {f"{TEST}/{name}.npy": array for name, array in _arrays_of(data).items()}
        require_intact(part, contents, manifest, manifest.test_digest)
    return data


def _write_all(part: Path, contents: Mapping[str, tuple[Images, Labels]]) -> dict[str, str]:
    """Write ``array[indices]`` for each file, and return the digest of each."""
    return {file: arrays.write_array(part / file, array, indices) for file, (array, indices) in contents.items()}


def _arrays_of(data: DevelopmentData | TestData) -> dict[str, Images]:
    return {name: array for name in data.__slots__ if (array := getattr(data, name)) is not None}


def _facts_of(train_targets_NC: Array, test_targets_NC: Array) -> SoftLabels:
    """Return what the manifest says about soft labels."""
    probabilities_NC = train_targets_NC.astype(np.float64)
    logs_NC = np.log(probabilities_NC, out=np.zeros_like(probabilities_NC), where=probabilities_NC > 0)
    return SoftLabels(
        entropy=float((probabilities_NC * -logs_NC).sum(axis=1).mean()),
        ceiling=float(test_targets_NC.max(axis=1).mean(dtype=np.float64)),
    )


def _read_targets(path: Path, manifest: Manifest, counts: tuple[int, ...]) -> Array | None:
    if manifest.soft_labels is None:
        return None
    return _read_array(path, (sum(counts), manifest.num_classes), "float32", mapped=False)


def _count(labels: Labels, class_names: Sequence[str]) -> tuple[int, ...]:
    return tuple(np.bincount(labels, minlength=len(class_names)).tolist())


def _read_pair(
    images_path: Path, labels_path: Path, manifest: Manifest, counts: tuple[int, ...]
) -> tuple[Images, Labels]:
    images = _read_images(images_path, manifest, sum(counts))
    labels = _read_array(labels_path, (sum(counts),), "int64", mapped=False)
    if labels.min() < 0 or labels.max() >= manifest.num_classes or _count(labels, manifest.class_names) != counts:
        raise LosstuneError(
            f"{labels_path}: the labels do not match the counts in the manifest; `losstune prepare` writes them anew"
        )
    return images, labels


def _read_images(path: Path, manifest: Manifest, number: int) -> Images:
    if manifest.encoded is None:
        return _read_array(path, (number, *manifest.input_shape), manifest.dtype, mapped=True)
    channels, height, width = manifest.input_shape
    try:
        images = read_encoded(path, (channels, height, width), resized=manifest.encoded.resized)
    except (OSError, ValueError, EOFError) as error:
        raise LosstuneError(f"{path}: damaged ({error}); `losstune prepare` writes it anew") from None
    if len(images) != number:
        raise LosstuneError(
            f"{path}: found {len(images)} images, the manifest says {number}; `losstune prepare` writes it anew"
        )
    return images


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
