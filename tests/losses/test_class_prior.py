"""The losses that know how frequent the classes are, against formulas written out and the limits they share."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from losstune.losses.class_balanced import class_balanced_weights
from losstune.losses.registry import registry
from tests.losses.cases import batch, distributions
from tests.losses.test_links import minimise_risk

COUNTS_C = torch.tensor([5000, 1200, 300, 70, 5])


def bound(name, **hyperparameters):
    return registry()[name].bind(hyperparameters).with_counts(COUNTS_C)


@pytest.mark.parametrize("tau", [0.0, 1.0, 1.7])
def test_logit_adjustment_as_written(tau):
    logits_NC, target_N = batch()
    prior = (COUNTS_C.double() / COUNTS_C.sum()).tolist()
    for z, y, found in zip(logits_NC, target_N, bound("logit_adjusted", tau=tau)(logits_NC, target_N), strict=True):
        weights = [prior[k] ** tau * z[k].exp() for k in range(5)]
        assert found.item() == pytest.approx(-torch.log(weights[y] / sum(weights)).item(), rel=1e-6)


def test_at_tau_one_it_is_the_balanced_softmax():
    # Ren et al. 2020: n_y exp(z_y) / sum_k n_k exp(z_k).
    logits_NC, target_N = batch()
    weighted_NC = COUNTS_C.double() * logits_NC.exp()
    expected_N = -(weighted_NC.gather(1, target_N[:, None])[:, 0] / weighted_NC.sum(1)).log()
    torch.testing.assert_close(bound("logit_adjusted")(logits_NC, target_N), expected_N, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["logit_adjusted", "class_balanced"])
def test_the_link_gives_back_the_posterior_under_a_skewed_prior(name):
    loss = bound(name)
    eta_NC = distributions(6, 5, concentration=4.0)
    z_NC = minimise_risk(loss, eta_NC)
    torch.testing.assert_close(loss.probabilities(z_NC), eta_NC, rtol=1e-3, atol=1e-4)
    assert (z_NC.softmax(1) - eta_NC).abs().max() > 0.05


@pytest.mark.parametrize("beta", [0.9, 0.999, 0.9999])
def test_class_balanced_weights_as_written(beta):
    numbers = [(1 - beta**n) / (1 - beta) for n in COUNTS_C.tolist()]
    shares = [1 / number for number in numbers]
    expected_C = torch.tensor([5 * share / sum(shares) for share in shares], dtype=torch.float64)
    torch.testing.assert_close(class_balanced_weights(COUNTS_C.double(), beta), expected_C)
    logits_NC, target_N = batch()
    torch.testing.assert_close(
        bound("class_balanced", beta=beta)(logits_NC, target_N),
        expected_C[target_N] * F.cross_entropy(logits_NC, target_N, reduction="none"),
        rtol=1e-5,
        atol=1e-6,
    )


def test_beta_zero_weighs_nothing():
    logits_NC, target_N = batch()
    torch.testing.assert_close(
        bound("class_balanced", beta=0.0)(logits_NC, target_N), F.cross_entropy(logits_NC, target_N, reduction="none")
    )


def test_ldam_as_written():
    logits_NC, target_N = batch(scale=0.3)
    margins = [0.5 * (5 / n) ** 0.25 for n in COUNTS_C.tolist()]
    for z, y, found in zip(logits_NC, target_N, bound("ldam", s=10.0)(logits_NC, target_N), strict=True):
        true = torch.exp(10 * (z[y] - margins[y]))
        others = sum(torch.exp(10 * z[k]) for k in range(5) if k != y)
        assert found.item() == pytest.approx(-torch.log(true / (true + others)).item(), rel=1e-5)


def test_ldam_without_margin_or_scale_is_cross_entropy():
    logits_NC, target_N = batch()
    torch.testing.assert_close(
        bound("ldam", max_m=0.0, s=1.0)(logits_NC, target_N), F.cross_entropy(logits_NC, target_N, reduction="none")
    )


@pytest.mark.parametrize("name", ["logit_adjusted", "class_balanced"])
def test_equally_frequent_classes_make_it_cross_entropy(name):
    logits_NC, target_N = batch()
    loss = registry()[name].bind().with_counts(torch.full((5,), 40))
    torch.testing.assert_close(
        loss(logits_NC, target_N), F.cross_entropy(logits_NC, target_N, reduction="none"), rtol=1e-6, atol=1e-6
    )
    torch.testing.assert_close(loss(logits_NC, target_N), registry()[name].bind()(logits_NC, target_N))


def test_a_class_without_training_samples_is_no_catastrophe():
    logits_NC, target_N = batch()
    for name in ("logit_adjusted", "class_balanced", "ldam"):
        loss = registry()[name].bind().with_counts(torch.tensor([9, 9, 9, 9, 0]))
        assert loss(logits_NC, target_N).isfinite().all()
