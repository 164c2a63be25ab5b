"""Stratified, seeded, disjoint splits, and label noise. Takes arrays of labels, returns indices and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from losstune.core.errors import LosstuneError
from losstune.data.raw import Labels


@dataclass(frozen=True, slots=True)
class Splits:
    """Ascending indices into the data, no index in two of them.

    Attributes:
        train: To train on.
        validation: To select on.
        test: To confirm on; None where the data brings a test split of its own.
    """

    train: Labels
    validation: Labels
    test: Labels | None


def split(
    labels: Labels,
    class_names: Sequence[str],
    *,
    validation_fraction: float,
    test_fraction: float | None,
    seed: int,
) -> Splits:
    """Split so that every class has its share in every split, within one sample.

    First the test split is drawn from all samples, then the validation split from what is left. A class too
    small for its shares keeps at least one sample in each split, and the training split then goes before.

    Args:
        labels: ``(N,)``.
        class_names: In the order of the labels; only messages use them.
        validation_fraction: Share of what is not in the test split, in (0, 1).
        test_fraction: Share of all samples, in (0, 1); None where the data brings a test split of its own.
        seed: The same seed and labels give the same splits.

    Raises:
        LosstuneError: If a class has fewer samples than there are splits; the message names it.
    """
    require_splittable(labels, class_names, has_test=test_fraction is None)
    generator = np.random.default_rng(seed)
    everything = np.arange(len(labels), dtype=np.int64)
    if test_fraction is None:
        development, test = everything, None
    else:
        test = _draw(labels, len(class_names), test_fraction, num_left=2, generator=generator)
        development = np.setdiff1d(everything, test, assume_unique=True)
    held_out = _draw(
        labels[development], len(class_names), validation_fraction, num_left=1, generator=generator
    )
    validation = development[held_out]
    return Splits(np.setdiff1d(development, validation, assume_unique=True), validation, test)


def require_splittable(labels: Labels, class_names: Sequence[str], *, has_test: bool) -> None:
    """Raise where a class has fewer samples than there are splits: training, validation and, where it is drawn, test.

    Raises:
        LosstuneError: Naming the smallest such class.
    """
    num_splits = 2 if has_test else 3
    require_every_class(labels, class_names, minimum=num_splits, where=f"data to split {num_splits} ways")


def require_every_class(labels: Labels, class_names: Sequence[str], *, minimum: int, where: str) -> None:
    """Raise where a class has fewer than `minimum` samples.

    Raises:
        LosstuneError: Naming the smallest such class, and `where`.
    """
    counts = np.bincount(labels, minlength=len(class_names))
    smallest = int(counts.argmin())
    if counts[smallest] < minimum:
        found, short = int(counts[smallest]), int((counts < minimum).sum())
        more = f" (and {short - 1} more such classes)" if short > 1 else ""
        raise LosstuneError(
            f"class {class_names[smallest]!r} has {found} sample{'' if found == 1 else 's'} in the {where}, "
            f"expected at least {minimum}{more}"
        )


def add_label_noise(labels: Labels, num_classes: int, rate: float, seed: int) -> tuple[Labels, int]:
    """Replace a share of the labels by one of the other classes, each as likely (symmetric noise).

    Exactly ``round(rate * N)`` labels change. With one seed, the labels changed at a lower rate are changed
    alike at a higher one, so that studies of several rates are paired.

    Args:
        labels: ``(N,)``, left as they are.
        num_classes: At least 2.
        rate: In [0, 1).
        seed: Of the choice of labels and of their new classes.

    Returns:
        The noisy labels, and how many of them changed.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(labels))
    offsets = generator.integers(1, num_classes, size=len(labels))
    changed = order[: round(rate * len(labels))]
    noisy = labels.copy()
    noisy[changed] = (labels[changed] + offsets[changed]) % num_classes
    return noisy, len(changed)


def _draw(
    labels: Labels, num_classes: int, fraction: float, *, num_left: int, generator: np.random.Generator
) -> Labels:
    counts = np.bincount(labels, minlength=num_classes)
    shares = _apportion(counts, fraction)
    # The splits still to be drawn need a sample of each class, too.
    shares = np.clip(shares, 1, counts - num_left)
    drawn = [
        generator.permutation(np.flatnonzero(labels == label))[:share] for label, share in enumerate(shares)
    ]
    indices: Labels = np.concatenate(drawn)
    indices.sort()
    return indices


def _apportion(counts: Labels, fraction: float) -> Labels:
    # Largest remainders: every class within one of its share, and the whole within one of the fraction.
    exact = counts * fraction
    shares: Labels = np.floor(exact).astype(np.int64)
    missing = round(float(exact.sum())) - int(shares.sum())
    shares[np.argsort(shares - exact, kind="stable")[:missing]] += 1
    return shares
