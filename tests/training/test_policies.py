"""Named policies, against torchvision's transforms with the same random numbers."""

import pytest
import torch
from torchvision.transforms import v2

from losstune.config.settings import PolicySettings
from losstune.core.errors import LosstuneError
from losstune.training.augmentation import augmentation_of, flip_and_crop, require_policies
from losstune.training.device_data import DeviceData
from losstune.training.policies import cutout
from tests.small import digits_arrays


@pytest.fixture(scope="module")
def data():
    return DeviceData(digits_arrays(), torch.device("cpu"))


@pytest.fixture(scope="module")
def images(data):
    return data.normalised(data.train_images[:12])


def changed(data, images, *policies, seed=0):
    setting = tuple(PolicySettings(**({"name": item} if isinstance(item, str) else item)) for item in policies)
    return augmentation_of(setting, data)(images, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("name", "transform"),
    [
        ("trivial_augment", v2.TrivialAugmentWide()),
        ({"name": "rand_augment", "options": {"num_ops": 3, "magnitude": 5}}, v2.RandAugment(3, 5)),
        ({"name": "auto_augment", "options": {"policy": "cifar10"}}, v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)),
    ],
)
def test_an_operation_on_bytes_is_torchvisions(data, images, name, transform):
    found = changed(data, images, name)
    seed = int(torch.randint(2**62, (), generator=torch.Generator().manual_seed(0)))
    stored = digits_arrays().train_images[:12]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        expected = torch.stack([transform(torch.from_numpy(image)) for image in stored])
    torch.testing.assert_close(found, (expected.float() - data.mean) / data.std)
    assert not torch.equal(found, images)


def test_random_erasing_is_torchvisions_on_normalised_images(data, images):
    found = changed(data, images, {"name": "random_erasing", "options": {"p": 0.8}})
    seed = int(torch.randint(2**62, (), generator=torch.Generator().manual_seed(0)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transform = v2.RandomErasing(p=0.8)
        expected = torch.stack([transform(image) for image in images])
    assert torch.equal(found, expected)


def test_cutout_sets_one_square_to_the_mean():
    ones = torch.ones(300, 2, 8, 10)
    found = cutout(0.5)(ones, torch.Generator().manual_seed(0))
    areas = []
    for image in found:
        assert torch.equal(image[0], image[1])
        hidden = image[0] == 0
        rows, columns = hidden.any(1).nonzero().ravel(), hidden.any(0).nonzero().ravel()
        assert hidden[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        areas.append(int(hidden.sum()))
        assert len(rows) <= 4
        assert len(columns) <= 4
    assert max(areas) == 16
    # A centre near the border cuts the square off.
    assert min(areas) < 16


def test_policies_come_in_their_order(data, images):
    found = changed(data, images, "crop", "cutout")
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(found, cutout()(flip_and_crop("crop")(images, generator), generator))


def test_the_draws_depend_on_the_stream_alone(data, images):
    torch.manual_seed(1)
    first = changed(data, images, "trivial_augment", seed=4)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(changed(data, images, "trivial_augment", seed=4), first)
    assert not torch.equal(changed(data, images, "trivial_augment", seed=5), first)
    torch.manual_seed(1)
    changed(data, images, "trivial_augment", seed=4)
    assert torch.equal(torch.get_rng_state(), state), "dropout's stream is left alone"


MISTAKES = {
    "options": ([{"name": "rand_augment", "options": {"strength": 3}}], "rand_augment: options: .*strength"),
    "policy": ([{"name": "auto_augment", "options": {"policy": "cifar"}}], "auto_augment: policy: found .cifar., "),
    "flip with options": ([{"name": "flip", "options": {"p": 1}}], "flip takes no options, found p"),
    "cutout": ([{"name": "cutout", "options": {"side": 3}}], "cutout: options: TypeError.*side"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line(case):
    policies, message = MISTAKES[case]
    with pytest.raises(LosstuneError, match=rf"^training\.augmentation: {message}"):
        require_policies([PolicySettings(**policy) for policy in policies], (3, 8, 8), "uint8")


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((5,), "float32", "trivial_augment takes images, found samples of 5 features"),
        ((3, 8, 8), "float32", "takes images of one or three channels stored as bytes, found 3 of float32"),
        ((2, 8, 8), "uint8", "takes images of one or three channels stored as bytes, found 2 of uint8"),
    ],
)
def test_what_does_not_fit_is_told(shape, dtype, message):
    with pytest.raises(LosstuneError, match=message):
        require_policies([PolicySettings(name="trivial_augment")], shape, dtype)


def test_every_policy_fits_small_images():
    for name in ("flip", "crop", "trivial_augment", "rand_augment", "auto_augment", "random_erasing", "cutout"):
        for channels in (1, 3):
            assert require_policies([PolicySettings(name=name)], (channels, 8, 8), "uint8") == []
