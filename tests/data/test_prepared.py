import hashlib
import json
import os
import stat
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import entropy

from losstune.core.errors import LosstuneError
from losstune.data import prepared
from losstune.data.manifest import NoiseFacts
from losstune.data.noise import NoisyLabels
from losstune.data.prepared import read_development, read_manifest, read_test, write
from losstune.data.raw import RawData
from losstune.data.splits import Splits

NAMES = ("cat", "dog", "Ünicode")


def make_raw(num=30, *, has_test=False, dtype=np.uint8, seed=0):
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (num, 3, 4, 5)).astype(dtype)
    labels = (np.arange(num) % 3).astype(np.int64)
    test = (images[:6] // 2, labels[:6]) if has_test else (None, None)
    return RawData(images, labels, NAMES, *test)


def make_splits(num=30, *, has_test=False):
    order = np.random.default_rng(5).permutation(num)
    return Splits(np.sort(order[:15]), np.sort(order[15:24]), None if has_test else np.sort(order[24:]))


def noise_of(raw, splits, train_labels):
    """Noisy labels of the training split."""
    test_labels = raw.test_labels if splits.test is None else raw.labels[splits.test]
    labels = {"train": train_labels, "validation": raw.labels[splits.validation], "test": test_labels}
    return NoisyLabels(labels, NoiseFacts(setting=0.9, rates={"train": 0.9}), 15)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("has_test", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_what_is_written_is_read(tmp_path, has_test, dtype):
    raw, splits = make_raw(has_test=has_test, dtype=dtype), make_splits(has_test=has_test)
    noisy = (raw.labels[splits.train] + 1) % 3
    written = write(tmp_path / "p", raw, splits, name="toy", noise=noise_of(raw, splits, noisy), long_tail=5.0)
    assert read_manifest(tmp_path / "p") == written
    data = read_development(tmp_path / "p", verify=True)
    test = read_test(tmp_path / "p", verify=True)
    assert np.array_equal(data.train_images, raw.images[splits.train])
    assert np.array_equal(data.train_labels, noisy)
    assert np.array_equal(data.validation_images, raw.images[splits.validation])
    assert np.array_equal(data.validation_labels, raw.labels[splits.validation])
    assert np.array_equal(test.images, raw.test_images if has_test else raw.images[splits.test])
    assert np.array_equal(test.labels, raw.test_labels if has_test else raw.labels[splits.test])
    assert data.train_images.dtype == test.images.dtype == dtype

    assert (written.label_noise, written.num_labels_changed, written.long_tail) == (0.9, 15, 5.0)
    assert written.noise.rates == {"train": 0.9}
    assert (data.train_targets, data.validation_targets, test.targets, written.soft_labels) == (None,) * 4
    assert written.class_names == NAMES
    assert written.num_classes == 3
    assert written.input_shape == (3, 4, 5)
    assert written.counts.train == tuple(np.bincount(noisy, minlength=3))
    assert sum(written.counts.validation) == 9
    assert sum(written.counts.test) == 6
    train = raw.images[splits.train].astype(np.float64)
    np.testing.assert_allclose(written.mean, train.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(written.std, train.std(axis=(0, 2, 3)))


@pytest.mark.parametrize("has_test", [False, True])
def test_soft_labels_are_written_beside_their_modes(tmp_path, has_test):
    plain, splits = make_raw(has_test=has_test), make_splits(has_test=has_test)
    targets = np.random.default_rng(1).dirichlet([0.3] * 3, 30).astype(np.float32)
    raw = replace(plain, labels=targets.argmax(1), targets=targets, test_targets=targets[:6] if has_test else None)
    written = write(tmp_path / "p", raw, splits, name="toy")
    data, test = read_development(tmp_path / "p", verify=True), read_test(tmp_path / "p", verify=True)
    of_test = targets[:6] if has_test else targets[splits.test]
    assert np.array_equal(data.train_targets, targets[splits.train])
    assert np.array_equal(data.validation_targets, targets[splits.validation])
    assert np.array_equal(test.targets, of_test)
    assert written.soft_labels.entropy == pytest.approx(np.mean(entropy(targets[splits.train], axis=1)))
    assert written.soft_labels.ceiling == pytest.approx(of_test.max(1).mean())
    assert "soft labels" in written.summary()

    other = replace(raw, targets=targets[:, ::-1])
    assert write(tmp_path / "p", other, splits, name="toy").development_digest != written.development_digest
    path = tmp_path / "p/development/train_targets.npy"
    path.unlink()
    with pytest.raises(LosstuneError, match=r"train_targets\.npy: no such file"):
        read_development(tmp_path / "p")


def test_written_twice_gives_the_same_bytes_elsewhere_and_in_place(tmp_path):
    for folder in ("a", "deeper/b", "a"):
        write(tmp_path / folder, make_raw(), make_splits(), name="toy")
    assert contents(tmp_path / "a") == contents(tmp_path / "deeper/b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "deeper"]


def test_the_new_replaces_all_of_the_old(tmp_path):
    write(tmp_path / "p", make_raw(seed=1), make_splits(), name="toy")
    (tmp_path / "p/development/stray.npy").write_bytes(b"old")
    write(tmp_path / "p", make_raw(), make_splits(), name="toy")
    write(tmp_path / "q", make_raw(), make_splits(), name="toy")
    assert contents(tmp_path / "p") == contents(tmp_path / "q")


def test_a_failing_write_leaves_the_old_and_no_litter(tmp_path, monkeypatch):
    write(tmp_path / "p", make_raw(seed=1), make_splits(), name="toy")
    before = contents(tmp_path)

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prepared.arrays, "statistics", no_space)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "p", make_raw(), make_splits(), name="toy")
    assert contents(tmp_path) == before


def test_folders_are_as_open_as_the_umask_lets_them_be(tmp_path):
    mask = os.umask(0o022)
    try:
        write(tmp_path / "p", make_raw(), make_splits(), name="toy")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "p").stat().st_mode) == 0o755


