"""Confusion matrices over blocks, and the difference of two losses' matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from losstune.core.records import Record
from losstune.verdict.blocks import block_id

Counts = NDArray[np.int64]


def confusion_difference(loss: str, baseline: str, blocks: Mapping[str, Sequence[Record]], num_classes: int) -> Counts:
    """Return a loss's confusion matrix minus the baseline's, ``[true][predicted]``, over the blocks that both have.

    Args:
        loss: Name of the loss.
        baseline: Name of the baseline.
        blocks: Blocks by loss, see :func:`losstune.verdict.blocks.blocks_by_loss`.
        num_classes: Number of classes C.
    """
    ours, theirs = _matrices(blocks.get(loss, ())), _matrices(blocks.get(baseline, ()))
    difference_CC = np.zeros((num_classes, num_classes), dtype=np.int64)
    for block in ours.keys() & theirs.keys():
        difference_CC += ours[block] - theirs[block]
    return difference_CC


def _matrices(blocks: Sequence[Record]) -> dict[tuple[int, int], Counts]:
    return {
        block_id(record): np.asarray(record.confusion, dtype=np.int64)
        for record in blocks
        if record.confusion is not None
    }
