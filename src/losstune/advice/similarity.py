"""How alike two studies' data is, from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from losstune.advice.records import Data

LIKE = 0.3
"""Studies at least this similar count as "like yours"."""

NOISE, CLASSES, SAMPLES, IMBALANCE = 0.2, math.log(10), math.log(100), math.log(10)
"""The difference that takes the similarity to 1/e: 20% more wrong labels; ten times the classes or the imbalance; a
hundred times the training samples. Chosen by hand before there was a benchmark, and not fitted."""

OTHER_KIND = 0.6
"""Similarity of images, tables and features to each other."""


def similarity(one: Data, other: Data) -> float:
    """Return the similarity of two data sets: 1 if they agree in all facts that count.

    It is a product of exponentials of distances, and of a constant for another kind, so every matrix of similarities is
    positive semi-definite, and so is one of their powers. Wrong labels of half as many samples count for asymmetric
    noise beside symmetric one.
    """
    wrong = abs(one.noise.rate - other.noise.rate) + abs(_asymmetric(one) - _asymmetric(other)) / 2.0
    distance = (
        wrong / NOISE
        + abs(math.log(one.num_classes / other.num_classes)) / CLASSES
        + abs(math.log(one.num_train / other.num_train)) / SAMPLES
        + abs(math.log(one.imbalance / other.imbalance)) / IMBALANCE
    )
    return math.exp(-distance) * (1.0 if one.kind == other.kind else OTHER_KIND)


def similarities(ones: Sequence[Data], others: Sequence[Data]) -> NDArray[np.float64]:
    """Return the similarity of each to each, (len(ones), len(others))."""
    return np.array([[similarity(one, other) for other in others] for one in ones]).reshape(len(ones), len(others))


def _asymmetric(data: Data) -> float:
    return data.noise.rate if data.noise.kind == "asymmetric" else 0.0
