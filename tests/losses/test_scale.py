from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from losstune.losses import get
from losstune.losses.scale import gradient_scale, learning_rate_divisor
from tests.losses.cases import each_spec


@pytest.mark.parametrize(
    ("name", "at_10", "at_100"),
    [
        ("cross_entropy", 1.0, 1.0),
        ("focal", 1.22, 1.07),
        ("sigmoid_bce", 0.56, 0.51),
        ("gce", 10**-0.7, 100**-0.7),
        ("brier", 0.2, 0.02),
        ("nce", 0.04, 0.002),
        ("cosine_softmax", 20.0, 20.0),
    ],
)
def test_at_zero_logits_it_is_what_the_formula_gives_by_hand(name, at_10, at_100):
    # phi'(1/C) (C-1)/C^2 / (1 - 1/C), to two digits.
    assert gradient_scale(get(name), 10) == pytest.approx(at_10, rel=0.1)
    assert gradient_scale(get(name), 100) == pytest.approx(at_100, rel=0.1)


def test_label_smoothing_with_a_spread_has_its_closed_form():
    # dL/dz_y = p_y - (1 - eps) - eps/C: its mean follows from the mean of p_y, sampled here on its own.
    torch.manual_seed(5)
    p = torch.randn(200_000, 4, dtype=torch.float64).softmax(1)[:, 0]
    expected = (p - 0.9 - 0.025).abs().mean() / (1 - p).mean()
    assert gradient_scale(get("label_smoothing", eps=0.1), 4, 1.0) == pytest.approx(expected.item(), rel=0.03)


def scaled(factor):
    plain = get("cross_entropy")
    return replace(plain, spec=replace(plain.spec, function=lambda z, y: factor * plain.spec.function(z, y)))


def test_a_loss_that_pulls_harder_gets_a_smaller_rate_and_a_weaker_one_keeps_its_own():
    assert learning_rate_divisor(scaled(7.0), 10) == pytest.approx(7.0)
    assert learning_rate_divisor(scaled(0.1), 10) == 1.0
    assert learning_rate_divisor(get("cross_entropy"), 10) == 1.0
    # The hinge sums what all other classes violate: at logits near 0 its gradient is (-(C-1), 1, ..., 1).
    expected = math.sqrt(9**2 + 9) / math.sqrt(0.9**2 + 9 * 0.1**2)
    assert learning_rate_divisor(get("weston_watkins"), 10) == pytest.approx(expected, rel=0.25)


def test_a_normalised_head_keeps_its_rate():
    assert learning_rate_divisor(get("cosface"), 10) == 1.0


@each_spec
@pytest.mark.parametrize("num_classes", [2, 10, 1000])
def test_every_loss_has_a_divisor(spec, num_classes):
    assert 1 <= learning_rate_divisor(spec.bind(), num_classes) < 1e6


@each_spec
@pytest.mark.parametrize("num_classes", [2, 10, 1000])
def test_with_a_spread_every_loss_has_a_scale_to_tune_by(spec, num_classes):
    scale = gradient_scale(spec.bind(), num_classes, 1.0)
    assert math.isfinite(scale)
    assert 1e-6 < scale < 1e6


def test_logits_of_fixed_length_have_none_at_zero():
    assert gradient_scale(get("logit_norm"), 10) > 1e8
    assert 1 < gradient_scale(get("logit_norm"), 10, 1.0) < 30
