"""Data for other processes of this machine."""

import pickle
from dataclasses import replace

import numpy as np
from PIL import Image

from losstune.data import imagefolder
from losstune.data.encoded import Blob, EncodedImages, read_encoded, write_encoded
from losstune.training.sharing import SharedArrays, unmapped
from tests.small import digits_arrays


def test_samples_in_files_travel_as_paths_and_others_as_they_are(tmp_path):
    arrays = digits_arrays()
    np.save(tmp_path / "train.npy", arrays.train_images)
    mapped = replace(arrays, train_images=np.load(tmp_path / "train.npy", mmap_mode="r"), test_images=None)
    sent = pickle.dumps(SharedArrays.of(mapped))
    assert len(sent) < len(pickle.dumps(mapped)) - arrays.train_images.nbytes / 2
    found = pickle.loads(sent).opened()
    assert isinstance(found.train_images, np.memmap)
    assert np.array_equal(found.train_images, arrays.train_images)
    assert np.array_equal(found.validation_images, arrays.validation_images)
    assert found.test_images is None
    assert found.digest == arrays.digest


def test_encoded_images_travel_as_the_path_of_their_bytes(tmp_path):
    arrays = digits_arrays()
    for label in range(2):
        (tmp_path / f"images/{label}").mkdir(parents=True)
        for index in range(200):
            Image.fromarray(arrays.train_images[index, 0] * 15).save(tmp_path / f"images/{label}/{index}.png")
    raw = imagefolder.load(tmp_path / "images", image_size=None, encoded=True)
    write_encoded(tmp_path / "train.npy", raw.images, np.arange(400))
    stored = read_encoded(tmp_path / "train.npy", (1, 8, 8), resized=False)
    sent = pickle.dumps(SharedArrays.of(replace(arrays, train_images=stored)))
    found = pickle.loads(sent).opened()
    assert isinstance(found.train_images.source.data, np.memmap)
    assert np.array_equal(found.train_images, raw.images)


def test_samples_for_other_machines_are_not_copied_by_each_process(tmp_path):
    arrays = digits_arrays()
    np.save(tmp_path / "train.npy", arrays.train_images)
    np.save(tmp_path / "offsets.npy", np.arange(len(arrays.validation_images) + 1) * 64)
    np.save(tmp_path / "blob.npy", arrays.validation_images.reshape(-1))
    blob = Blob(np.load(tmp_path / "blob.npy", mmap_mode="r"), np.load(tmp_path / "offsets.npy"), "blob.npy")
    images = EncodedImages(blob, (1, 8, 8), resized=False)
    mapped = replace(
        arrays, train_images=np.load(tmp_path / "train.npy", mmap_mode="r"), validation_images=images, test_images=None
    )
    buffers = []
    sent = pickle.dumps(unmapped(mapped), protocol=5, buffer_callback=buffers.append)
    assert len(sent) < arrays.validation_images.nbytes / 10, "the samples are buffers, which Ray keeps once a node"
    found = pickle.loads(sent, buffers=buffers)
    assert np.array_equal(found.train_images, arrays.train_images)
    assert np.array_equal(found.validation_images.source.data, arrays.validation_images.reshape(-1))
    assert found.test_images is None
