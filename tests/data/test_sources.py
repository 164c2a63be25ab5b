import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from losstune.config.data import DataSettings
from losstune.core.errors import LosstuneError
from losstune.data.sources import NAMES, check_name, load
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
    code = "import sys, losstune.data.sources; print(*{'torch', 'torchvision', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
