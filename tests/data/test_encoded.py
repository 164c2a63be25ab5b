"""Images that stay encoded, held against the same images as arrays."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from losstune.core.errors import LosstuneError
from losstune.data import imagefolder
from losstune.data.encoded import EncodedImages, read_encoded, write_encoded
from losstune.data.prepared import read_development, read_manifest, read_test, write
from losstune.data.splits import Splits


def make_folder(root, *, sizes=((9, 7),), modes=("RGB",), number=8, has_test=True):
    generator = np.random.default_rng(0)
    for split in ("train", "test") if has_test else ("train",):
        for name in "ab":
            (root / split / name).mkdir(parents=True)
            for index in range(number):
                width, height = sizes[index % len(sizes)]
                mode = modes[index % len(modes)]
                pixels = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
                ending = "png" if index % 2 else "jpg"
                Image.fromarray(pixels).convert(mode).save(root / split / name / f"{index}.{ending}")
    return root


def both(root, image_size=None, **options):
    return (imagefolder.load(root, image_size=image_size, encoded=encoded, **options) for encoded in (False, True))


@pytest.mark.parametrize(
    ("folder", "image_size"),
    [({}, None), ({"sizes": ((9, 7), (20, 33))}, 8), ({"modes": ("L",)}, None), ({"modes": ("L", "RGB")}, 6)],
)
def test_the_pixels_are_those_of_the_arrays(tmp_path, folder, image_size):
    decoded, encoded = both(make_folder(tmp_path, **folder), image_size)
    for ours, theirs in ((encoded.images, decoded.images), (encoded.test_images, decoded.test_images)):
        assert isinstance(ours, EncodedImages)
        assert (ours.shape, ours.dtype, ours.ndim, len(ours)) == (theirs.shape, theirs.dtype, 4, len(theirs))
        assert (ours.size, ours.nbytes) == (theirs.size, theirs.nbytes)
        assert np.array_equal(ours, theirs)
        index = np.array([5, 0, 5, 11])
        assert np.array_equal(ours[index], theirs[index])
        assert np.array_equal(ours[3:9], theirs[3:9])
        assert np.array_equal(ours[3:9][2], theirs[5])
        assert isinstance(ours[3:9], EncodedImages)
    assert np.array_equal(encoded.labels, decoded.labels)


def test_prepared_data_has_the_same_digests_and_statistics_as_arrays(tmp_path):
    """So that trainings are the same, whatever the storage."""
    root = make_folder(tmp_path / "images")
    decoded, encoded = both(root)
    order = np.random.default_rng(1).permutation(16)
    splits = Splits(np.sort(order[:10]), np.sort(order[10:]), None)
    plain, manifest = (
        write(tmp_path / name, raw, splits, name="toy") for name, raw in (("d", decoded), ("e", encoded))
    )
    assert manifest.model_copy(update={"encoded": None}) == plain
    assert read_manifest(tmp_path / "e") == manifest
    ours, theirs = (read_development(tmp_path / name, verify=True) for name in "ed")
    assert np.array_equal(ours.train_images, theirs.train_images)
    assert np.array_equal(ours.validation_images, theirs.validation_images)
    assert np.array_equal(read_test(tmp_path / "e", verify=True).images, decoded.test_images)


@pytest.mark.parametrize("damage", ["bytes", "offsets", "moved", "missing"])
def test_damaged_files_are_found_without_decoding(tmp_path, damage, monkeypatch):
    _, encoded = both(make_folder(tmp_path / "images"))
    write(tmp_path / "e", encoded, Splits(np.arange(10), np.arange(10, 16), None), name="toy")
    monkeypatch.setattr(EncodedImages, "take", lambda *_: pytest.fail("decoded"))
    read_development(tmp_path / "e", verify=True)
    path = tmp_path / "e/development/train_images.npy"
    if damage == "bytes":
        content = bytearray(path.read_bytes())
        content[-3] ^= 1
        path.write_bytes(content)
    elif damage == "offsets":
        np.save(path.with_name("train_images_offsets.npy"), np.arange(4))
    elif damage == "moved":
        offsets = np.load(path.with_name("train_images_offsets.npy"))
        offsets[1:-1] += 1
        np.save(path.with_name("train_images_offsets.npy"), offsets)
    else:
        path.with_name("train_images_offsets.npy").unlink()
    with pytest.raises(LosstuneError, match=r"`losstune prepare` writes (it|them) anew"):
        read_development(tmp_path / "e", verify=True)


def test_a_bad_image_is_an_error_or_left_out(tmp_path):
    root = make_folder(tmp_path, has_test=False)
    bad = root / "train/a/3.png"
    bad.write_bytes(bad.read_bytes()[:60])
    with pytest.raises(LosstuneError, match=r"3\.png: not a readable image"):
        imagefolder.load(root, image_size=None, encoded=True)
    decoded, encoded = both(root, skip_bad=True)
    assert encoded.skipped == decoded.skipped == ("train/a/3.png",)
    assert np.array_equal(encoded.images, decoded.images)
    assert np.array_equal(encoded.labels, decoded.labels)


def test_a_file_that_changed_after_it_was_listed_is_one_line(tmp_path):
    raw = imagefolder.load(make_folder(tmp_path), image_size=None, encoded=True)
    Image.new("RGB", (5, 5)).save(tmp_path / "train/a/0.jpg")
    with pytest.raises(LosstuneError, match=r"0\.jpg: found shape \(3, 5, 5\), expected \(3, 7, 9\); was the file ch"):
        np.asarray(raw.images)


def test_bytes_of_some_images_are_written_as_they_are(tmp_path):
    raw = imagefolder.load(make_folder(tmp_path / "images"), image_size=None, encoded=True)
    index = np.array([7, 2])
    write_encoded(tmp_path / "x.npy", raw.images, index)
    found = read_encoded(tmp_path / "x.npy", (3, 7, 9), resized=False)
    expected = [Path(raw.images.source.paths[place]).read_bytes() for place in index]
    assert [found.source.content(place) for place in range(2)] == expected
    assert np.array_equal(found, raw.images[index])


@pytest.mark.parametrize("rows", [-1, np.int64(3), [-2, 0], np.arange(8) % 3 == 0, np.array(-8)])
def test_indices_are_those_of_an_array(tmp_path, rows):
    decoded, encoded = both(make_folder(tmp_path, has_test=False, number=4))
    write_encoded(tmp_path / "blob.npy", encoded.images, np.arange(8))
    stored = read_encoded(tmp_path / "blob.npy", encoded.images.image_shape, resized=False)
    for images in (encoded.images, stored):
        assert np.array_equal(images[rows], decoded.images[rows])
    with pytest.raises(IndexError):
        stored[8]
