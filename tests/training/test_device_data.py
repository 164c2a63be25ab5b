"""The data on the device against numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from losstune.data.encoded import EncodedImages, Files, read_encoded, write_encoded
from losstune.training import device_data
from losstune.training.device_data import DeviceData
from losstune.training.job import Samples
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
    inputs, labels = data.inputs(data.train_images, index), data.train_labels[index]
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


def test_large_data_is_not_copied_and_its_batches_are_the_same_to_the_bit(monkeypatch, tmp_path):
    given = arrays()
    small = DeviceData(given, CPU)
    monkeypatch.setattr(device_data, "FLOAT_CACHE_BYTES", 0)
    np.save(tmp_path / "images.npy", given.train_images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    large = DeviceData(replace(given, train_images=mapped), CPU)
    assert large.train_images.data_ptr() == mapped.ctypes.data
    order = torch.randperm(20)
    for ours, theirs in zip(small.train_batches(order, 6, 3), large.train_batches(order, 6, 3), strict=True):
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])


def test_the_batches_of_an_epoch_follow_its_order(monkeypatch, is_kept):
    given = arrays()
    data = DeviceData(given, CPU)
    order = torch.randperm(20)
    found = list(data.train_batches(order, 6, 2))
    assert torch.cat([index for index, _ in found]).tolist() == order[:12].tolist()
    images = torch.cat([inputs for _, inputs in found])
    np.testing.assert_allclose(images, by_numpy(given.train_images[order[:12]], given), rtol=1e-6)


def test_batches_that_are_fetched_ahead_are_the_same(monkeypatch):
    """As to a GPU that the data does not fit on."""
    monkeypatch.setattr(device_data, "FLOAT_CACHE_BYTES", 0)
    data = DeviceData(arrays(), CPU)
    order = torch.randperm(20)
    expected = [inputs for _, inputs in data.train_batches(order, 3, 6)]
    monkeypatch.setattr(data, "is_resident", False)
    found = [inputs for _, inputs in data.train_batches(order, 3, 6)]
    assert len(found) == 6
    assert all(map(torch.equal, found, expected))
    first, *_ = data.batches(data.validation_images, [slice(0, 2), slice(2, 4)])
    assert torch.equal(first, data.inputs(data.validation_images, slice(0, 2)))
    abandoned = data.batches(data.train_images, torch.split(order, 3))
    next(abandoned)
    abandoned.close()


@pytest.mark.parametrize(
    "rows", [-1, np.int64(2), torch.tensor(3), [-1, 0], torch.arange(6) % 2 == 0, slice(1, 4), np.arange(2, 5)]
)
def test_a_loop_of_the_users_own_indexes_encoded_images_as_arrays(rows, tmp_path):
    given = arrays(shape=(3, 8, 8))
    (tmp_path / "blob").mkdir()
    paths = []
    for index, pixels in enumerate(given.validation_images):
        paths.append(str(tmp_path / f"{index}.png"))
        Image.fromarray(pixels.transpose(1, 2, 0)).save(paths[-1])
    write_encoded(tmp_path / "blob/images.npy", EncodedImages(Files(paths), (3, 8, 8), resized=False), np.arange(6))
    encoded = read_encoded(tmp_path / "blob/images.npy", (3, 8, 8), resized=False)
    found = []
    for images in (given.validation_images, encoded):
        data = DeviceData(replace(given, train_images=images, train_labels=given.validation_labels), CPU)
        found.append(Samples(data.train_images, data.train_labels, data)[rows])
    (ours, our_target), (theirs, their_target) = found
    index = rows.numpy() if isinstance(rows, torch.Tensor) else rows
    expected = by_numpy(given.validation_images[index].reshape(-1, 3, 8, 8), given)
    assert torch.allclose(theirs.reshape(-1, 3, 8, 8), torch.from_numpy(expected))
    assert torch.equal(ours, theirs)
    assert theirs.shape == given.validation_images[index].shape
    assert torch.equal(our_target, their_target)
    assert np.array_equal(their_target, given.validation_labels[index])
