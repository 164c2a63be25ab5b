"""Classes that a loss's models never predict, which accuracy can hide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from losstune.core.records import Record
from losstune.verdict import wording

MOST_NAMED = 3


def never_predicted(
    losses: Iterable[str], blocks: Mapping[str, Sequence[Record]], class_names: Sequence[str]
) -> list[str]:
    """Return a sentence for each of `losses` whose models never predict some class in more than half of the blocks.

    A model predicts the class with the largest probability. Blocks without predictions, such as diverged ones, and
    classes without test samples are ignored.

    Args:
        losses: Names of the losses to check.
        blocks: Blocks by loss.
        class_names: Names of the classes, in the order of the labels.
    """
    found = []
    for loss in losses:
        matrices = [np.asarray(block.confusion) for block in blocks.get(loss, ()) if block.confusion is not None]
        if not matrices:
            continue
        missing_BC = np.stack([(matrix.sum(0) == 0) & (matrix.sum(1) > 0) for matrix in matrices])
        times_C = missing_BC.sum(0)
        missed = [label for label in np.argsort(-times_C, kind="stable") if 2 * times_C[label] > len(matrices)]
        if not missed:
            continue
        names = [
            f"'{class_names[label]}' in {times_C[label]} of {wording.count(len(matrices), 'block')}"
            for label in missed[:MOST_NAMED]
        ]
        more = f", and {len(missed) - MOST_NAMED} more classes" if len(missed) > MOST_NAMED else ""
        found.append(f"{loss} never predicts {', '.join(names)}{more}.")
    return found
