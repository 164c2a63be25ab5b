"""Flips and crops against windows cut by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from losstune.training.augmentation import augmentation_of, flip_and_crop


def numbered(num, channels, height, width):
    """Images whose pixels all differ, none of them zero."""
    return torch.arange(num * channels * height * width, dtype=torch.float32).view(
        num, channels, height, width
    ) + 1  # fmt: skip


def offset_of(crop, image, pad):
    """Where the crop lies in the padded image, found by trying every window."""
    height, width = image.shape[1:]
    padded = nn.functional.pad(image, (pad, pad, pad, pad))
    places = [
        (top, left)
        for top in range(2 * pad + 1)
        for left in range(2 * pad + 1)
        if torch.equal(crop, padded[:, top : top + height, left : left + width])
    ]
    assert len(places) == 1
    return places[0]


def test_augmentation_moves_pixels_and_nothing_else():
    images = torch.arange(2 * 3 * 16 * 16, dtype=torch.float32).view(2, 3, 16, 16) + 1
    flipped = flip_and_crop("flip")(images.repeat(50, 1, 1, 1), torch.Generator().manual_seed(0))
    kinds = {
        torch.equal(row, images[i % 2]) or -torch.equal(row, images[i % 2].flip(-1)) for i, row in enumerate(flipped)
    }
    assert kinds == {True, -1}
    cropped = flip_and_crop("crop")(images, torch.Generator().manual_seed(1))
    padded = nn.functional.pad(images, (2, 2, 2, 2))
    for row, original in zip(cropped, padded, strict=True):
        windows = [original[:, top : top + 16, left : left + 16] for top in range(5) for left in range(5)]
        assert sum(torch.equal(row, window) for window in windows) == 1
    assert torch.equal(
        flip_and_crop("flip_crop")(images, torch.Generator().manual_seed(1)),
        flip_and_crop("flip_crop")(images, torch.Generator().manual_seed(1)),
    )


@pytest.mark.parametrize(("height", "width", "pad"), [(4, 4, 1), (8, 8, 1), (16, 16, 2), (24, 16, 2), (16, 24, 3)])
def test_every_offset_up_to_an_eighth_of_the_side_is_as_likely(height, width, pad):
    num, side = 4000, 2 * pad + 1
    images = numbered(1, 1, height, width).expand(num, -1, -1, -1)
    cropped = flip_and_crop("crop")(images, torch.Generator().manual_seed(2))
    counts = np.zeros((side, side))
    for crop in cropped:
        counts[offset_of(crop, images[0], pad)] += 1
    assert stats.chisquare(counts, axis=None).pvalue > 0.001


def test_half_of_the_images_are_mirrored_and_moved_for_themselves():
    num = 4000
    image = numbered(1, 2, 8, 8)
    moved = flip_and_crop("flip_crop")(image.expand(num, -1, -1, -1), torch.Generator().manual_seed(3))
    places = {
        offset_of(window, image[0], 1): window
        for window in flip_and_crop("crop")(image.expand(500, -1, -1, -1), torch.Generator().manual_seed(4))
    }
    assert len(places) == 9
    upright = sum(any(torch.equal(one, window) for window in places.values()) for one in moved)
    # A window of the mirrored image is the mirror image of a window; Binomial(4000, 1/2) with 5 standard deviations.
    mirrored = sum(any(torch.equal(one.flip(-1), window) for window in places.values()) for one in moved)
    assert upright + mirrored == num
    assert abs(upright - num / 2) < 5 * (num / 4) ** 0.5


def test_without_augmentation_and_without_pixels_nothing_moves():
    images, features = (SimpleNamespace(input_shape=shape) for shape in ((1, 8, 8), (5,)))
    assert augmentation_of("none", images) is None
    assert augmentation_of("flip_crop", features) is None
    assert augmentation_of("flip_crop", images) is not None
