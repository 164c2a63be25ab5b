"""Training on soft labels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import entropy

from losstune.losses import get
from losstune.training.device_data import DeviceData
from losstune.training.loop import train
from losstune.training.soft_labels import class_counts, takes_soft_labels
from tests.small import digits_arrays, small_task


def soft(labels, seed):
    """Labels of which the true class has the largest probability, but not all."""
    generator = np.random.default_rng(seed)
    rows = generator.dirichlet(np.ones(10), len(labels)) * 0.3
    rows[np.arange(len(labels)), labels] += 0.7
    return rows.astype(np.float32)


def soft_arrays():
    arrays = digits_arrays()
    names = ("train", "validation", "test")
    targets = {f"{name}_targets": soft(getattr(arrays, f"{name}_labels"), seed) for seed, name in enumerate(names)}
    return replace(arrays, digest="soft digits", **targets)


def result(loss="cross_entropy", arrays=None, **settings):
    task = small_task(loss, test=True, keep_weights=True, **settings)
    (found,) = list(train(task, arrays or soft_arrays(), get(loss)))[-1]
    return found


def data_of(arrays):
    return DeviceData(arrays, torch.device("cpu"))


def test_what_a_loss_is_trained_on():
    data = data_of(soft_arrays())
    assert data.train_target(get("brier"), "require") is data.train_targets
    assert data.train_target(get("brier"), "mode_if_needed") is data.train_targets
    assert data.train_target(get("brier"), "mode") is data.train_labels
    assert data.train_target(get("gce"), "mode_if_needed") is data.train_labels
    hard = data_of(digits_arrays())
    assert hard.train_target(get("brier"), "require") is hard.train_labels


def cross_entropy(logits_NC, target):
    return F.cross_entropy(logits_NC, target, reduction="none")


def absolute_error(logits_NC, target_N):
    return 1 - logits_NC.softmax(1).gather(1, target_N[:, None])[:, 0]


def quiet_mistake(logits_NC, target):
    """Takes a number of any kind for the class."""
    return cross_entropy(logits_NC, target) if target.ndim == 1 else logits_NC.logsumexp(1) - target[:, 0]


def noisy(logits_NC, target):
    """Cross-entropy of logits with noise."""
    return cross_entropy(logits_NC + torch.randn_like(logits_NC), target)


@pytest.mark.parametrize(
    ("function", "takes"), [(cross_entropy, True), (noisy, True), (absolute_error, False), (quiet_mistake, False)]
)
def test_a_loss_of_the_users_own_is_tried_on_distributions(function, takes):
    spec = replace(get("gce").spec, function=function, hyperparameters=(), has_properties=False)
    state = torch.get_rng_state()
    assert takes_soft_labels(spec, 10) == takes
    assert torch.equal(torch.get_rng_state(), state)
    data = data_of(soft_arrays())
    expected = data.train_targets if takes else data.train_labels
    assert data.train_target(spec.bind(), "mode_if_needed") is expected


def test_counts_are_those_of_the_target():
    data = data_of(soft_arrays())
    assert class_counts(data.train_labels, 10).tolist() == np.bincount(data.train_labels, minlength=10).tolist()
    torch.testing.assert_close(class_counts(data.train_targets, 10), data.train_targets.sum(0))
    loss = data.with_counts(get("logit_adjusted"), "mode")
    assert loss.counts.tolist() == np.bincount(data.train_labels, minlength=10).tolist()


def test_one_hot_rows_train_as_classes_do():
    arrays = digits_arrays()
    hot = {f"{name}_targets": np.eye(10, dtype=np.float32)[getattr(arrays, f"{name}_labels")] for name in ("train",)}
    found, expected = result(arrays=replace(arrays, digest="hot", **hot)), result(arrays=arrays)
    assert found.validation == pytest.approx(expected.validation, abs=1e-6)


def test_the_modes_train_as_the_same_classes_do():
    assert result(soft_labels="mode").weights == result(arrays=digits_arrays()).weights
    assert result("gce", soft_labels="mode_if_needed").weights == result("gce", arrays=digits_arrays()).weights
    assert result().weights != result(arrays=digits_arrays()).weights


def test_kl_divergence_is_cross_entropy_but_for_the_value_of_the_loss():
    arrays = soft_arrays()
    for settings in ({}, {"mixup": 0.4}):
        ours, theirs = result(**settings), result("kl_divergence", **settings)
        assert ours.weights == theirs.weights
        assert (ours.validation, ours.test) == (theirs.validation, theirs.test)
        if not settings:
            difference = ours.curve[0].train_loss - theirs.curve[0].train_loss
            assert difference == pytest.approx(np.mean(entropy(arrays.train_targets, axis=1)), rel=1e-5)
