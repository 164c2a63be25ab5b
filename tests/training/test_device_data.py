"""The data on the device against numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from losstune.training import device_data
from losstune.training.device_data import DeviceData
from losstune.training.task import Arrays

CPU = torch.device("cpu")


def arrays(*, shape=(3, 4, 5), dtype=np.uint8, test=True, digest="data"):
    rng = np.random.default_rng(0)
    num_channels = shape[0]

    def images(num):
        found = rng.integers(0, 256, (num, *shape)).astype(dtype)
        found.flags.writeable = False  # as shared memory is
        return found

    def labels(num):
        return rng.integers(0, 7, num)

    return Arrays(
        train_images=images(20),
        train_labels=labels(20),
        validation_images=images(6),
        validation_labels=labels(6),
        test_images=images(5) if test else None,
        test_labels=labels(5) if test else None,
        mean=tuple(np.linspace(100, 130, num_channels).tolist()),
        std=tuple(np.linspace(50, 70, num_channels).tolist()),
        num_classes=7,
        digest=digest,
    )


def by_numpy(images, given):
    shape = (1, -1) + (1,) * (images.ndim - 2)
    return (images.astype(np.float32) - np.float32(given.mean).reshape(shape)) / np.float32(given.std).reshape(shape)


@pytest.fixture(params=["kept as floats", "as stored"])
def is_kept(request, monkeypatch):
    if request.param == "as stored":
        monkeypatch.setattr(device_data, "FLOAT_CACHE_BYTES", 0)
    return request.param == "kept as floats"


@pytest.mark.parametrize(("shape", "dtype"), [((3, 4, 5), np.uint8), ((1, 8, 8), np.uint8), ((9,), np.float32)])
def test_images_are_normalised_by_channel_and_labels_are_their_own(shape, dtype, is_kept):
    given = arrays(shape=shape, dtype=dtype)
    data = DeviceData(given, CPU)
    assert data.train_images.dtype == (torch.float32 if is_kept or dtype == np.float32 else torch.uint8)
    index = torch.tensor([3, 1, 19])
    inputs, labels = data.train_batch(index), data.train_labels[index]
    assert inputs.dtype == torch.float32
    np.testing.assert_allclose(inputs, by_numpy(given.train_images[index], given), rtol=1e-6)
    assert labels.tolist() == given.train_labels[index].tolist()
    for found, expected in ((data.validation_images, given.validation_images), (data.test_images, given.test_images)):
        np.testing.assert_allclose(data.normalised(found), by_numpy(expected, given), rtol=1e-6)
    assert data.validation_labels.tolist() == given.validation_labels.tolist()
    assert data.test_labels.tolist() == given.test_labels.tolist()
    assert (data.num_classes, data.input_shape, data.num_train) == (7, shape, 20)
    assert data.mean.dtype == data.std.dtype == torch.float32
    assert data.device == CPU


def test_a_split_that_is_not_given_is_none():
    data = DeviceData(arrays(test=False), CPU)
    assert (data.test_images, data.test_labels) == (None, None)


@pytest.mark.parametrize(("limit", "is_normalised"), [(20 * 60 * 4, True), (20 * 60 * 4 - 1, False)])
def test_data_up_to_the_limit_is_kept_as_floats(monkeypatch, limit, is_normalised):
    monkeypatch.setattr(device_data, "FLOAT_CACHE_BYTES", limit)
    assert DeviceData(arrays(), CPU).is_normalised is is_normalised


def test_the_tensors_of_the_last_task_are_kept_and_no_others(monkeypatch):
    monkeypatch.setattr(DeviceData, "_latest", None)
    given = arrays()
    first = DeviceData.of(given, CPU)
    assert DeviceData.of(replace(given), CPU) is first
    for other in (arrays(digest="other"), arrays(test=False)):
        assert DeviceData.of(given, CPU) is not DeviceData.of(other, CPU)
        np.testing.assert_allclose(DeviceData.of(other, CPU).mean.flatten(), np.float32(other.mean))
    assert DeviceData.of(given, torch.device("meta")) is not DeviceData.of(given, CPU)
