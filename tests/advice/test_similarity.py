"""How alike data is."""

import math

import numpy as np
import pytest

from losstune.advice.similarity import LIKE, similarities, similarity
from tests.advice.made_up import data, noise

CLEAN = data()


def test_equal_facts_are_similar_whatever_the_name():
    assert similarity(CLEAN, data("fish")) == 1.0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"num_classes": 100}, math.exp(-1)),
        ({"num_train": 100_000}, math.exp(-1)),
        ({"imbalance": 10.0}, math.exp(-1)),
        ({"noise": noise(0.2)}, math.exp(-1)),
        ({"noise": noise(0.2, "asymmetric")}, math.exp(-1.5)),
        ({"kind": "table"}, 0.6),
        ({"kind": "table", "num_classes": 100}, 0.6 * math.exp(-1)),
    ],
)
def test_each_fact_counts(changes, expected):
    other = data(**changes)
    assert similarity(CLEAN, other) == pytest.approx(expected) == similarity(other, CLEAN)


def test_noise_of_another_kind_is_nearer_than_none():
    noisy = data(noise=noise(0.4))
    assert similarity(noisy, data(noise=noise(0.4, "asymmetric"))) > similarity(noisy, CLEAN)
    assert similarity(noisy, CLEAN) < LIKE


def test_similarities_are_a_covariance():
    rng, kinds = np.random.default_rng(0), ("image", "table", "features")
    places = [
        data(
            kind=kinds[rng.integers(3)],
            num_classes=int(rng.integers(2, 200)),
            num_train=int(10 ** rng.uniform(1, 6)),
            imbalance=10 ** rng.uniform(0, 2),
            noise=noise(rng.uniform(0.01, 0.9), ("symmetric", "asymmetric")[rng.integers(2)]),
        )
        for _ in range(60)
    ]
    matrix = similarities(places, places)
    assert np.array_equal(np.diag(matrix), np.ones(60))
    assert min(np.linalg.eigvalsh(matrix**power).min() for power in (1.0, 0.5, 0.25)) > -1e-9
    assert similarities(places[:2], []).shape == (2, 0)
