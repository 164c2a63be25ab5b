"""A long tail drawn from balanced data, as Cui et al. 2019 (arXiv 1901.05555, section 5.1) do."""

from __future__ import annotations

import numpy as np

from losstune.data.raw import Labels


def long_tail(labels: Labels, num_classes: int, ratio: float, seed: int) -> Labels:
    """Return the indices of the samples that stay, ascending.

    Class k of C keeps ``int(n * ratio ** (-k / (C - 1)))`` samples, at least one, where n is the size of the largest
    class; or all that it has, if these are fewer. With the same seed, a higher ratio keeps a subset of what a lower one
    keeps.

    Args:
        labels: Class indices (N,).
        num_classes: C, at least 2.
        ratio: Size of the largest class over that of the smallest, above 1.
        seed: Seed of the choice.
    """
    generator = np.random.default_rng(seed)
    counts = np.bincount(labels, minlength=num_classes)
    kept = []
    for label in range(num_classes):
        # The tolerance is for powers that are whole numbers but for rounding, such as 100 ** -1 * 5000.
        wanted = int(counts.max() * ratio ** (-label / (num_classes - 1)) + 1e-9)
        kept.append(generator.permutation(np.flatnonzero(labels == label))[: max(1, wanted)])
    indices: Labels = np.sort(np.concatenate(kept))
    return indices
