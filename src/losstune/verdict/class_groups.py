"""Classes by their frequency in the training split, and the recall of each group."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Literal

import numpy as np

from losstune.core.records import Record

GROUPS = ("many", "medium", "few")
"""Names as Liu et al. 2019 (arXiv 1904.05160) give them, who divide at 100 and 20 samples."""

IMBALANCED = 10
"""Groups are shown by default if the largest class has at least so many times the samples of the smallest."""


def class_groups(
    counts: Sequence[int], setting: Literal["auto", "none"] | tuple[int, int]
) -> dict[str, tuple[int, ...]]:
    """Return the classes of each group; an empty group is left out.

    Args:
        counts: Training samples of each class.
        setting: ``auto`` divides the classes into thirds by their samples, if they are imbalanced; ``none`` makes no
            groups; of two numbers, classes with fewer samples than the first are few, with more than the second many.
    """
    if setting == "none" or not counts:
        return {}
    by_size = sorted(range(len(counts)), key=lambda label: (-counts[label], label))
    if setting != "auto":
        low, high = setting
        sizes = ("few" if counts[label] < low else "many" if counts[label] > high else "medium" for label in by_size)
        named = list(zip(sizes, by_size, strict=True))
        found = {name: tuple(sorted(label for group, label in named if group == name)) for name in GROUPS}
        return {name: labels for name, labels in found.items() if labels}
    if len(counts) < len(GROUPS) or max(counts) < IMBALANCED * max(1, min(counts)):
        return {}
    thirds = np.array_split(by_size, len(GROUPS))
    return {name: tuple(sorted(labels.tolist())) for name, labels in zip(GROUPS, thirds, strict=True)}


def group_recalls(blocks: Sequence[Record], labels: Sequence[int]) -> list[float]:
    """Return for each block the mean recall over the classes of a group that have test samples.

    Over all classes, it is balanced accuracy: of a loss whose outputs ignore the class prior, the predictions are those
    of balanced accuracy. Blocks without predictions, such as diverged ones, count as 0. Empty if no class has a test
    sample, or no block has predictions.
    """
    found = [_recalls(block, labels) for block in blocks]
    if not any(found):
        return []
    return [fmean(recalls) if recalls else 0.0 for recalls in found]


def _recalls(block: Record, labels: Sequence[int]) -> list[float]:
    """Return the recall of each class that has test samples; none for a block without predictions."""
    if block.confusion is None:
        return []
    hits = block.balanced_hits or [row[label] for label, row in enumerate(block.confusion)]
    return [hits[label] / total for label in labels if (total := sum(block.confusion[label]))]
