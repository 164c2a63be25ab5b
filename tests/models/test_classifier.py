from __future__ import annotations

import pytest
import torch
from torch import nn

from losstune.models.classifier import Classifier
from losstune.models.cnn import cnn
from losstune.models.mlp import mlp


def softmax(logits):
    return logits.softmax(dim=1)


def test_equals_the_computation_by_hand():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    classifier = Classifier(network, mean=(100.0, 20.0, 3.0), std=(50.0, 10.0, 2.0), link=lambda z: (2 * z).softmax(1))
    images = torch.randint(0, 256, (5, 3, 2, 2), dtype=torch.uint8)
    normalised = images.double()
    for channel, (mean, std) in enumerate([(100.0, 50.0), (20.0, 10.0), (3.0, 2.0)]):
        normalised[:, channel] = (normalised[:, channel] - mean) / std
    logits = normalised.flatten(1) @ network[1].weight.double().T + network[1].bias.double()
    expected = (2 * logits).exp() / (2 * logits).exp().sum(1, keepdim=True)
    torch.testing.assert_close(classifier(images).double(), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(classifier(images), classifier(images.float()))


def test_takes_features():
    classifier = Classifier(nn.Identity(), mean=(1.0, 2.0), std=(2.0, 4.0), link=lambda z: z, images=False)
    found = classifier(torch.tensor([[3.0, 2.0], [1.0, -2.0]]))
    assert found.tolist() == [[1.0, 0.0], [0.0, -1.0]]


def test_never_leaves_evaluation_mode():
    classifier = Classifier(cnn((1, 8, 8), 4, 1, 3), mean=(0.0,), std=(1.0,), link=softmax)
    images = torch.randn(16, 1, 8, 8)
    alone = classifier(images[:1])
    classifier.train()
    torch.testing.assert_close(classifier(images)[:1], alone)
    assert not any(module.training for module in classifier.modules())


@pytest.mark.parametrize("std", [(0.0,), (1.0, 1.0)])
def test_rejects_statistics_that_do_not_fit(std):
    with pytest.raises(ValueError, match="as many std as mean, all above 0"):
        Classifier(nn.Identity(), mean=(0.0,), std=std, link=softmax)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("network", [mlp(64, 16, 2, 5), cnn((1, 8, 8), 4, 2, 5)], ids=["mlp", "cnn"])
def test_can_be_exported_with_a_dynamic_batch(network, dtype):
    classifier = Classifier(network, mean=(8.0,), std=(6.0,), link=softmax)
    images = torch.randint(0, 17, (6, 1, 8, 8)).to(dtype)
    program = torch.export.export(classifier, (images[:3],), dynamic_shapes=({0: torch.export.Dim("batch")},))
    for num in (1, 2, 6):
        torch.testing.assert_close(program.module()(images[:num]), classifier(images[:num]))
