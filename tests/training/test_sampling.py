"""The order of an epoch's samples against torch's samplers."""

from dataclasses import replace

import numpy as np
import torch
from torch.utils.data import WeightedRandomSampler

from losstune.training.device_data import DeviceData
from losstune.training.sampling import order_of
from tests.small import digits_arrays


def imbalanced():
    arrays = digits_arrays()
    kept = np.flatnonzero((arrays.train_labels > 1) | (np.arange(320) % 5 == 0))
    return replace(
        arrays, train_images=arrays.train_images[kept], train_labels=arrays.train_labels[kept], digest="imbalanced"
    )


def drawn(sampling, seed=5, num_epochs=1):
    data = DeviceData(imbalanced(), torch.device("cpu"))
    draw = order_of(sampling, data, torch.Generator().manual_seed(seed))
    return data.train_labels, [draw() for _ in range(num_epochs)]


def test_uniform_takes_each_sample_once():
    labels, orders = drawn("uniform", num_epochs=2)
    assert all(sorted(order.tolist()) == list(range(len(labels))) for order in orders)
    assert not torch.equal(*orders)


def test_balanced_draws_as_torchs_sampler():
    labels, orders = drawn("balanced", num_epochs=2)
    sizes = labels.bincount()
    weights = [1 / sizes[label].item() for label in labels]
    generator = torch.Generator().manual_seed(5)
    for order in orders:
        assert order.tolist() == list(WeightedRandomSampler(weights, len(labels), generator=generator))


def test_balanced_draws_each_class_equally_often():
    labels, orders = drawn("balanced", num_epochs=200)
    shares = labels[torch.cat(orders)].bincount() / (200 * len(labels))
    # Standard error of a share: sqrt(0.1 * 0.9 / 40,000) = 0.0015.
    torch.testing.assert_close(shares, torch.full((10,), 0.1), rtol=0, atol=0.007)
