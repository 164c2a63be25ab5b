from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from losstune.report.thumbnails import MOST_PIXELS, thumbnails


def opened(uri):
    head, _, content = uri.partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def test_bytes_are_shown_as_they_are():
    images = np.zeros((3, 1, 2, 2), dtype=np.uint8)
    images[2, 0] = [[0, 10], [128, 200]]
    found = thumbnails(images, [2, 2])
    assert list(found) == [2]
    image = opened(found[2])
    assert (image.mode, image.size) == ("L", (2, 2))
    assert np.asarray(image).tolist() == [[0, 10], [128, 200]]


def test_other_ranges_are_stretched_over_what_is_shown():
    images = np.array([[[[0.0, 16.0]]], [[[8.0, 4.0]]], [[[-99.0, 99.0]]]], dtype=np.float32)
    found = thumbnails(images, [0, 1])
    assert np.asarray(opened(found[0])).tolist() == [[0, 255]]
    assert np.asarray(opened(found[1])).tolist() == [[128, 64]]


@pytest.mark.parametrize(("num_channels", "mode"), [(1, "L"), (2, "L"), (3, "RGB"), (4, "RGBA"), (5, "L")])
def test_channels_and_size(num_channels, mode):
    images = np.full((1, num_channels, 100, 200), 255, dtype=np.uint8)
    image = opened(thumbnails(images, [0])[0])
    assert (image.mode, image.size) == (mode, (MOST_PIXELS, MOST_PIXELS // 2))


def test_none_and_flat_images():
    images = np.full((1, 1, 2, 2), 7, dtype=np.uint8)
    assert thumbnails(images, []) == {}
    assert np.asarray(opened(thumbnails(images, [0])[0])).max() == 0
