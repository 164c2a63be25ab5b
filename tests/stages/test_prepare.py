import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from losstune.config.load import load_params
from losstune.core.errors import LosstuneError
from losstune.data.prepared import read_development, read_manifest, read_test
from losstune.data.raw import RawData
from losstune.stages import prepare
from losstune.stages.layout import PREPARED
from tests.data.test_prepared import contents


@pytest.fixture
def params(request):
    return load_params(request.config.rootpath / "params.yaml")


def run(params, folder, root=None):
    prepare.run(params, folder, folder if root is None else root)


def with_data(params, **changes):
    return params.model_copy(update={"data": params.data.model_copy(update=changes)})


def with_seed(params, seed):
    return params.model_copy(update={"study": params.study.model_copy(update={"seed": seed})})


def test_digits_go_in_and_come_out_in_three_parts(params, tmp_path, capsys):
    digits = with_data(params, name="digits", label_noise=0.0, validation_fraction=0.25, test_fraction=0.2)
    run(digits, tmp_path)
    data, test = read_development(tmp_path / PREPARED, verify=True), read_test(tmp_path / PREPARED)
    bunch = load_digits()
    expected = sorted(zip(bunch.data.astype(int).tolist(), bunch.target.tolist(), strict=True))
    found = [
        (image.ravel().tolist(), int(label))
        for images, labels in (
            (data.train_images, data.train_labels),
            (data.validation_images, data.validation_labels),
            (test.images, test.labels),
        )
        for image, label in zip(images, labels, strict=True)
    ]
    assert sorted(found) == expected
    assert len(test.labels) == round(1797 * 0.2)
    assert len(data.validation_labels) == round((1797 - 359) * 0.25)
    manifest = read_manifest(tmp_path / PREPARED)
    assert capsys.readouterr().out.splitlines() == [manifest.summary(), "10 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9."]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_split(params, tmp_path):
    noisy = with_data(params, name="digits", label_noise=0.2)
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(with_seed(noisy, seed), tmp_path / folder)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    digests = {read_manifest(tmp_path / folder / PREPARED).test_digest for folder in "abc"}
    assert len(digests) == 2


def test_label_noise_touches_the_training_labels_and_nothing_else(params, tmp_path):
    for folder, rate in (("clean", 0.0), ("noisy", 0.3)):
        run(with_data(params, name="digits", label_noise=rate), tmp_path / folder)
    clean, noisy = (read_development(tmp_path / folder / PREPARED) for folder in ("clean", "noisy"))
    manifest = read_manifest(tmp_path / "noisy" / PREPARED)
    num_changed = int((clean.train_labels != noisy.train_labels).sum())
    assert num_changed == manifest.num_labels_changed == round(0.3 * len(clean.train_labels))
    assert np.array_equal(clean.train_images, noisy.train_images)
    assert np.array_equal(clean.validation_labels, noisy.validation_labels)
    assert manifest.test_digest == read_manifest(tmp_path / "clean" / PREPARED).test_digest


def make_folder(root, num_train=6, num_test=2):
    for split, number in (("train", num_train), ("test", num_test)):
        for label, name in enumerate("ab"):
            (root / split / name).mkdir(parents=True)
            for index in range(number):
                colour = (label * 100, index, 5 if split == "test" else 9)
                Image.new("RGB", (4, 4), colour).save(root / split / name / f"{index}.png")


@pytest.mark.parametrize("absolute", [True, False])
def test_a_folder_keeps_its_own_test_split_wherever_it_lies(params, tmp_path, absolute, capsys):
    make_folder(tmp_path / "data/raw/pets")
    root = str(tmp_path / "data/raw/pets") if absolute else "data/raw/pets"
    run(with_data(params, name="imagefolder", root=root), tmp_path)
    data, test = read_development(tmp_path / PREPARED), read_test(tmp_path / PREPARED)
    assert len(test.labels) == 4
    assert (test.images[:, 2] == 5).all()
    assert (data.train_images[:, 2] == 9).all()
    assert (data.validation_images[:, 2] == 9).all()
    captured = capsys.readouterr()
    assert "own" in captured.out
    assert "16 images" in captured.err


def test_another_seed_decodes_nothing_again(params, tmp_path, monkeypatch):
    make_folder(tmp_path / "pets")
    folder = with_data(params, name="imagefolder", root="pets")
    run(with_seed(folder, 1), tmp_path)

    def fail(*_args, **_kwargs):
        raise AssertionError("decoded again")

    monkeypatch.setattr(Image, "open", fail)
    run(with_seed(folder, 2), tmp_path)
    assert len(read_test(tmp_path / PREPARED).labels) == 4


