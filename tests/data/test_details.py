"""What the data is said to be, in words."""

import numpy as np
import pytest

from losstune.config.data import DataSettings
from losstune.data.details import details
from losstune.data.noise import noisy_labels
from losstune.data.prepared import write
from losstune.data.raw import RawData
from losstune.data.splits import Splits

SPLITS = Splits(np.arange(60), np.arange(60, 80), np.arange(80, 100))


def described(folder, settings, **more):
    raw = RawData(np.zeros((100, 2), np.float32), np.arange(100) % 2, ("ant", "bee"), **more)
    manifest = write(folder / "data", raw, SPLITS, name="npz", noise=noisy_labels(raw, SPLITS, settings, 1))
    return details(manifest, settings)


def test_wrong_labels_of_each_split(tmp_path):
    settings = DataSettings(label_noise=0.2, noisy_splits=("train", "test"))
    assert described(tmp_path, settings) == ["20% of the training labels, 20% of the test labels wrong (symmetric)"]


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        ([0.5, 0.5], [0.75, 0.25], "0.693 nats; no model can have an expected accuracy above 75.00% on the test split"),
        ([0.5, 0.5], [1, 0], "0.693 nats"),
        ([1, 0], [0.5, 0.5], "0.000 nats; no model can have an expected accuracy above 50.00% on the test split"),
    ],
)
def test_soft_labels_of_one_split(tmp_path, train, test, expected):
    """Without those of the test split, a model may be right on each of its samples."""
    targets = np.array([train] * 80 + [test] * 20, np.float32)
    found = described(tmp_path, DataSettings(), targets=targets)
    assert found == [f"soft labels, with a mean entropy of {expected}"]
