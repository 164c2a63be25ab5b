"""The manifest of the prepared folder: its numbers of samples, classes and digests."""

from __future__ import annotations

from losstune.core.records import Row

SCHEMA_VERSION = 1


class ClassCounts(Row):
    """Samples per class, in the order of the class names, the labels as they are stored.

    Attributes:
        train: In the training split; with label noise, by the noisy labels.
        validation: In the validation split.
        test: In the test split.
    """

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]


class Manifest(Row):
    """What the prepared folder holds.

    Attributes:
        schema_version: Of the folder's layout.
        name: Of the data, as in ``data.name``.
        class_names: In the order of the labels.
        counts: Samples per split and class.
        input_shape: Of one sample: ``(C, H, W)``, or ``(D,)`` for tabular data.
        dtype: Of the stored samples, ``"uint8"`` or ``"float32"``.
        mean: Of the training split, one per channel (per feature for tabular data), in stored units.
        std: As `mean`; 1 in place of 0 where a channel is constant, so that dividing by it is safe.
        label_noise: Rate of the training labels replaced by another class.
        num_labels_changed: How many that were.
        digest: SHA-256 over the contents of all arrays and the class names; independent of where the data
            lies, of names, order and times of files.
        development_digest: The same over the training and validation arrays.
        test_digest: The same over the test arrays.
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

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def summary(self) -> str:
        """Return one line for a person to read."""
        counts = self.counts
        sizes = (("train", counts.train), ("validation", counts.validation), ("test", counts.test))
        splits = ", ".join(f"{sum(per_class):,} {split}" for split, per_class in sizes)
        shape = "x".join(str(size) for size in self.input_shape)
        noise = f", {self.num_labels_changed:,} training labels changed" if self.label_noise else ""
        return (
            f"{self.name}: {splits}; {self.num_classes} classes, {shape} {self.dtype}{noise}; "
            f"digest {self.digest[:12]}"
        )