def test_a_temporary_copy_keeps_its_decoded_images_in_the_real_root(params, tmp_path):
    make_folder(tmp_path / "copy/pets")
    run(with_data(params, name="imagefolder", root="pets"), tmp_path / "copy", root=tmp_path / "real")
    assert len(list((tmp_path / "real" / prepare.DECODED).iterdir())) == 1
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["data", "pets"]
    assert (tmp_path / "copy" / PREPARED / "manifest.json").exists()


def test_the_digest_does_not_depend_on_where_the_data_lies(params, tmp_path):
    for name in ("one", "two/deeper"):
        make_folder(tmp_path / name / "pets")
        run(with_data(params, name="imagefolder", root="pets"), tmp_path / name)
    digests = {read_manifest(tmp_path / name / PREPARED).digest for name in ("one", "two/deeper")}
    assert len(digests) == 1


def test_a_test_split_without_a_class_is_a_warning_that_names_it(params, tmp_path, capsys):
    labels = np.array([0, 1, 2] * 5)
    images = np.zeros((15, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=labels, test_images=images[:2], test_labels=labels[:2])
    run(with_data(params, name="npz", root="a.npz"), tmp_path)
    told = "note: The test split has no sample of the class '2', so the verdict says nothing about it.\n"
    assert told in capsys.readouterr().out
    assert read_manifest(tmp_path / PREPARED).counts.test == (1, 1, 0)


def test_a_test_split_of_one_class_is_an_error(params, tmp_path):
    labels = np.array([0, 1, 2] * 5)
    images = np.zeros((15, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=labels, test_images=images[:2], test_labels=labels[:2] * 0)
    with pytest.raises(LosstuneError, match="the test split that the data brings has samples of class '0' only"):
        run(with_data(params, name="npz", root="a.npz"), tmp_path)
    assert not (tmp_path / PREPARED).exists()


def test_tabular_data_goes_through(params, tmp_path):
    rows = np.random.default_rng(0).normal(size=(40, 3))
    np.savez(tmp_path / "a.npz", X=rows, y=np.arange(40) % 4)
    run(with_data(params, name="npz", root="a.npz"), tmp_path)
    manifest = read_manifest(tmp_path / PREPARED)
    assert manifest.input_shape == (3,)
    assert manifest.dtype == "float32"
    assert len(manifest.mean) == 3
    assert read_test(tmp_path / PREPARED).images.shape == (8, 3)


def test_of_many_classes_the_first_ten_are_named(params, tmp_path, capsys):
    names = np.array([f"bird {label:02}" for label in range(12)])
    np.savez(tmp_path / "a.npz", x=np.ones((60, 3)), y=np.arange(60) % 12, class_names=names)
    run(with_data(params, name="npz", root="a.npz"), tmp_path)
    expected = ", ".join(f"bird {label:02}" for label in range(10))
    assert f"12 classes, the first ten: {expected}.\n" in capsys.readouterr().out


def test_what_was_not_read_is_told(params, tmp_path, capsys):
    labels = np.arange(40) % 4
    np.savez(tmp_path / "a.npz", X=np.ones((40, 3)), labels=labels, groups=labels, sample_weight=labels)
    run(with_data(params, name="npz", root="a.npz"), tmp_path)
    assert "Not read: arrays groups, sample_weight." in capsys.readouterr().out


def test_a_test_folder_without_classes_is_told(params, tmp_path, capsys):
    make_folder(tmp_path / "pets", num_test=0)
    for label in "ab":
        (tmp_path / "pets/test" / label).rmdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "pets/test/1.png")
    run(with_data(params, name="imagefolder", root="pets"), tmp_path)
    told = capsys.readouterr().out
    assert "test/ is not read: it holds images without class folders" in told
    assert "The test split is drawn from train/" in told
    assert "2 classes: a, b." in told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"drop": ("a",)}, 'data.drop: found ["a"]'),
        ({"storage": "encoded"}, "data.storage: found"),
        ({"groups": "patient"}, "data.groups: found"),
        ({"own_validation": True}, "data.own_validation: found true, and the data has none"),
        ({"label_noise": "given"}, "data.label_noise: found 'given', which names an array or column"),
    ],
)
def test_keys_that_data_in_memory_would_ignore_are_refused(params, tmp_path, changes, message):
    raw = RawData(np.zeros((40, 2), np.float32), np.arange(40) % 2, ("a", "b"))
    with pytest.raises(LosstuneError) as caught:
        prepare.run(with_data(params, name="npz", **changes), tmp_path, tmp_path, raw)
    assert str(caught.value).startswith(message)
