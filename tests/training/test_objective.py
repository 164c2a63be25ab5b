"""The objective of a batch, against torch's own losses."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from losstune.config.settings import TrainingSettings
from losstune.losses import get, list_losses
from losstune.losses.registry import registry
from losstune.training.mixing import Target
from losstune.training.objective import Objective, class_weights, takes_mixture

Z = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
Y = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])
OTHERS = Y.roll(1)
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 4.0])
SHARE = torch.tensor(0.3, dtype=torch.float64)
MIXED = Target(Y, OTHERS, SHARE)
DISTRIBUTION = 0.3 * F.one_hot(Y, 4).float() + 0.7 * F.one_hot(OTHERS, 4).float()


def value(loss, target, weight=None, **hyperparameters):
    bound = get(loss, **hyperparameters).with_counts([4, 3, 2, 1])
    mean, total = Objective(bound, weight)(Z, target)
    assert total == pytest.approx(8 * float(mean.detach()), rel=1e-5)
    return mean


def test_without_weights_and_mixing_it_is_the_mean_loss():
    assert torch.equal(value("focal", Target(Y)), get("focal")(Z, Y).mean())


@pytest.mark.parametrize(("loss", "options"), [("cross_entropy", {}), ("label_smoothing", {"label_smoothing": 0.1})])
def test_class_weights_are_torchs(loss, options):
    torch.testing.assert_close(value(loss, Target(Y), WEIGHT), nn.CrossEntropyLoss(WEIGHT, **options)(Z, Y))


@pytest.mark.parametrize("loss", ["focal", "gce", "square"])
def test_class_weights_of_other_losses_are_the_weighted_mean(loss):
    expected = (WEIGHT[Y] * get(loss)(Z, Y)).sum() / WEIGHT[Y].sum()
    torch.testing.assert_close(value(loss, Target(Y), WEIGHT), expected)


@pytest.mark.parametrize(("loss", "options"), [("cross_entropy", {}), ("label_smoothing", {"label_smoothing": 0.1})])
def test_a_mixed_target_is_torchs_distribution_for_a_linear_loss(loss, options):
    torch.testing.assert_close(value(loss, MIXED), nn.CrossEntropyLoss(**options)(Z, DISTRIBUTION))


@pytest.mark.parametrize("loss", ["focal", "gce", "poly1", "crammer_singer"])
def test_a_loss_for_class_indices_gets_one_class_after_the_other(loss):
    expected = 0.3 * get(loss)(Z, Y).mean() + 0.7 * get(loss)(Z, OTHERS).mean()
    torch.testing.assert_close(value(loss, MIXED), expected)


def test_a_loss_that_is_not_linear_gets_the_distribution():
    expected = ((Z.softmax(1) - DISTRIBUTION) ** 2).sum(1).mean()
    torch.testing.assert_close(value("brier", MIXED), expected)
    assert takes_mixture(registry()["brier"])
    # Class weights belong to classes, not to distributions.
    assert not takes_mixture(registry()["brier"], has_weights=True)


def test_kl_divergence_stays_cross_entropy_to_the_bit():
    values, gradients = [], []
    for loss in ("cross_entropy", "kl_divergence"):
        logits = Z.clone().requires_grad_()
        mean, _ = Objective(get(loss))(logits, MIXED)
        mean.backward()
        values.append(mean.detach())
        gradients.append(logits.grad)
    assert torch.equal(*values)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("loss", [name for name, spec in registry().items() if spec.linear_in_target])
def test_for_a_linear_loss_both_forms_are_the_same(loss):
    bound = get(loss).with_counts([4, 3, 2, 1])
    expected = bound(Z.double(), DISTRIBUTION.double()).mean()
    mean, _ = Objective(bound)(Z.double(), MIXED)
    torch.testing.assert_close(mean, expected)


@pytest.mark.parametrize("loss", list_losses())
def test_every_loss_takes_part(loss):
    for weight in (None, WEIGHT):
        assert value(loss, MIXED, weight).isfinite()


def test_mixing_with_class_weights_mixes_the_weights():
    share = torch.tensor(0.3)
    top = (share * WEIGHT[Y] * get("focal")(Z, Y) + (1 - share) * WEIGHT[OTHERS] * get("focal")(Z, OTHERS)).sum()
    bottom = (share * WEIGHT[Y] + (1 - share) * WEIGHT[OTHERS]).sum()
    torch.testing.assert_close(value("focal", MIXED, WEIGHT), top / bottom)


def test_balanced_weights_are_scikit_learns():
    labels = torch.tensor([0] * 7 + [1] * 2 + [2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    found = class_weights(TrainingSettings(class_weights="balanced"), labels, 3)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    assert class_weights(TrainingSettings(), labels, 3) is None
    assert class_weights(TrainingSettings(class_weights=(1, 2.5, 3)), labels, 3).tolist() == [1, 2.5, 3]


SOFT = torch.softmax(torch.randn(8, 4, generator=torch.Generator().manual_seed(2)), 1)


@pytest.mark.parametrize(("loss", "options"), [("cross_entropy", {}), ("label_smoothing", {"label_smoothing": 0.1})])
def test_soft_labels_are_torchs(loss, options):
    torch.testing.assert_close(value(loss, Target(SOFT)), nn.CrossEntropyLoss(**options)(Z, SOFT))


def test_soft_labels_with_class_weights_are_divided_by_the_weight_of_the_labels():
    """torch divides by N instead; for one-hot rows that would not be what it does for classes."""
    expected = nn.CrossEntropyLoss(WEIGHT, reduction="sum")(Z, SOFT) / (SOFT @ WEIGHT).sum()
    torch.testing.assert_close(value("cross_entropy", Target(SOFT), WEIGHT), expected)
    hot = F.one_hot(Y, 4).float()
    torch.testing.assert_close(value("cross_entropy", Target(hot), WEIGHT), value("cross_entropy", Target(Y), WEIGHT))


@pytest.mark.parametrize("loss", ["cross_entropy", "brier", "bi_tempered"])
def test_mixed_soft_labels_are_the_mixed_distribution(loss):
    other = SOFT.roll(1, 0)
    mixture = 0.3 * SOFT + 0.7 * other
    torch.testing.assert_close(value(loss, Target(SOFT, other, SHARE)), get(loss)(Z, mixture).mean())


def test_kl_divergence_of_soft_labels_has_the_gradient_of_cross_entropy_to_the_bit():
    for target in (Target(SOFT), Target(SOFT, SOFT.roll(1, 0), SHARE)):
        gradients = []
        for loss in ("cross_entropy", "kl_divergence"):
            logits = Z.clone().requires_grad_()
            Objective(get(loss))(logits, target)[0].backward()
            gradients.append(logits.grad)
        assert torch.equal(*gradients)


def test_balanced_weights_of_soft_labels_count_probabilities():
    found = class_weights(TrainingSettings(class_weights="balanced"), SOFT, 4)
    torch.testing.assert_close(found, 8 / (4 * SOFT.sum(0)))