def test_digests_follow_the_contents_they_cover(tmp_path):
    def digests(raw, splits, **arguments):
        manifest = write(tmp_path / "p", raw, splits, name="toy", **arguments)
        return manifest.digest, manifest.development_digest, manifest.test_digest

    raw, splits = make_raw(has_test=True), make_splits(has_test=True)
    base = digests(raw, splits)
    assert digests(raw, splits) == base

    other_test = RawData(raw.images, raw.labels, NAMES, raw.test_images + 1, raw.test_labels)
    changed = digests(other_test, splits)
    assert changed[1] == base[1]
    assert (changed[0], changed[2]) != (base[0], base[2])

    noisy = raw.labels[splits.train].copy()
    noisy[0] = (noisy[0] + 1) % 3
    changed = digests(raw, splits, noise=noise_of(raw, splits, noisy))
    assert changed[2] == base[2]
    assert changed[0] != base[0]
    assert changed[1] != base[1]

    renamed = RawData(raw.images, raw.labels, ("a", "b", "c"), raw.test_images, raw.test_labels)
    assert not set(digests(renamed, splits)) & set(base)


def test_the_test_split_lies_apart(tmp_path):
    raw, splits = make_raw(), make_splits()
    write(tmp_path / "p", raw, splits, name="toy")
    for path in (tmp_path / "p/test").iterdir():
        path.unlink()
    (tmp_path / "p/test").rmdir()
    assert len(read_development(tmp_path / "p", verify=True).train_labels) == 15
    held_out = {image.tobytes() for image in raw.images[splits.test]}
    data = read_development(tmp_path / "p")
    seen = {image.tobytes() for image in (*data.train_images, *data.validation_images)}
    assert not held_out & seen


def test_images_are_mapped_and_read_only(tmp_path):
    write(tmp_path / "p", make_raw(), make_splits(), name="toy")
    images = read_development(tmp_path / "p").train_images
    assert isinstance(images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def other_shape(path):
    np.save(path, np.load(path)[1:])


def swap_labels(path):
    labels = np.load(path)
    np.save(path, np.zeros_like(labels) - 1)


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("manifest.json", lambda path: path.unlink(), "no such file"),
        ("manifest.json", lambda path: path.write_text("{"), "damaged"),
        ("manifest.json", lambda path: path.write_text("{}"), "damaged"),
        ("development/train_images.npy", lambda path: path.unlink(), "no such file"),
        ("development/train_images.npy", lambda path: path.write_bytes(b""), "damaged"),
        ("development/train_images.npy", truncate, "damaged"),
        ("development/validation_labels.npy", truncate, "damaged"),
        ("development/train_images.npy", other_shape, r"found uint8 of shape \(14, 3, 4, 5\)"),
        ("development/train_labels.npy", swap_labels, "labels do not match the counts"),
    ],
)
def test_damage_is_named(tmp_path, file, damage, message):
    write(tmp_path / "p", make_raw(), make_splits(), name="toy")
    damage(tmp_path / "p" / file)
    with pytest.raises(LosstuneError, match=message) as caught:
        read_development(tmp_path / "p")
    assert str(tmp_path / "p" / file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["development/train_images.npy", "test/images.npy"])
def test_a_flipped_bit_is_found_when_asked_for(tmp_path, part):
    write(tmp_path / "p", make_raw(), make_splits(), name="toy")
    read = read_test if part.startswith("test") else read_development
    path = tmp_path / "p" / part
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)
    read(tmp_path / "p")
    with pytest.raises(LosstuneError, match="the manifest says"):
        read(tmp_path / "p", verify=True)


def test_another_schema_version_is_refused(tmp_path):
    write(tmp_path / "p", make_raw(), make_splits(), name="toy")
    path = tmp_path / "p/manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99}))
    with pytest.raises(LosstuneError, match="schema_version 99, expected 1"):
        read_manifest(tmp_path / "p")


def test_nothing_is_pickled(tmp_path):
    write(tmp_path / "p", make_raw(), make_splits(), name="toy")
    np.save(tmp_path / "p/test/labels.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(LosstuneError, match="damaged"):
        read_test(tmp_path / "p")


def test_summary_is_one_line_with_the_figures(tmp_path):
    manifest = write(tmp_path / "p", make_raw(), make_splits(), name="toy")
    line = manifest.summary()
    assert "\n" not in line
    for text in ("toy", "15 train", "9 validation", "6 test", "3 classes", "3x4x5", manifest.digest[:12]):
        assert text in line
    assert len(manifest.digest) == len(hashlib.sha256().hexdigest())
