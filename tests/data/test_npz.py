import pickle

import numpy as np
import pytest

from losstune.core.errors import LosstuneError
from losstune.data import npz

GENERATOR = np.random.default_rng(0)
LABELS = np.arange(12) % 3
BYTES = GENERATOR.integers(0, 256, (12, 6, 5), dtype=np.uint8)
RGB_LAST = GENERATOR.integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)


def load(tmp_path, **arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    return npz.load(tmp_path / "a.npz")


def test_grey_images_get_a_channel(tmp_path):
    raw = load(tmp_path, images=BYTES, labels=LABELS)
    assert np.array_equal(raw.images, BYTES[:, None])
    assert raw.images.dtype == np.uint8
    assert np.array_equal(raw.labels, LABELS)
    assert raw.labels.dtype == np.int64
    assert raw.class_names == ("0", "1", "2")
    assert raw.test_images is None


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_are_found_first_or_last(tmp_path, channels):
    last = GENERATOR.integers(0, 256, (12, 8, 9, channels), dtype=np.uint8)
    expected = last.transpose(0, 3, 1, 2)
    for given in (last, np.ascontiguousarray(expected)):
        images = load(tmp_path, images=given, labels=LABELS).images
        assert np.array_equal(images, expected)
        assert images.flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint16, bool])
def test_whole_numbers_of_a_byte_are_kept_as_bytes(tmp_path, dtype):
    given = BYTES.astype(dtype)
    raw = load(tmp_path, images=given, labels=LABELS)
    assert raw.images.dtype == np.uint8
    assert np.array_equal(raw.images[:, 0], given.astype(np.uint8))


@pytest.mark.parametrize("given", [BYTES / 255.0, BYTES.astype(np.int32) * 10 - 3, BYTES.astype(np.float16)])
def test_other_numbers_become_single_precision(tmp_path, given):
    raw = load(tmp_path, images=given, labels=LABELS)
    assert raw.images.dtype == np.float32
    np.testing.assert_allclose(raw.images[:, 0], given, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8])
