"""The manifest of the prepared folder: its numbers of samples, classes and digests."""

from __future__ import annotations

from typing import Any

from losstune.core.records import Row

SCHEMA_VERSION = 1


class ClassCounts(Row):
    """Samples per class, counted by stored labels, in the order of the class names.

    Attributes:
        train: Counts in the training split; with label noise, by the noisy labels.
        validation: Counts in the validation split.
        test: Counts in the test split.
    """

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]


class GroupCounts(Row):
    """Groups per split, such as patients; none is in two splits.

    Attributes:
        train: Number of groups in the training split.
        validation: Number in the validation split.
        test: Number in the test split; None if the data brings it without groups.
    """

    train: int
    validation: int
    test: int | None = None


class EncodedFacts(Row):
    """Images that are stored encoded.

    Attributes:
        resized: Whether they are resized when they are decoded.
        pixels: Digest of the decoded images of each file, by its name; it is that of a file of arrays.
        bytes: Digest of the encoded ones and of their offsets.
    """

    resized: bool
    pixels: dict[str, str]
    bytes: dict[str, str]


class NoiseFacts(Row):
    """The label noise of prepared data, as it was measured.

    Attributes:
        setting: ``data.label_noise``.
        rates: Share of wrong labels in each split with noisy labels.
        transitions: Training samples by true class (row) and label (column), (C, C); None for more than 100 classes,
            and if the training split has the true labels.
    """

    setting: Any
    rates: dict[str, float]
    transitions: tuple[tuple[int, ...], ...] | None = None


class SoftLabels(Row):
    """The soft labels of prepared data.

    Attributes:
        entropy: Mean entropy of the training split's labels, in nats.
        ceiling: Highest expected accuracy on the test split that any model can have: the mean probability of the
            likeliest class.
    """

    entropy: float
    ceiling: float


class Manifest(Row):
    """Contents of the prepared folder.

    For data that only the training loop reads, there are no samples, and every digest is that of all files.

    Attributes:
        schema_version: Version of the folder's layout.
        name: Name of the data, as in ``data.name``.
        class_names: Class names in the order of the labels.
        counts: Samples per split and class.
        input_shape: Shape of one sample: ``(C, H, W)``, or ``(D,)`` for tabular data.
        dtype: Type of the stored samples, ``"uint8"`` or ``"float32"``.
        mean: Mean of the training split per channel (per feature for tabular data), in stored units.
        std: Standard deviation, as `mean`; 1 for a constant channel, so that dividing by it is safe.
        label_noise: Share of wrong labels in the training split.
        num_labels_changed: Their number.
        encoded: Facts about encoded images; None for arrays.
        noise: The label noise; None without any.
        long_tail: ``data.long_tail``; None without it.
        soft_labels: None if every sample has one class.
        digest: SHA-256 over the contents of all arrays and the class names; independent of the data's location and
            of the names, order and times of files.
        development_digest: The same for the training and validation arrays.
        test_digest: The same for the test arrays.
        source: For features, the digest of what they were computed from; None for samples.
        num_groups: Groups per split; None if the splits keep no groups together.
        skipped: Names of images that could not be read and were left out, relative to the root; None without any.
        feature_names: Names of the features of a table, in order; None for other data.
    """

    schema_version: int = SCHEMA_VERSION
    name: str
    class_names: tuple[str, ...]
    counts: ClassCounts
    input_shape: tuple[int, ...]
    dtype: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    label_noise: float
    num_labels_changed: int
    digest: str
    development_digest: str
    test_digest: str
    source: str | None = None
    num_groups: GroupCounts | None = None
    skipped: tuple[str, ...] | None = None
    feature_names: tuple[str, ...] | None = None
    encoded: EncodedFacts | None = None
    noise: NoiseFacts | None = None
    long_tail: float | None = None
    soft_labels: SoftLabels | None = None

    @property
    def has_samples(self) -> bool:
        """Whether losstune knows the samples; else only the training loop reads them."""
        return bool(self.input_shape)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def summary(self, name: str | None = None) -> str:
        """Return a one-line summary for display, under another name than that of the source if it is given."""
        name = name or self.name
        if not self.has_samples:
            return f"{name}: only the training loop reads them; digest {self.digest[:12]}"
        counts = self.counts
        sizes = (("train", counts.train), ("validation", counts.validation), ("test", counts.test))
        splits = ", ".join(f"{sum(per_class):,} {split}" for split, per_class in sizes)
        shape = "x".join(str(size) for size in self.input_shape)
        facts = f", {self.num_labels_changed:,} training labels changed" if self.label_noise else ""
        facts += ", soft labels" if self.soft_labels else ""
        return f"{name}: {splits}; {self.num_classes} classes, {shape} {self.dtype}{facts}; digest {self.digest[:12]}"
