"""Stratified, seeded, disjoint splits. Takes arrays of labels, returns indices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from losstune.core.errors import LosstuneError
from losstune.data.groups import draw_groups, require_apart, require_groups
from losstune.data.raw import Labels


@dataclass(frozen=True, slots=True)
class Splits:
    """Disjoint, ascending indices into the data.

    Attributes:
        train: Indices for training.
        validation: Indices for selection.
        test: Indices for confirmation; None if the data has its own test split.
    """

    train: Labels
    validation: Labels
    test: Labels | None

    def of(self, values: Labels, test_values: Labels | None) -> dict[str, Labels]:
        """Return what belongs to the samples of each split, by its name; without a split of which it is unknown.

        Args:
            values: Of all samples outside the data's own test split, (N,).
            test_values: Of the data's own test split; None without it, or if they are unknown.
        """
        found = {"train": values[self.train], "validation": values[self.validation]}
        test = test_values if self.test is None else values[self.test]
        return found if test is None else found | {"test": test}


def split(
    labels: Labels,
    class_names: Sequence[str],
    *,
    validation_fraction: float,
    test_fraction: float | None,
    seed: int,
    validation: Labels | None = None,
    groups: Labels | None = None,
) -> Splits:
    """Split the data stratified by class: every class has its fraction in every split, within one sample.

    First the test split is drawn from all samples, then the validation split from the rest. A class that is too
    small for its fractions keeps at least one sample in every split. With groups, whole groups are drawn, and the
    fractions are as close as these allow.

    Args:
        labels: ``(N,)``.
        class_names: In the order of the labels; used only in messages.
        validation_fraction: Fraction of the samples outside the test split, in (0, 1).
        test_fraction: Fraction of all samples, in (0, 1); None if the data has its own test split.
        validation: Indices of the data's own validation split, which is then not drawn.
        groups: ``(N,)``, the group of each sample; no group is in two splits. None without groups.
        seed: Seed of the draws; the same seed and labels give the same splits.

    Raises:
        LosstuneError: If a class has fewer samples, or groups, than there are splits; the message names it. Also if
            the given validation split shares a group with the other samples.
    """
    generator = np.random.default_rng(seed)
    everything = np.arange(len(labels), dtype=np.int64)

    def drawn(among: Labels, fraction: float, num_left: int) -> Labels:
        if groups is None:
            found = _draw(labels[among], len(class_names), fraction, num_left=num_left, generator=generator)
        else:
            found = draw_groups(
                labels[among], groups[among], class_names, fraction, num_left=num_left, generator=generator
            )
        return among[found]

    if validation is not None:
        return _around(labels, class_names, validation, test_fraction, groups, drawn)
    require_splittable(labels, class_names, has_test=test_fraction is None)
    if groups is not None:
        require_groups(labels, groups, class_names, num_splits=2 if test_fraction is None else 3)
    test = None if test_fraction is None else drawn(everything, test_fraction, 2)
    development = everything if test is None else np.setdiff1d(everything, test, assume_unique=True)
    validation = drawn(development, validation_fraction, 1)
    return Splits(np.setdiff1d(development, validation, assume_unique=True), validation, test)


def _around(
    labels: Labels,
    class_names: Sequence[str],
    validation: Labels,
    test_fraction: float | None,
    groups: Labels | None,
    drawn: Callable[[Labels, float, int], Labels],
) -> Splits:
    """Split the samples outside a given validation split into training and test."""
    others = np.setdiff1d(np.arange(len(labels), dtype=np.int64), validation)
    minimum = 1 if test_fraction is None else 2
    require_every_class(labels[validation], class_names, minimum=1, where="validation split that the data brings")
    require_every_class(labels[others], class_names, minimum=minimum, where=f"data to split {minimum} ways")
    if groups is not None:
        require_apart(groups[others], groups[validation], "validation split that the data brings")
    if test_fraction is None:
        return Splits(others, np.sort(validation), None)
    if groups is not None:
        require_groups(labels[others], groups[others], class_names, num_splits=2)
    test = drawn(others, test_fraction, 1)
    return Splits(np.setdiff1d(others, test, assume_unique=True), np.sort(validation), test)


def require_splittable(labels: Labels, class_names: Sequence[str], *, has_test: bool) -> None:
    """Check that every class has a sample for each split: training, validation and, unless it exists already, test.

    Raises:
        LosstuneError: If a class is too small; the message names the smallest class.
    """
    num_splits = 2 if has_test else 3
    require_every_class(labels, class_names, minimum=num_splits, where=f"data to split {num_splits} ways")


def require_every_class(labels: Labels, class_names: Sequence[str], *, minimum: int, where: str) -> None:
    """Check that every class has at least `minimum` samples.

    Raises:
        LosstuneError: If a class has fewer; the message names the smallest class and `where`.
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


def require_two_classes(labels: Labels, class_names: Sequence[str], where: str) -> None:
    """Check that at least two classes have samples in a split that the data brings.

    Raises:
        LosstuneError: If not; the message names `where`.
    """
    present = np.unique(labels)
    if len(present) < 2:
        only = f"of class {class_names[present[0]]!r} only" if len(present) else "of no class"
        raise LosstuneError(f"the {where} has samples {only}, expected two classes or more")


def _draw(
    labels: Labels, num_classes: int, fraction: float, *, num_left: int, generator: np.random.Generator
) -> Labels:
    counts = np.bincount(labels, minlength=num_classes)
    shares = _apportion(counts, fraction)
    # The splits drawn later need at least one sample of each class, too.
    shares = np.clip(shares, 1, counts - num_left)
    drawn = [generator.permutation(np.flatnonzero(labels == label))[:share] for label, share in enumerate(shares)]
    indices: Labels = np.concatenate(drawn)
    indices.sort()
    return indices


def _apportion(counts: Labels, fraction: float) -> Labels:
    # Every class is within one sample of its fraction, and so is the total.
    exact = counts * fraction
    return _largest_remainders(exact, round(float(exact.sum())))


def apportion(number: int, shares: NDArray[np.float64]) -> Labels:
    """Divide a number of samples by shares that sum to 1, each rounded up or down (largest-remainder method)."""
    return _largest_remainders(number * shares, number)


def _largest_remainders(exact: NDArray[np.floating[Any]], total: int) -> Labels:
    whole: Labels = np.floor(exact).astype(np.int64)
    whole[np.argsort(whole - exact, kind="stable")[: total - int(whole.sum())]] += 1
    return whole
