import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from losstune.config.data import DataSettings
from losstune.core.errors import LosstuneError
from losstune.data.sources import NAMES, check_name, check_settings, inspect, load
from tests.data.test_imagefolder import fill


def settings(name, root="nowhere", image_size=None):
    return DataSettings(
        name=name,
        root=str(root),
        download=False,
        image_size=image_size,
        validation_fraction=0.2,
        test_fraction=0.2,
        label_noise=0.0,
    )


def test_digits_are_those_of_scikit_learn():
    raw = load(settings("digits"))
    bunch = load_digits()
    assert raw.images.shape == (1797, 1, 8, 8)
    assert raw.images.dtype == np.uint8
    assert raw.images.flags.c_contiguous
    assert np.array_equal(raw.images[:, 0], bunch.images)
    assert np.array_equal(raw.labels, bunch.target)
    assert raw.class_names == tuple("0123456789")
    assert raw.test_images is None


def test_every_kind_is_reached_by_its_name(tmp_path):
    fill(tmp_path / "pets")
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 2)), y=[0, 1, 0, 1])
    assert load(settings("imagefolder", tmp_path / "pets", image_size=5)).images.shape == (6, 3, 5, 5)
    assert load(settings("npz", tmp_path / "a.npz")).images.shape == (4, 2)
    with pytest.raises(LosstuneError, match=f"no complete CIFAR10 in {tmp_path};"):
        load(settings("CIFAR10", tmp_path))


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("cifar10", "CIFAR10"), ("FashionMnist", "FashionMNIST"), ("digit", "digits"), ("image_folder", "imagefolder")],
)
def test_an_unknown_name_gets_the_nearest(wrong, right):
    with pytest.raises(LosstuneError, match=f"data.name: found '{wrong}'.*did you mean '{right}'"):
        load(settings(wrong))
    check_name(right)


def test_a_name_like_nothing_gets_them_all():
    with pytest.raises(LosstuneError) as caught:
        check_name("qqqq")
    assert all(name in str(caught.value) for name in NAMES)
    assert "did you mean" not in str(caught.value)


def test_one_class_is_not_enough(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 2)), y=[0, 0, 0, 0])
    with pytest.raises(LosstuneError, match="only one class"):
        load(settings("npz", tmp_path / "a.npz"))


@pytest.mark.parametrize("name", ["digits", "npz"])
def test_an_image_size_that_would_be_ignored_is_refused(name):
    with pytest.raises(LosstuneError, match=r"data\.image_size: found 32, expected null"):
        load(settings(name, image_size=32))


def test_importing_the_sources_imports_nothing_heavy():
    heavy = {"torch", "torchvision", "sklearn", "pandas", "pyarrow", "datasets"}
    code = f"import sys, losstune.data.sources; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_tables_and_saved_data_sets_are_reached_by_their_name(tmp_path):
    (tmp_path / "t.csv").write_text("a,label\n1,x\n2,y\n3,x\n")
    assert load(settings("table", tmp_path / "t.csv")).labels.tolist() == [0, 1, 0]
    assert inspect(settings("table", tmp_path / "t.csv")) == ((), ("Label: column label.",))
    with pytest.raises(LosstuneError, match=r"data\.root: no folder"):
        load(settings("huggingface", tmp_path / "nowhere"))


KEYS = [
    ("digits", {"label": "x"}, 'data.label: found "x", expected null: digits does not read it'),
    ("npz", {"drop": ["x"]}, "data.drop: found"),
    ("digits", {"groups": "x"}, "data.groups: found"),
    ("my_data.py:load", {"groups": "x"}, "does not read it; losstune.Dataset(groups=...) brings groups"),
    ("CIFAR10", {"own_validation": True}, "data.own_validation: found true, expected false: CIFAR10 does not read it"),
    ("table", {"own_validation": True}, "data.own_validation: found true"),
    ("npz", {"on_bad_image": "skip"}, 'data.on_bad_image: found "skip", expected "error": npz does not read it'),
    ("imagefolder", {"groups": "patient"}, "data.groups: found 'patient' without a group in parentheses"),
    ("imagefolder", {"groups": r"(p\d"}, r"data.groups: found '(p\d': missing )"),
    ("table", {"image_size": 8}, "data.image_size: found 8, expected null"),
    ("digits", {"label_noise": "given"}, "data.label_noise: found 'given', which names an array or column with wrong"),
    ("my_data.py:load", {"label_noise": "given"}, "has none; expected a number in [0, 1), or pairs, or a matrix"),
    ("files", {"label_noise": 0.2}, "data.label_noise: found 0.2, but only the training loop reads the data"),
    ("files", {"long_tail": 20.0}, "data.long_tail: found 20.0, but only the training loop reads the data"),
]


@pytest.mark.parametrize(("name", "data", "message"), KEYS)
def test_keys_that_a_source_would_ignore_are_refused(tmp_path, monkeypatch, name, data, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_data.py").write_text("def load(): ...")
    with pytest.raises(LosstuneError) as caught:
        check_settings(DataSettings(name=name, **data))
    assert message in str(caught.value)


def test_keys_that_a_source_reads_are_accepted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_data.py").write_text("def load(): ...")
    for name, data in (
        ("table", {"label": ["a", "b"], "drop": ["c"], "groups": "d"}),
        ("huggingface", {"label": "a", "on_bad_image": "skip", "own_validation": True}),
        ("imagefolder", {"groups": "(p)", "own_validation": True, "on_bad_image": "skip"}),
        ("DTD", {"own_validation": True, "on_bad_image": "skip"}),
        ("my_data.py:load", {"own_validation": True}),
    ):
        check_settings(DataSettings(name=name, **data))
