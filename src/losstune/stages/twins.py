"""Says before a study trains which of its losses are one under two names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from losstune.identity import Loss, twins
from losstune.losses.registry import get
from losstune.losses.spec import BoundLoss
from losstune.search import Space


def twin_lines(spaces: Mapping[str, Space], class_counts: tuple[int, ...]) -> list[str]:
    """Return a line for each pair of losses that are one at their published hyperparameters.

    The declared control pair is left out: that its losses are one is what it is for. Losses for different last
    layers are never one.

    Args:
        spaces: Of the study's losses; hyperparameters that the study fixes count as fixed.
        class_counts: Training samples of each class.
    """
    by_head: dict[tuple[str, bool], dict[str, Loss]] = defaultdict(dict)
    declared = []
    for name, space in spaces.items():
        spec = get(name)
        by_head[spec.head, spec.initial_bias is None][name] = _told(spec.bind(space.fixed), class_counts)
        if spec.equals:
            declared.append((name, spec.equals))
    return [
        f"{one} is {other} under another name, L = {found}: they are no two candidates, and count as two"
        for losses in by_head.values()
        for one, other, found in twins(losses, declared)
    ]


def _told(loss: BoundLoss, class_counts: tuple[int, ...]) -> Loss:
    def told(logits_NC: Tensor, target_N: Tensor) -> Tensor:
        # The detector looks at few classes: as unequal as the study's.
        counts = np.quantile(class_counts, np.linspace(0, 1, logits_NC.shape[1]))
        return loss.with_counts(torch.tensor(counts))(logits_NC, target_N)

    return told