def test_rows_are_single_precision(tmp_path, dtype):
    rows = (GENERATOR.normal(size=(12, 7)) * 50).astype(dtype)
    raw = load(tmp_path, X=rows, y=LABELS)
    assert raw.images.shape == (12, 7)
    assert raw.images.dtype == np.float32
    assert np.array_equal(raw.images, rows.astype(np.float32))


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (("images", "labels"), ("test_images", "test_labels")),
        (("x", "y"), ("test_x", "test_y")),
        (("X", "y"), ("test_X", "test_y")),
        (("x_train", "y_train"), ("x_test", "y_test")),
        (("train_images", "train_labels"), ("test_images", "test_labels")),
    ],
)
def test_a_test_split_is_read_by_any_of_its_names(tmp_path, train, test):
    raw = load(tmp_path, **{train[0]: RGB_LAST, train[1]: LABELS, test[0]: RGB_LAST[:3] // 2, test[1]: LABELS[:3]})
    assert np.array_equal(raw.images, RGB_LAST.transpose(0, 3, 1, 2))
    assert np.array_equal(raw.test_images, RGB_LAST[:3].transpose(0, 3, 1, 2) // 2)
    assert np.array_equal(raw.test_labels, LABELS[:3])


def test_the_layout_of_medmnist_is_read_and_its_validation_split_joins_the_training_data(tmp_path):
    column = LABELS[:, None].astype(np.uint8)
    raw = load(
        tmp_path,
        train_images=BYTES[:6],
        train_labels=column[:6],
        val_images=BYTES[6:9],
        val_labels=column[6:9],
        test_images=BYTES[9:],
        test_labels=column[9:],
    )
    assert np.array_equal(raw.images[:, 0], BYTES[:9])
    assert np.array_equal(raw.labels, LABELS[:9])
    assert np.array_equal(raw.test_labels, LABELS[9:])


@pytest.mark.parametrize("style", ["{}", "train_{}", "{}_train"])
@pytest.mark.parametrize(("samples", "labels"), [("X", "labels"), ("x", "labels"), ("images", "y")])
def test_any_name_for_samples_goes_with_any_for_labels(tmp_path, style, samples, labels):
    raw = load(tmp_path, **{style.format(samples): BYTES, style.format(labels): LABELS})
    assert np.array_equal(raw.images[:, 0], BYTES)
    assert np.array_equal(raw.labels, LABELS)
    assert raw.notes == ()


def test_a_usual_pair_comes_before_a_mixed_one(tmp_path):
    raw = load(tmp_path, x=BYTES, labels=LABELS[::-1], y=LABELS)
    assert np.array_equal(raw.labels, LABELS)
    assert "array labels" in raw.notes[0]


def test_arrays_that_are_not_read_are_named(tmp_path):
    raw = load(tmp_path, images=BYTES, labels=LABELS, groups=LABELS, sample_weight=LABELS / 2)
    assert len(raw.notes) == 1
    assert raw.notes[0].startswith("Not read: arrays groups, sample_weight.")
    assert npz.inspect(tmp_path / "a.npz") == raw.notes
    assert load(tmp_path, images=BYTES, labels=LABELS, class_names=np.array(["a", "b", "c"])).notes == ()


def test_names_are_looked_at_without_reading_an_array(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{}], dtype=object), y=LABELS)  # reading x would be refused
    assert npz.inspect(tmp_path / "a.npz") == ()
    np.savez(tmp_path / "a.npz", pixels=BYTES, target=LABELS)
    with pytest.raises(LosstuneError, match="found pixels, target, expected images, x or X"):
        npz.inspect(tmp_path / "a.npz")


def test_class_names_are_read(tmp_path):
    names = np.array(["ant", "bee", "cow", "dog"])
    assert load(tmp_path, x=BYTES, y=LABELS, class_names=names).class_names == tuple(names)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": BYTES, "labels": LABELS}, "found labels without images"),
        ({"pictures": BYTES, "labels": LABELS}, "images or x or X"),
        ({"pictures": BYTES}, "found pictures, expected images"),
        ({}, "found no arrays"),
        ({"images": BYTES}, "found images without labels"),
        ({"images": BYTES, "labels": LABELS, "test_images": BYTES}, "test_images without test_labels"),
        ({"images": BYTES, "labels": LABELS[:-1]}, "images has 12 samples, labels has 11"),
        ({"images": BYTES[0, 0], "labels": LABELS}, r"images: found shape \(5,\)"),
        ({"images": BYTES[:0], "labels": LABELS[:0]}, r"images: found shape \(0, 6, 5\)"),
        ({"images": np.zeros((12, 2, 3, 4, 5)), "labels": LABELS}, r"found shape \(12, 2, 3, 4, 5\)"),
        ({"images": np.zeros((12, 9, 3, 9)), "labels": LABELS}, "channels in the second or the last place"),
        ({"images": np.array(["a"] * 12), "labels": LABELS}, "images: found type <U1"),
        ({"images": np.full((12, 4), 1j), "labels": LABELS}, "images: found type complex128"),
        ({"images": np.full((12, 4), np.nan), "labels": LABELS}, "NaN or infinite"),
        ({"images": np.full((12, 4), 1e300), "labels": LABELS}, "too large for float32"),
        ({"images": BYTES, "labels": LABELS - 1}, "labels from -1 to 1, expected 0 to C-1"),
        ({"images": BYTES, "labels": LABELS + 2}, "from 0 or 1 on"),
        ({"images": BYTES, "labels": LABELS * 2}, "none is 1"),
        ({"images": BYTES, "labels": LABELS * 10**8}, "none is 1"),
        ({"images": BYTES, "labels": LABELS * 0.5}, "labels: found 0.5, expected whole numbers"),
        ({"images": BYTES, "labels": 2 * np.eye(12)}, r"labels: found float64 of shape \(12, 12\), expected \(N,\)"),
        ({"images": BYTES, "labels": LABELS, "class_names": np.array(["a", "b"])}, "found 2, expected 0 to 1"),
        ({"images": BYTES, "labels": LABELS, "class_names": np.array(["a", "b", "b"])}, "different texts"),
        (
            {"images": BYTES, "labels": LABELS, "test_images": BYTES[:, :4], "test_labels": LABELS},
            "test samples are uint8",
        ),
        ({"images": np.array([{}] * 12, dtype=object), "labels": LABELS}, "pickled"),
    ],
)
def test_what_is_amiss_is_named(tmp_path, arrays, message):
    with pytest.raises(LosstuneError, match=message) as caught:
        load(tmp_path, **arrays)
    assert str(tmp_path / "a.npz") in str(caught.value)
    assert "\n" not in str(caught.value)


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"plain text", pickle.dumps(Bomb())])
def test_a_file_that_is_no_npz_is_named_and_never_unpickled(tmp_path, content):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(LosstuneError, match=r"a\.npz: cannot be read as \.npz"):
        npz.load(path)


