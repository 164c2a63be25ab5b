"""The training loop of the pack kornblith-2021: which samples train the network, and how its features are scored."""

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from losstune.packs.loading import LIBRARY


@pytest.fixture(scope="module")
def transfer():
    spec = importlib.util.spec_from_file_location("transfer", LIBRARY / "kornblith-2021" / "transfer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Split(SimpleNamespace):
    """A split with the parts that the loop uses."""

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.inputs[index], self.labels[index]


def split(number=200, seed=0, signal=1.0):
    """Images whose first pixels are a noisy code of the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(10, (number,), generator=generator)
    inputs = torch.randn(number, 1, 8, 8, generator=generator)
    inputs[torch.arange(number), 0, 0, labels % 5] += 8.0 * signal
    return Split(inputs=inputs, labels=labels)


class Job(SimpleNamespace):
    """A job that records what is trained on."""

    def __init__(self, **values):
        defaults = {
            "train": split(seed=1),
            "validation": split(seed=2),
            "test": split(seed=3),
            "device": "cpu",
            "learning_rate": 1e-2,
            "weight_decay": 0.0,
            "epochs": 2,
            "batch_size": 32,
            "seen": [],
            "reported": [],
        }
        super().__init__(**(defaults | values))

    def adapt_head(self, network, num_classes):
        assert network(torch.zeros(2, 1, 8, 8)).shape == (2, num_classes)
        return network

    def criterion(self, logits, labels):
        self.seen += labels.tolist()
        return nn.functional.cross_entropy(logits, labels)

    def report(self, epoch, score):
        self.reported.append((epoch, score))


def test_the_network_is_trained_on_0_to_4_alone(transfer):
    job = Job()
    result = transfer.train(job)
    expected = job.train.labels[job.train.labels < 5]
    assert sorted(job.seen) == sorted(expected.tolist() * job.epochs)
    assert [epoch for epoch, _ in job.reported] == [1, 2]
    assert result.validation == job.reported[-1][1]
    assert 0 <= result.test <= 1


def test_without_the_test_split_there_is_no_test_score(transfer):
    assert transfer.train(Job(test=None)).test is None


@pytest.mark.parametrize(("signal", "low", "high"), [(1.0, 0.97, 1.0), (0.0, 0.0, 0.45)])
def test_features_are_scored_by_what_they_tell_of_5_to_9(transfer, signal, low, high):
    identity = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
    splits = [split(400, seed, signal) for seed in (1, 2, 3)]
    inputs, labels = transfer.features(identity, splits[0])
    kept = splits[0].labels >= 5
    np.testing.assert_array_equal(inputs, splits[0].inputs[kept].flatten(1).double().numpy())
    np.testing.assert_array_equal(labels, splits[0].labels[kept].numpy())
    assert low <= transfer.transfer_accuracy(identity, *splits) <= high


def test_a_diverged_network_has_no_score(transfer):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
    samples = split()
    perfect = samples.inputs[:, 0, 0, :5]
    expected = (perfect[samples.labels < 5].argmax(1) == samples.labels[samples.labels < 5]).double().mean()
    with torch.no_grad():
        model[1].weight.copy_(torch.eye(64)[:5])
        model[1].bias.zero_()
    assert transfer.source_accuracy(model, samples) == pytest.approx(float(expected))
    with torch.no_grad():
        model[1].weight.fill_(torch.inf)
    assert np.isnan(transfer.source_accuracy(model, samples))
