"""Metrics against soft labels, against scikit-learn's for sampled labels and scipy's cross-entropy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from sklearn.metrics import accuracy_score, log_loss

from losstune.losses import get
from losstune.training.loop import train
from losstune.training.scores import Scorer
from losstune.training.soft_metrics import expected_accuracy, soft_nll
from tests.small import digits_arrays, small_task

GENERATOR = np.random.default_rng(3)
P = torch.from_numpy(GENERATOR.dirichlet(np.ones(4), 50))
T = torch.from_numpy(GENERATOR.dirichlet(np.ones(4) / 2, 50))
Y = T.argmax(1)
NAMED = ("expected_accuracy", "soft_nll")


def test_expected_accuracy_is_that_of_labels_drawn_from_the_distributions():
    weights = T.numpy().ravel()
    rows, labels = np.repeat(P.argmax(1).numpy(), 4), np.tile(np.arange(4), 50)
    expected = accuracy_score(labels, rows, sample_weight=weights)
    assert float(expected_accuracy(P, T)) == pytest.approx(expected)


def test_soft_nll_is_cross_entropy():
    expected = np.mean(entropy(T, axis=1) + entropy(T, P, axis=1))
    assert float(soft_nll(P, T)) == pytest.approx(expected)
    assert float(soft_nll(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]]))) == pytest.approx(23 * np.log(2) / 2)


def test_without_soft_labels_they_are_accuracy_and_nll():
    task = replace(small_task(), metrics=NAMED)
    scores = Scorer(task).scores(P, Y)
    assert scores["expected_accuracy"] == scores["accuracy"]
    assert scores["soft_nll"] == pytest.approx(scores["nll"])
    assert scores["nll"] == pytest.approx(log_loss(Y, P, labels=range(4)))
    soft = Scorer(task).scores(P, Y, None, T)
    assert soft["accuracy"] == scores["accuracy"]
    assert soft["expected_accuracy"] == float(expected_accuracy(P, T)) != scores["accuracy"]


def test_a_training_has_them_on_both_splits_after_every_epoch():
    arrays = digits_arrays()
    rows = {name: np.full((160, 10), 0.05, np.float32) for name in ("validation", "test")}
    for name, row in rows.items():
        row[np.arange(160), getattr(arrays, f"{name}_labels")] = 0.55
    soft = replace(arrays, digest="soft", validation_targets=rows["validation"], test_targets=rows["test"])
    task = replace(small_task(test=True), metrics=NAMED)
    (result,) = list(train(task, soft, get("cross_entropy")))[-1]
    for scores in (*(epoch.validation for epoch in result.curve), result.test):
        assert scores["expected_accuracy"] == pytest.approx(0.05 + 0.5 * scores["accuracy"])
        assert scores["soft_nll"] > entropy(rows["test"][0])
