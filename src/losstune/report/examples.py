"""Test examples that one loss predicts correctly and the other does not, over the blocks that both trained.

Shape suffixes: N test examples, B blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from losstune.core.errors import LosstuneError
from losstune.core.labels import unpack
from losstune.core.records import Record
from losstune.verdict.blocks import block_id

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A test example on which the losses differ.

    Attributes:
        index: Its index in the test split.
        label: Its true class.
        num_gained: Blocks in which the loss was right and the baseline wrong.
        num_lost: Blocks in which the baseline was right and the loss wrong.
        said: The loss's most frequent prediction in the blocks that count as lost, or in all blocks if there are none.
        baseline_said: The baseline's most frequent prediction in the blocks that count as gained, or in all blocks if
            there are none.
    """

    index: int
    label: int
    num_gained: int
    num_lost: int
    said: int
    baseline_said: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """The examples that a loss gained and lost, compared with the baseline.

    Attributes:
        loss: Its name.
        baseline: Name of the baseline.
        num_blocks: Blocks for which both have predictions.
        examples: All examples on which they differ in a block, by index in the test split.
    """

    loss: str
    baseline: str
    num_blocks: int
    examples: tuple[Example, ...]

    def mean_gained(self) -> float:
        """Return the mean number of gained examples per block."""
        return sum(example.num_gained for example in self.examples) / self.num_blocks

    def mean_lost(self) -> float:
        """Return the mean number of lost examples per block."""
        return sum(example.num_lost for example in self.examples) / self.num_blocks

    def gained(self, most: int) -> list[Example]:
        """Return the examples that are gained in more blocks than lost, by the size of this surplus."""
        found = [example for example in self.examples if example.num_gained > example.num_lost]
        return sorted(found, key=lambda e: (e.num_lost - e.num_gained, e.index))[:most]

    def lost(self, most: int) -> list[Example]:
        """Return the examples that are lost in more blocks than gained, by the size of this surplus."""
        found = [example for example in self.examples if example.num_lost > example.num_gained]
        return sorted(found, key=lambda e: (e.num_gained - e.num_lost, e.index))[:most]


def exchange_of(loss: str, baseline: str, blocks: Mapping[str, Sequence[Record]], labels_N: Labels) -> Exchange | None:
    """Return the gained and lost examples; None if there is no block for which both losses have predictions.

    Args:
        loss: Name of the loss.
        baseline: Name of the baseline.
        blocks: Blocks by loss, see :func:`losstune.verdict.blocks.blocks_by_loss`.
        labels_N: True classes of the test split.

    Raises:
        LosstuneError: If the number of predictions differs from that of labels.
    """
    ours, theirs = _predictions(blocks.get(loss, ())), _predictions(blocks.get(baseline, ()))
    shared = sorted(ours.keys() & theirs.keys())
    if loss == baseline or not shared:
        return None
    for predictions_N in (*ours.values(), *theirs.values()):
        if len(predictions_N) != len(labels_N):
            raise LosstuneError(
                f"the test split has {len(labels_N)} samples, but the blocks have predictions for "
                f"{len(predictions_N)}; `dvc repro` updates both"
            )
    ours_BN, theirs_BN = (np.stack([found[block] for block in shared]) for found in (ours, theirs))
    gained_BN = (ours_BN == labels_N) & (theirs_BN != labels_N)
    lost_BN = (ours_BN != labels_N) & (theirs_BN == labels_N)
    return Exchange(
        loss=loss,
        baseline=baseline,
        num_blocks=len(shared),
        examples=tuple(
            Example(
                index=int(n),
                label=int(labels_N[n]),
                num_gained=int(gained_BN[:, n].sum()),
                num_lost=int(lost_BN[:, n].sum()),
                said=_most_frequent(ours_BN[:, n], lost_BN[:, n]),
                baseline_said=_most_frequent(theirs_BN[:, n], gained_BN[:, n]),
            )
            for n in np.flatnonzero((gained_BN | lost_BN).any(0))
        ),
    )


def _predictions(blocks: Iterable[Record]) -> dict[tuple[int, int], Labels]:
    return {block_id(record): unpack(record.predictions) for record in blocks if record.predictions}


def _most_frequent(classes_B: Labels, of_interest_B: NDArray[np.bool_]) -> int:
    """Return the most frequent class, the lowest if tied, in the blocks of interest, or in all if there are none."""
    chosen = classes_B[of_interest_B] if of_interest_B.any() else classes_B
    return int(np.bincount(chosen).argmax())
