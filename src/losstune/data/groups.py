"""Splits that keep groups together: no patient, site or camera is in two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from losstune.core.errors import LosstuneError
from losstune.data.conversion import describe
from losstune.data.manifest import GroupCounts
from losstune.data.raw import Array, Labels, RawData

_MOST_STARTS = 20
_MOST_CHANGES = 500
_MOST_NUMBERS = 1 << 20
"""Numbers that are compared at once for the best change of a draw; of very many groups, some are tried."""


def read_groups(found: Mapping[str, Array]) -> list[Labels]:
    """Return a number (N,) int64 for the group of each sample; the same group has the same number in all arrays.

    Args:
        found: Names or numbers of the groups (N,) by the start of the error message.

    Raises:
        LosstuneError: If a sample has no group, or an array is not as described.
    """
    arrays = []
    for name, array in found.items():
        if array.dtype == object and all(isinstance(value, str) for value in array.ravel()):
            array = array.astype(str)
        if array.ndim != 1 or array.dtype.kind not in "buifUS":
            raise LosstuneError(f"{name}: found {describe(array)}, expected one name or number for each sample")
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise LosstuneError(f"{name}: found {int(np.isnan(array).sum()):,} samples without a group, expected none")
        arrays.append(array)
    if len({array.dtype.kind in "US" for array in arrays}) > 1:
        raise LosstuneError(f"{', '.join(found)}: found names and numbers, expected one of both in every split")
    numbers: Labels = np.unique(np.concatenate(arrays), return_inverse=True)[1].astype(np.int64)
    return np.split(numbers, np.cumsum([len(array) for array in arrays])[:-1])


def join_splits(arrays: Mapping[str, Labels]) -> Labels | None:
    """Return what belongs to the samples outside the test split, from arrays by split in order; None without any."""
    parts = [array for split, array in arrays.items() if split != "test"]
    return np.concatenate(parts) if parts else None


def require_apart(groups: Labels, others: Labels, where: str) -> None:
    """Check that two splits of the data have no group in common.

    Raises:
        LosstuneError: If they have; the message says how many, and names `where`.
    """
    num_shared, num_all = len(np.intersect1d(groups, others)), len(np.unique(groups))
    if num_shared:
        raise LosstuneError(
            f"{num_shared:,} of the {num_all:,} groups of the training data are in the {where}, too, expected none "
            "(data.groups: no group in two splits)"
        )


def require_groups(labels: Labels, groups: Labels, class_names: Sequence[str], *, num_splits: int) -> None:
    """Check that every class is in as many groups as there are splits to draw.

    Raises:
        LosstuneError: If a class is in fewer; the message names the one in the fewest groups.
    """
    num_groups = (_counts(labels, groups, len(class_names)) > 0).sum(axis=0)
    fewest = int(num_groups.argmin())
    if num_groups[fewest] < num_splits:
        found = int(num_groups[fewest])
        raise LosstuneError(
            f"class {class_names[fewest]!r} is in {found} group{'' if found == 1 else 's'}, expected at least "
            f"{num_splits}, one for each of {num_splits} splits: no group is in two of them (data.groups)"
        )


def num_groups(raw: RawData, train: Labels, validation: Labels, test: Labels | None) -> GroupCounts | None:
    """Count the groups of each split, from the indices of its samples; None if the data has no groups."""
    if raw.groups is None:
        return None
    groups_of_test = raw.test_groups if test is None else raw.groups[test]
    return GroupCounts(
        train=len(np.unique(raw.groups[train])),
        validation=len(np.unique(raw.groups[validation])),
        test=None if groups_of_test is None else len(np.unique(groups_of_test)),
    )


def draw_groups(
    labels: Labels,
    groups: Labels,
    class_names: Sequence[str],
    fraction: float,
    *,
    num_left: int,
    generator: np.random.Generator,
) -> Labels:
    """Draw whole groups, so that they hold about `fraction` of the samples and of each class.

    A random draw is improved by adding, removing or exchanging one group at a time until nothing of that helps.

    Args:
        labels: ``(N,)``.
        groups: ``(N,)``, the group of each sample.
        class_names: In the order of the labels; used only in messages.
        fraction: In (0, 1).
        num_left: The number of groups that every class keeps outside the draw.
        generator: Source of the random draws.

    Returns:
        Ascending indices of the drawn samples.

    Raises:
        LosstuneError: If no draw was found that has every class inside and outside; the message names a class.
    """
    numbers = np.unique(groups, return_inverse=True)[1]
    counts = _counts(labels, groups, len(class_names))
    missing: Labels = np.zeros(len(class_names), dtype=np.int64)
    for _ in range(_MOST_STARTS):
        is_drawn = _improved(counts, _random(counts, fraction, generator), fraction, num_left, generator)
        missing = _missing((counts[is_drawn] > 0).sum(axis=0), (counts > 0).sum(axis=0), num_left)
        if not missing.any():
            return np.flatnonzero(is_drawn[numbers]).astype(np.int64)
    raise LosstuneError(
        f"no split by groups was found that has class {class_names[int(missing.argmax())]!r} in every split; its "
        "groups hold too much of other classes (data.groups)"
    )


def _counts(labels: Labels, groups: Labels, num_classes: int) -> Labels:
    """Return the samples of each group and class, (G, C)."""
    names, numbers = np.unique(groups, return_inverse=True)
    flat: Labels = np.bincount(numbers * num_classes + labels, minlength=len(names) * num_classes).astype(np.int64)
    return flat.reshape(len(names), num_classes)


def _random(counts: Labels, fraction: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    order = generator.permutation(len(counts))
    sizes = counts.sum(axis=1)[order].cumsum()
    is_drawn = np.zeros(len(counts), dtype=np.bool_)
    is_drawn[order[: max(1, int((sizes <= fraction * sizes[-1]).sum()))]] = True
    return is_drawn


def _missing(inside: Array, everywhere: Array, num_left: int) -> Array:
    """Return how many groups each class lacks inside and outside the draw."""
    lacking: Array = np.maximum(1 - inside, 0) + np.maximum(num_left - (everywhere - inside), 0)
    return lacking


def _improved(
    counts: Labels, is_drawn: NDArray[np.bool_], fraction: float, num_left: int, generator: np.random.Generator
) -> NDArray[np.bool_]:
    num_classes = counts.shape[1]
    # The share of each class and of all samples, and whether a class is there: all three add up over groups.
    shares = counts / counts.sum(axis=0)
    sizes = counts.sum(axis=1, keepdims=True) / counts.sum()
    columns = np.concatenate([shares, sizes, counts > 0], axis=1)
    everywhere = (counts > 0).sum(axis=0)

    def cost(held: Array) -> Array:
        classes, size, present = np.split(held, [num_classes, num_classes + 1], axis=-1)
        # A class that is missing outweighs every distance from the fraction.
        distance = np.square(classes - fraction).mean(axis=-1) + np.square(size[..., 0] - fraction)
        weighed: Array = 2 * _missing(present, everywhere, num_left).sum(axis=-1) + distance
        return weighed

    # Half a sample of every class: no draw can be asked to be closer.
    close = np.square(0.5 / counts.sum(axis=0)).mean() + (0.5 / counts.sum()) ** 2
    most = max(1, int((_MOST_NUMBERS / columns.shape[1]) ** 0.5))
    for _ in range(_MOST_CHANGES):
        held = columns[is_drawn].sum(axis=0)
        now = cost(held)
        if now <= close:
            break
        some = generator.permutation(len(columns))[: max(1, _MOST_NUMBERS // columns.shape[1])]
        turned = cost(held + np.where(is_drawn[some], -1, 1)[:, None] * columns[some])
        inside, outside = (generator.permutation(np.flatnonzero(mask))[:most] for mask in (is_drawn, ~is_drawn))
        swapped = cost(held - columns[inside][:, None] + columns[outside][None])
        best_pair = np.unravel_index(int(swapped.argmin()), swapped.shape) if swapped.size else None
        changed, after = [int(some[turned.argmin()])], turned.min()
        if best_pair is not None and swapped[best_pair] < after:
            after = swapped[best_pair]
            changed = [int(inside[best_pair[0]]), int(outside[best_pair[1]])]
        if after >= now - 1e-12:
            break
        is_drawn[changed] = ~is_drawn[changed]
    return is_drawn
