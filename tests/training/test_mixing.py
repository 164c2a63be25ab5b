"""Mixup and CutMix, against torchvision's transforms and the definitions."""

import math

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from losstune.config.settings import TrainingSettings
from losstune.training import mixing

IMAGES = torch.randn(6, 3, 8, 10, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def mix(seed=0, inputs=IMAGES, **settings):
    settings = TrainingSettings(**settings)
    draws = mixing.draw(inputs.shape, settings, torch.Generator().manual_seed(seed))
    return mixing.apply(inputs, LABELS, settings, draws)


class _Fixed:
    """Stands in for torchvision's distribution of lambda."""

    def __init__(self, value):
        self.value = value

    def sample(self, shape=()):
        return self.value.float()


@pytest.mark.parametrize("seed", range(5))
def test_mixup_is_torchvisions(seed):
    inputs, target = mix(seed, mixup=0.4)
    transform = v2.MixUp(num_classes=3)
    transform._dist = _Fixed(target.share)
    expected, distributions = transform(IMAGES, LABELS)
    torch.testing.assert_close(inputs, expected)
    hot = torch.nn.functional.one_hot
    found = target.share * hot(target.own, 3) + (1 - target.share) * hot(target.other, 3)
    torch.testing.assert_close(found, distributions.double())


@pytest.mark.parametrize("seed", range(20))
def test_cutmix_pastes_a_rectangle_of_the_neighbour_and_counts_its_area(seed):
    inputs, target = mix(seed, cutmix=1.0)
    neighbours = IMAGES.roll(1, 0)
    is_pasted = (inputs == neighbours).all(dim=(0, 1))
    rows, columns = is_pasted.any(1).nonzero().ravel(), is_pasted.any(0).nonzero().ravel()
    if len(rows):  # one rectangle
        assert is_pasted[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert int(is_pasted.sum()) == (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    assert torch.equal(inputs[..., ~is_pasted], IMAGES[..., ~is_pasted])
    assert target.share == pytest.approx(1 - int(is_pasted.sum()) / 80)
    assert torch.equal(target.other, LABELS.roll(1, 0))


def test_the_rectangle_has_the_sides_of_the_paper():
    # Away from the border a share lambda cuts sides of sqrt(1 - lambda): compare the mean with an own simulation.
    shares = [mix(seed, cutmix=1.0, inputs=torch.zeros(2, 1, 64, 64))[1].share for seed in range(400)]
    draws = np.random.default_rng(7)
    expected = []
    for _ in range(4000):
        cut, row, column = math.sqrt(1 - draws.beta(1, 1)), draws.integers(64), draws.integers(64)
        sides = [min(place + int(32 * cut), 64) - max(place - int(32 * cut), 0) for place in (row, column)]
        expected.append(1 - sides[0] * sides[1] / 64**2)
    assert np.mean(shares) == pytest.approx(np.mean(expected), abs=0.04)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_lambda_is_of_the_beta_distribution(alpha):
    shares = np.array([mix(seed, mixup=alpha)[1].share for seed in range(800)])
    assert shares.mean() == pytest.approx(0.5, abs=0.05)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.2)


def test_with_both_a_batch_has_one_of_them():
    kinds = []
    for seed in range(60):
        inputs, target = mix(seed, mixup=0.3, cutmix=1.0)
        lerped = target.share * IMAGES + (1 - target.share) * IMAGES.roll(1, 0)
        kinds.append(torch.allclose(inputs, lerped))
    assert 15 < sum(kinds) < 45


def test_the_draws_depend_on_the_stream_alone():
    again = [mix(3, mixup=1.0) for _ in range(2)]
    assert torch.equal(again[0][0], again[1][0])
    torch.manual_seed(5)
    assert torch.equal(mix(3, mixup=1.0)[0], again[0][0])
    assert not torch.equal(mix(4, mixup=1.0)[0], again[0][0])


def test_features_are_mixed_too():
    rows = torch.randn(6, 4)
    inputs, target = mix(inputs=rows, mixup=1.0)
    torch.testing.assert_close(inputs, target.share * rows + (1 - target.share) * rows.roll(1, 0))
