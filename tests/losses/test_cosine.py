"""The losses on cosines, against formulas on angles."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from losstune.losses.registry import registry
from tests.losses.cases import gradient


def cosines(num_samples=32, num_classes=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features_ND = torch.randn(num_samples, 6, generator=generator, dtype=torch.float64)
    weight_CD = torch.randn(num_classes, 6, generator=generator, dtype=torch.float64)
    target_N = torch.randint(num_classes, (num_samples,), generator=generator)
    return torch.cosine_similarity(features_ND[:, None], weight_CD[None], dim=2), target_N


def bound(name, **hyperparameters):
    return registry()[name].bind(hyperparameters)


def by_hand(scores, y, s):
    return -math.log(math.exp(s * scores[y]) / sum(math.exp(s * score) for score in scores))


def test_cosine_softmax_as_written():
    cos_NC, target_N = cosines()
    found_N = bound("cosine_softmax", s=12.0)(cos_NC, target_N)
    for row, y, found in zip(cos_NC.tolist(), target_N.tolist(), found_N.tolist(), strict=True):
        assert found == pytest.approx(by_hand(row, y, 12.0), rel=1e-9)


def test_cosface_as_written():
    cos_NC, target_N = cosines()
    found_N = bound("cosface", s=12.0, m=0.2)(cos_NC, target_N)
    for row, y, found in zip(cos_NC.tolist(), target_N.tolist(), found_N.tolist(), strict=True):
        row[y] -= 0.2
        assert found == pytest.approx(by_hand(row, y, 12.0), rel=1e-9)


def test_arcface_enlarges_the_angle():
    cos_NC, target_N = cosines()
    found_N = bound("arcface", s=12.0, m=0.4)(cos_NC, target_N)
    for row, y, found in zip(cos_NC.tolist(), target_N.tolist(), found_N.tolist(), strict=True):
        angle = math.acos(row[y])
        assert angle + 0.4 < math.pi
        row[y] = math.cos(angle + 0.4)
        assert found == pytest.approx(by_hand(row, y, 12.0), rel=1e-9)


def test_arcface_falls_all_the_way_to_the_opposite_direction():
    # Beyond pi - m the cosine of theta + m would rise again.
    cos_N = torch.linspace(-1, 1, 401, dtype=torch.float64)
    logits_NC = torch.stack([cos_N, torch.zeros_like(cos_N)], 1)
    loss = bound("arcface", s=5.0, m=0.5)
    values_N = loss(logits_NC, torch.zeros(401, dtype=torch.int64))
    assert (values_N.diff() < 0).all()
    assert gradient(loss, logits_NC, torch.zeros(401, dtype=torch.int64)).isfinite().all()


@pytest.mark.parametrize("name", ["cosface", "arcface"])
def test_without_margin_it_is_the_normalised_softmax(name):
    cos_NC, target_N = cosines()
    torch.testing.assert_close(bound(name, s=20.0, m=0.0)(cos_NC, target_N), bound("cosine_softmax")(cos_NC, target_N))


@pytest.mark.parametrize("num_classes", [10, 100])
def test_gradient_scale_at_zero_logits(num_classes):
    zeros_NC, target_N = torch.zeros(1, num_classes, dtype=torch.float64), torch.tensor([3])
    for name, extra in (("cosine_softmax", 0.0), ("cosface", 0.35)):
        pull = -gradient(bound(name), zeros_NC, target_N)[0, 3].item() / (1 - 1 / num_classes)
        p_y = 1 / (1 + (num_classes - 1) * math.exp(20 * extra))
        assert pull == pytest.approx(20 * (1 - p_y) / (1 - 1 / num_classes), rel=1e-9)


def test_all_want_a_normalised_head():
    names = {name for name, spec in registry().items() if spec.head == "normalised"}
    assert names == {"cosine_softmax", "cosface", "arcface", "ldam"}
    assert torch.equal(bound("cosine_softmax").probabilities(torch.eye(3)), F.softmax(20 * torch.eye(3), dim=1))
