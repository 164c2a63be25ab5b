"""Wrong labels: symmetric, by class, or as they were given beside the true ones.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from losstune.config.data import DataSettings, NoiseSettings
from losstune.core.errors import LosstuneError, did_you_mean
from losstune.core.seeds import derive_seed
from losstune.data.manifest import NoiseFacts
from losstune.data.raw import Labels, RawData, shortlist
from losstune.data.splits import Splits, apportion

KEY = "data.label_noise"
MOST_CLASSES = 100
"""The transition matrix is recorded for at most so many classes."""


@dataclass(frozen=True, slots=True)
class NoisyLabels:
    """Labels of the splits, (N,) int64 each, some of them wrong.

    Attributes:
        labels: By the name of the split.
        facts: What was measured.
        num_changed: Wrong labels in the training split.
    """

    labels: Mapping[str, Labels]
    facts: NoiseFacts
    num_changed: int


def noisy_labels(raw: RawData, splits: Splits, settings: DataSettings, seed: int) -> NoisyLabels | None:
    """Return the splits' labels with noise; None without noise.

    Args:
        raw: All samples.
        splits: Indices of the splits.
        settings: ``label_noise`` and ``noisy_splits`` are read.
        seed: ``study.seed``.

    Raises:
        LosstuneError: If the settings do not fit the data.
    """
    if settings.label_noise == 0.0:
        return None
    if raw.targets is not None:
        raise LosstuneError(f"{KEY}: found {settings.noise_label}, expected 0: the data has soft labels")
    true = splits.of(raw.labels, raw.test_labels)
    if isinstance(settings.label_noise, str):
        found = _given(raw, splits, settings)
    else:
        matrix_CC = None
        if isinstance(settings.label_noise, NoiseSettings):
            matrix_CC = transition_matrix(settings.label_noise, raw.class_names)
        found = {}
        for name in settings.noisy_splits:
            # The stream of the training split has no name, so that studies of earlier versions stay as they are.
            seed_of_split = derive_seed(seed, "label_noise", *([name] if name != "train" else []))
            labels_N = true[name]
            if matrix_CC is None:
                assert isinstance(settings.label_noise, float)
                found[name] = symmetric(labels_N, len(raw.class_names), settings.label_noise, seed_of_split)
            else:
                found[name] = asymmetric(labels_N, matrix_CC, seed_of_split)
    wrong = {name: labels_N != true[name] for name, labels_N in found.items()}
    facts = NoiseFacts(
        setting=settings.model_dump(mode="json")["label_noise"],
        rates={name: float(wrong_N.mean()) for name, wrong_N in wrong.items()},
        transitions=_transitions(true["train"], found.get("train"), len(raw.class_names)),
    )
    return NoisyLabels(true | found, facts, int(wrong["train"].sum()) if "train" in wrong else 0)


def symmetric(labels_N: Labels, num_classes: int, rate: float, seed: int) -> Labels:
    """Replace a share of the labels by another class, each with equal probability.

    Exactly ``round(rate * N)`` labels change. With the same seed, a higher rate changes the same labels in the same
    way as a lower one, and more, so that studies of several rates are paired.

    Args:
        labels_N: Class indices; not modified.
        num_classes: At least 2.
        rate: In [0, 1).
        seed: Seed of the choice of labels and of their new classes.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(labels_N))
    offsets = generator.integers(1, num_classes, size=len(labels_N))
    changed = order[: round(rate * len(labels_N))]
    noisy_N = labels_N.copy()
    noisy_N[changed] = (labels_N[changed] + offsets[changed]) % num_classes
    return noisy_N


def asymmetric(labels_N: Labels, matrix_CC: NDArray[np.float64], seed: int) -> Labels:
    """Replace labels by a transition matrix, as Patrini et al. 2017 (arXiv 1609.03683) do.

    Of each class, the number of samples that get each label is exact, up to rounding to whole samples. With the same
    seed, the samples whose label changes come in the same order for every rate.

    Args:
        labels_N: Class indices; not modified.
        matrix_CC: Probability of each label (column) for each true class (row); rows sum to 1.
        seed: Seed of the choice of labels.
    """
    generator = np.random.default_rng(seed)
    noisy_N = labels_N.copy()
    for true in range(len(matrix_CC)):
        where = generator.permutation(np.flatnonzero(labels_N == true))
        others = np.delete(np.arange(len(matrix_CC)), true)
        counts = apportion(len(where), matrix_CC[true])
        changed = np.repeat(others, counts[others])
        noisy_N[where[: len(changed)]] = changed
    return noisy_N


def transition_matrix(settings: NoiseSettings, class_names: Sequence[str]) -> NDArray[np.float64]:
    """Return the probability of each label (column) for each true class (row), (C, C).

    Raises:
        LosstuneError: If a class of the pairs is not one of the data, or the matrix has another size.
    """
    num_classes = len(class_names)
    if settings.matrix is not None:
        if len(settings.matrix) != num_classes:
            raise LosstuneError(
                f"{KEY}.matrix: found {len(settings.matrix)} rows, expected {num_classes}, one for each class in the "
                "order of the data"
            )
        return np.array(settings.matrix, dtype=np.float64)
    matrix_CC = np.eye(num_classes)
    assert settings.rate is not None
    for name, other in settings.pairs.items():
        for found in (name, other):
            if found not in class_names:
                hint = did_you_mean(found, class_names)
                raise LosstuneError(
                    f"{KEY}.pairs: found class {found!r}, expected one of {shortlist(class_names)}{hint}"
                )
        row = class_names.index(name)
        matrix_CC[row, row], matrix_CC[row, class_names.index(other)] = 1.0 - settings.rate, settings.rate
    return matrix_CC


def _given(raw: RawData, splits: Splits, settings: DataSettings) -> dict[str, Labels]:
    """Return the labels that the data brings beside the true ones."""
    if raw.noisy_labels is None:
        raise LosstuneError(
            f"{KEY}: found {settings.label_noise!r}, which names an array or column with wrong labels, but the "
            "data has none of that name; expected a number in [0, 1), or pairs, or a matrix"
        )
    given = splits.of(raw.noisy_labels, raw.test_noisy_labels)
    return {name: _required(given, name) for name in settings.noisy_splits}


def _required(labels: Mapping[str, Labels], name: str) -> Labels:
    found = labels.get(name)
    if found is None:
        raise LosstuneError(
            f"data.noisy_splits: found {name}, but the data's own {name} split has no second labels; expected train"
        )
    return found


def _transitions(true_N: Labels, noisy_N: Labels | None, num_classes: int) -> tuple[tuple[int, ...], ...] | None:
    if noisy_N is None or num_classes > MOST_CLASSES:
        return None
    counts = np.bincount(true_N * num_classes + noisy_N, minlength=num_classes**2)
    return tuple(tuple(row) for row in counts.reshape(num_classes, num_classes).tolist())
