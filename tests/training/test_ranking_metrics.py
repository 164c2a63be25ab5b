"""AUROC and average precision against scikit-learn, class by class."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn import metrics as reference

from losstune.training import ranking_metrics
from losstune.training.ranking_metrics import auroc, average_precision
from tests.training.test_metrics import draw

SCIKIT_LEARN = {auroc: reference.roc_auc_score, average_precision: reference.average_precision_score}
BOTH = pytest.mark.parametrize("metric", SCIKIT_LEARN)


def by_class(metric, probabilities, target):
    """The mean of scikit-learn's binary metric over the classes that have samples."""
    p, y = probabilities.numpy(), target.numpy()
    return np.mean([SCIKIT_LEARN[metric](y == label, p[:, label]) for label in np.unique(y)])


def normalised(probabilities):
    """Rows that sum to 1 in float64, as scikit-learn demands."""
    wide = probabilities.double()
    return (wide / wide.sum(1, keepdim=True)).numpy()


@pytest.mark.parametrize(("num", "classes"), [(40, 3), (300, 10), (2000, 30)])
def test_all_classes_present(num, classes):
    probabilities, target = draw(num, classes, seed=num, dtype=torch.float64)
    target[:classes] = torch.arange(classes)
    p, y = normalised(probabilities), target.numpy()
    assert auroc(probabilities, target).item() == pytest.approx(
        reference.roc_auc_score(y, p, multi_class="ovr", average="macro"), abs=1e-12
    )
    assert average_precision(probabilities, target).item() == pytest.approx(
        reference.average_precision_score(y, p, average="macro"), abs=1e-12
    )


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_classes_without_samples_do_not_count(metric, dtype):
    probabilities, target = draw(200, 8, seed=3, dtype=dtype)
    target[(target == 2) | (target == 7)] = 0
    assert metric(probabilities, target).item() == pytest.approx(by_class(metric, probabilities, target), abs=1e-12)


@BOTH
@pytest.mark.parametrize("decimals", [0, 1, 2])
def test_ties(metric, decimals):
    probabilities, target = draw(500, 5, seed=decimals, dtype=torch.float64)
    tied = probabilities.round(decimals=decimals)
    assert len(tied[:, 0].unique()) < 110
    assert metric(tied, target).item() == pytest.approx(by_class(metric, tied, target), abs=1e-12)


@BOTH
def test_exact_zeros_and_ones(metric):
    probabilities = torch.eye(4)[torch.randint(4, (60,), generator=torch.Generator().manual_seed(1))]
    target = torch.arange(60) % 4
    assert metric(probabilities, target).item() == pytest.approx(by_class(metric, probabilities, target), abs=1e-12)


def test_two_classes():
    probabilities, target = draw(101, 2, seed=9, dtype=torch.float64)
    score = probabilities[:, 1].numpy()
    assert auroc(probabilities, target).item() == pytest.approx(reference.roc_auc_score(target, score), abs=1e-12)
    both = [reference.average_precision_score(target == k, probabilities[:, k]) for k in (0, 1)]
    assert average_precision(probabilities, target).item() == pytest.approx(np.mean(both), abs=1e-12)


def test_the_area_is_the_share_of_pairs_in_the_right_order():
    probabilities, target = draw(30, 3, seed=4, dtype=torch.float64)
    probabilities = probabilities.round(decimals=1)
    areas = []
    for label in range(3):
        values = probabilities[:, label].tolist()
        inside = [value for value, true in zip(values, target.tolist(), strict=True) if true == label]
        outside = [value for value, true in zip(values, target.tolist(), strict=True) if true != label]
        areas.append(np.mean([(a > b) + 0.5 * (a == b) for a, b in itertools.product(inside, outside)]))
    assert auroc(probabilities, target).item() == pytest.approx(np.mean(areas), abs=1e-12)


def test_the_bounds():
    target = torch.arange(12) % 4
    perfect, hopeless = torch.eye(4)[target], (1 - torch.eye(4)[target]) / 3
    assert (auroc(perfect, target).item(), average_precision(perfect, target).item()) == (1.0, 1.0)
    assert auroc(hopeless, target).item() == 0.0
    assert average_precision(hopeless, target).item() == pytest.approx(3 / 12)
    assert auroc(torch.full((12, 4), 0.25), target).item() == 0.5


def test_a_single_class_gives_a_number():
    probabilities, target = draw(5, 3, dtype=torch.float64)
    assert auroc(probabilities, torch.zeros_like(target)).item() == 0.0
    assert average_precision(probabilities, torch.zeros_like(target)).item() == 1.0


@BOTH
@pytest.mark.parametrize("most", [1, 700, 1400, 10_000])
def test_sorting_in_parts_gives_the_same_bits(metric, most, monkeypatch):
    probabilities, target = draw(300, 7, seed=5)
    whole = metric(probabilities, target)
    monkeypatch.setattr(ranking_metrics, "MAX_VALUES", most)
    assert torch.equal(metric(probabilities, target), whole)


@BOTH
def test_it_does_not_depend_on_the_order_of_the_samples(metric):
    probabilities, target = draw(400, 6, seed=6)
    probabilities = probabilities.round(decimals=2)
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    assert metric(probabilities[order], target[order]).item() == pytest.approx(metric(probabilities, target).item())
