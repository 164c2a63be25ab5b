"""Find losses of a study that are identical, before it trains."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from losstune.core.errors import LosstuneError
from losstune.data import prepared
from losstune.losses.registry import get
from losstune.losses.spec import BoundLoss
from losstune.losses.tools.identity import Loss, Relation, identical_pairs
from losstune.losses.tools.known_pairs import MOST_CLASSES, known_to_differ
from losstune.stages.layout import PREPARED
from losstune.study.search import Space


def identical_lines(spaces: Mapping[str, Space], class_counts: tuple[int, ...]) -> list[str]:
    """Return a line for each pair of losses that are one at their published hyperparameters.

    The declared control pair is left out: that its losses are one is what it is for. Losses for different last
    layers are never one.

    Args:
        spaces: Of the study's losses; hyperparameters that the study fixes count as fixed.
        class_counts: Training samples of each class.
    """
    num_classes = min(len(class_counts), MOST_CLASSES)
    by_head: dict[tuple[str, bool], dict[str, BoundLoss]] = defaultdict(dict)
    for name, space in spaces.items():
        spec = get(name)
        by_head[spec.head, spec.initial_bias is None][name] = spec.bind(space.fixed)
    lines = []
    for losses in by_head.values():
        declared = [(name, spec.equals) for name in losses if (spec := get(name)).equals]
        published = [name for name, loss in losses.items() if loss.hyperparameters == loss.spec.defaults]
        told = {name: _told(loss, class_counts) for name, loss in losses.items()}
        left_out = [*declared, *known_to_differ(published, num_classes)]
        lines += [_line(*found) for found in identical_pairs(told, left_out, (num_classes,))]
    return lines


def known_class_counts(folder: Path) -> tuple[int, ...]:
    """Return the training samples of each class of the data prepared in a folder.

    Before it is: ten unequal classes, so that losses which differ by the class frequencies aren't taken for one.
    """
    try:
        return prepared.read_manifest(folder / PREPARED).counts.train
    except LosstuneError:
        return tuple(range(100, 1100, 100))


def _line(one: str, other: str, found: Relation) -> str:
    if found.everywhere:
        return (
            f"{one} is {other} under another name, L = {found}: they are no two candidates, and count as two"
        )
    return (
        f"{one} is {other} but where p_y is below 3e-4, L = {found}: "
        "a difference between them is that of such samples, or noise"
    )


def _told(loss: BoundLoss, class_counts: tuple[int, ...]) -> Loss:
    @cache
    def counts(num_classes: int) -> Tensor:
        # With more classes than the detector looks at: as unequal as the study's. A count of 0.5 would be a share.
        return torch.tensor(np.quantile(class_counts, np.linspace(0, 1, num_classes)).clip(min=1))

    def with_counts(logits_NC: Tensor, target_N: Tensor) -> Tensor:
        return loss.with_counts(counts(logits_NC.shape[1]))(logits_NC, target_N)

    return with_counts