def test_a_single_array_or_no_file_is_named(tmp_path):
    np.save(tmp_path / "a.npy", BYTES)
    with pytest.raises(LosstuneError, match="found one array"):
        npz.load(tmp_path / "a.npy")
    with pytest.raises(LosstuneError, match=f"no file {tmp_path}/b.npz"):
        npz.load(tmp_path / "b.npz")
    with pytest.raises(LosstuneError, match=r"is a folder; expected an \.npz file"):
        npz.load(tmp_path)


SPLITS = {
    "x_train": np.arange(12.0)[:, None],
    "y_train": LABELS,
    "x_val": np.arange(20.0, 26)[:, None],
    "y_val": LABELS[:6],
    "x_test": np.arange(30.0, 33)[:, None],
    "y_test": LABELS[:3],
}


def load_with(tmp_path, arguments, **arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    return npz.load(tmp_path / "a.npz", **arguments)


@pytest.mark.parametrize("own_validation", [False, True])
def test_a_validation_split_is_used_as_such_by_choice(tmp_path, own_validation):
    raw = load_with(tmp_path, {"own_validation": own_validation}, **SPLITS)
    assert raw.images[:, 0].tolist() == [*range(12), *range(20, 26)]
    assert (raw.validation.tolist() if own_validation else raw.validation) == (
        list(range(12, 18)) if own_validation else None
    )


def test_a_validation_split_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(LosstuneError, match=r"data\.own_validation: found true, and .*a\.npz has no validation split"):
        load_with(tmp_path, {"own_validation": True}, x=BYTES, y=LABELS)
    with pytest.raises(LosstuneError, match=r"data\.own_validation: found true"):
        npz.inspect(tmp_path / "a.npz", own_validation=True)


@pytest.mark.parametrize("style", ["{}_{}", "{1}_{0}"])
def test_groups_of_every_split(tmp_path, style):
    groups = {"train": np.arange(12) // 3, "val": np.arange(6) + 100, "test": np.array([3, 100, 7])}
    arrays = {style.format(split, "patient"): array for split, array in groups.items()}
    raw = load_with(tmp_path, {"groups": "patient"}, **SPLITS, **arrays)
    together = np.unique(np.concatenate(list(groups.values())), return_inverse=True)[1]
    assert np.array_equal(np.concatenate([raw.groups, raw.test_groups]), together)
    assert not raw.notes


def test_groups_without_those_of_the_test_split(tmp_path):
    raw = load_with(tmp_path, {"groups": "groups"}, x=BYTES, y=LABELS, test_x=BYTES, test_y=LABELS, groups=LABELS)
    assert raw.test_groups is None
    assert raw.groups.tolist() == LABELS.tolist()


def test_noisy_labels_have_the_mapping_of_the_true_ones(tmp_path):
    names = np.array(["b", "c", "a"])
    noisy = names[np.roll(LABELS, 1)]
    raw = load_with(tmp_path, {"noisy_labels": "given"}, x=BYTES, y=names[LABELS % 2], given=noisy)
    assert raw.class_names == ("a", "b", "c")
    assert np.array_equal(np.array(raw.class_names)[raw.noisy_labels], noisy)
    assert np.array_equal(np.array(raw.class_names)[raw.labels], names[LABELS % 2])
    assert raw.test_noisy_labels is None


@pytest.mark.parametrize(
    ("arguments", "arrays", "message"),
    [
        ({"groups": "patients"}, {"patient": LABELS}, r"data\.groups: found 'patients', .*did you mean 'patient'"),
        ({"groups": "g"}, {"g": LABELS[:5]}, "g has 5 groups, y has 12"),
        ({"groups": "g"}, {"g": np.full(12, np.nan)}, "g: found 12 samples without a group"),
        ({"noisy_labels": "n"}, {}, r"data\.label_noise: found 'n', and .* has no array n or train_n or n_train"),
        ({"noisy_labels": "n"}, {"n": LABELS[:5]}, "n has 5 labels, y has 12"),
        (
            {"noisy_labels": "n"},
            {"n": np.full((12, 3), 1 / 3)},
            r"'n', and .* has soft labels in n; expected one class",
        ),
    ],
)
def test_arrays_beside_the_samples_that_are_wrong(tmp_path, arguments, arrays, message):
    with pytest.raises(LosstuneError, match=message):
        load_with(tmp_path, arguments, x=BYTES, y=LABELS, **arrays)


def test_an_array_of_groups_is_named_by_the_note(tmp_path):
    (note,) = load(tmp_path, x=BYTES, y=LABELS, groups=LABELS).notes
    assert note.startswith("Not read: array groups. `data.groups: groups` keeps its groups together.")
