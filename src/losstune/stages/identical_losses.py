"""Find identical losses in a study before it trains."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from losstune.losses.registry import get
from losstune.losses.spec import BoundLoss
from losstune.losses.tools.identity import Loss, Relation, identical_pairs
from losstune.losses.tools.known_pairs import MOST_CLASSES, known_to_differ
from losstune.stages.model_fit import known_manifest
from losstune.study.search import Space


def identical_lines(spaces: Mapping[str, Space], class_counts: tuple[int, ...]) -> list[str]:
    """Return a line for each pair of losses that are identical at their published hyperparameters.

    The declared control pair is left out, because it is identical on purpose. Losses for different last layers are
    never identical.

    Args:
        spaces: Search spaces of the study's losses, with the hyperparameters that the study fixes.
        class_counts: Number of training samples of each class.
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
        bound = {name: _with_class_counts(loss, class_counts) for name, loss in losses.items()}
        left_out = [*declared, *known_to_differ(published, num_classes)]
        lines += [_line(*found) for found in identical_pairs(bound, left_out, (num_classes,))]
    return lines


def known_class_counts(folder: Path) -> tuple[int, ...]:
    """Return the number of training samples of each class in the prepared data of a folder.

    Without samples: ten unequal classes, so that losses that differ only by class frequencies are not taken for
    identical.
    """
    manifest = known_manifest(folder)
    return (manifest.counts.train if manifest is not None else ()) or tuple(range(100, 1100, 100))


def _line(one: str, other: str, found: Relation) -> str:
    if found.everywhere:
        return f"{one} is identical to {other}, L = {found}, but both count as candidates"
    return (
        f"{one} is identical to {other} except where p_y is below 3e-4, L = {found}: "
        "a difference between them is due to such samples or to noise"
    )


def _with_class_counts(loss: BoundLoss, class_counts: tuple[int, ...]) -> Loss:
    @cache
    def counts(num_classes: int) -> Tensor:
        # With more classes than the detector uses: as unequal as the study's. A count of 0.5 would be a fraction.
        return torch.tensor(np.quantile(class_counts, np.linspace(0, 1, num_classes)).clip(min=1))

    def with_counts(logits_NC: Tensor, target_N: Tensor) -> Tensor:
        return loss.with_counts(counts(logits_NC.shape[1]))(logits_NC, target_N)

    return with_counts
