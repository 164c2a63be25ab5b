import time

import numpy as np
import pytest
from PIL import Image

from losstune.core.errors import LosstuneError
from losstune.data import decoding
from losstune.data.decoding import decode

GENERATOR = np.random.default_rng(0)
GREY = GENERATOR.integers(0, 256, (6, 5), dtype=np.uint8)
RGB = GENERATOR.integers(0, 256, (6, 5, 3), dtype=np.uint8)


def decode_files(paths, image_size=None, **arguments):
    return decode(
        len(paths), lambda i: Image.open(paths[i]), lambda i: str(paths[i]), image_size=image_size, **arguments
    )


def saved(tmp_path, image, name="a.png", **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


def decode_one(tmp_path, image, name="a.png", image_size=None, **options):
    return decode_files([saved(tmp_path, image, name, **options)], image_size)[0]


def with_alpha(pixels, alpha):
    return np.concatenate([pixels, np.full((*pixels.shape[:2], 1), alpha, np.uint8)], axis=2)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.ppm", "a.tiff", "a.webp"])
def test_rgb_comes_through_exactly(tmp_path, name):
    options = {"lossless": True} if name.endswith("webp") else {}
    found = decode_one(tmp_path, Image.fromarray(RGB), name, **options)
    assert np.array_equal(found, RGB.transpose(2, 0, 1))


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.pgm", "a.tiff", "a.gif"])
def test_grey_keeps_one_channel(tmp_path, name):
    assert np.array_equal(decode_one(tmp_path, Image.fromarray(GREY), name), GREY[None])


def test_jpeg_is_what_pillow_decodes(tmp_path):
    path = saved(tmp_path, Image.fromarray(RGB), "a.jpg")
    assert np.array_equal(decode_files([path])[0], np.asarray(Image.open(path)).transpose(2, 0, 1))


def test_sixteen_bit_greys_are_scaled_not_clipped(tmp_path):
    wide = (GREY.astype(np.uint16) << 8) + 77
    assert np.array_equal(decode_one(tmp_path, Image.fromarray(wide)), GREY[None])
    assert np.array_equal(decode_one(tmp_path, Image.fromarray(wide), "a.tiff"), GREY[None])


def test_black_and_white_is_0_and_255(tmp_path):
    bits = GREY > 127
    found = decode_one(tmp_path, Image.fromarray(bits))
    assert np.array_equal(found[0], np.where(bits, 255, 0))


def test_palettes_give_the_colours_they_stand_for(tmp_path):
    colours = np.array([[255, 0, 0], [0, 200, 0], [7, 8, 9]], dtype=np.uint8)
    indices = (GREY % 3).astype(np.uint8)
    image = Image.new("P", (5, 6))
    image.putdata(indices.ravel().tolist())
    image.putpalette(colours.ravel().tolist())
    assert np.array_equal(decode_one(tmp_path, image), colours[indices].transpose(2, 0, 1))
    image.putpalette([3, 3, 3, 90, 90, 90, 200, 200, 200])
    assert np.array_equal(decode_one(tmp_path, image)[0], np.array([3, 90, 200], np.uint8)[indices])


def test_an_opaque_image_is_not_changed_by_its_alpha(tmp_path):
    assert np.array_equal(decode_one(tmp_path, Image.fromarray(with_alpha(RGB, 255))), RGB.transpose(2, 0, 1))
    grey_alpha = Image.merge("LA", [Image.fromarray(GREY), Image.new("L", (5, 6), 255)])
    assert np.array_equal(decode_one(tmp_path, grey_alpha), GREY[None])


def test_what_is_transparent_turns_white(tmp_path):
    # A black drawing on nothing: without its alpha it would be black on black.
    pixels = np.zeros((6, 5, 4), np.uint8)
    pixels[2:4, 1:3, 3] = 255
    found = decode_one(tmp_path, Image.fromarray(pixels))
    expected = np.where(pixels[..., 3] == 255, 0, 255)
    assert np.array_equal(found, np.broadcast_to(expected, (3, 6, 5)))
    half = decode_one(tmp_path, Image.fromarray(with_alpha(RGB, 128))).transpose(1, 2, 0)
    expected = RGB * (128 / 255) + 255 * (127 / 255)
    assert np.abs(half - expected).max() <= 1


def test_cmyk_becomes_rgb(tmp_path):
    flat = Image.new("CMYK", (5, 6), (0, 255, 255, 0))
    found = decode_one(tmp_path, flat, "a.tiff")
    assert np.array_equal(found, np.broadcast_to(np.array([255, 0, 0])[:, None, None], (3, 6, 5)))


def test_photographs_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side: a viewer turns it a quarter clockwise
    found = decode_one(tmp_path, Image.fromarray(RGB), exif=exif)
    assert np.array_equal(found, np.rot90(RGB, k=-1).transpose(2, 0, 1))


def test_32_bit_pixels_are_refused_with_their_name(tmp_path):
    path = saved(tmp_path, Image.fromarray(GREY.astype(np.float32)), "depth.tiff")
    with pytest.raises(LosstuneError, match=r"depth.tiff: .*32-bit pixels \(mode F\)"):
        decode_files([path])


@pytest.mark.parametrize("colour_at", [0, 1, 150, 199])
def test_one_colour_image_among_greys_makes_three_channels(tmp_path, colour_at):
    images = [Image.fromarray(np.full((4, 4), index, np.uint8)) for index in range(200)]
    images[colour_at] = Image.new("RGB", (4, 4), (1, 2, 3))
    found = decode(200, lambda i: images[i].copy(), str, image_size=None)
    expected = np.broadcast_to(np.arange(200)[:, None, None, None], (200, 3, 4, 4)).astype(np.uint8)
    expected[colour_at] = np.array([1, 2, 3])[:, None, None]
    assert np.array_equal(found, expected)


def test_images_keep_their_order_over_many_blocks_and_threads(monkeypatch):
    monkeypatch.setattr(decoding, "num_cores", lambda: 4)

    def open_image(index):
        if index % 64 == 0:
            time.sleep(0.001 * (7 * index // 64 % 5))  # blocks end out of order
        return Image.new("RGB", (3, 3), (index % 256, index // 256, 7))

    reports = []
    found = decode(1000, open_image, str, image_size=None, progress=lambda *report: reports.append(report))
    low, high = found[:, 0, 0, 0].astype(int), found[:, 1, 0, 0].astype(int)
    assert np.array_equal(low + 256 * high, np.arange(1000))
    assert reports[-1] == (1000, 1000)
    assert reports == sorted(reports)
    assert len(reports) > 5


def test_image_size_resizes_all_and_smoothly(tmp_path):
    sizes = [(40, 20), (8, 8), (8, 30), (100, 100)]
    images = [Image.new("RGB", size, (10 * index, 5, 90)) for index, size in enumerate(sizes)]
    found = decode(4, lambda i: images[i].copy(), str, image_size=8)
    assert found.shape == (4, 3, 8, 8)
    for index in range(4):
        assert (found[index].reshape(3, -1) == np.array([[10 * index], [5], [90]])).all()
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    shrunk = decode(1, lambda _: Image.fromarray(board.astype(np.uint8)), str, image_size=8)
    # A checkerboard shrinks to grey; picking nearest pixels would give black or white.
    assert np.abs(shrunk.astype(int) - 127).max() < 20


def test_a_large_jpeg_shrinks_to_nearly_what_a_full_decoding_gives(tmp_path):
    y, x = np.indices((600, 800))
    pixels = np.stack([x * 255 // 800, y * 255 // 600, (x + y) % 256], axis=2).astype(np.uint8)
    path = saved(tmp_path, Image.fromarray(pixels), "a.jpg", quality=95)
    found = decode_files([path], image_size=32)[0].astype(int)
    reference = Image.open(path).resize((32, 32), Image.Resampling.BILINEAR)
    difference = np.abs(found - np.asarray(reference).transpose(2, 0, 1))
    assert difference.mean() < 1


def test_sizes_that_differ_name_two_files_and_the_remedy(tmp_path):
    paths = [
        saved(tmp_path, Image.new("RGB", (4, 4)), "small.png"),
        saved(tmp_path, Image.new("RGB", (9, 5)), "wide.png"),
    ]
    with pytest.raises(LosstuneError) as caught:
        decode_files(paths)
    message = str(caught.value)
    for text in ("small.png is 4x4", "wide.png is 9x5", "data.image_size"):
        assert text in message
    assert decode_files(paths, image_size=4).shape == (2, 3, 4, 4)


@pytest.mark.parametrize("bad", [0, 130, 260])
@pytest.mark.parametrize("damage", ["text", "truncated"])
def test_a_damaged_image_is_named_wherever_it_stands(tmp_path, bad, damage):
    good = saved(tmp_path, Image.fromarray(np.tile(RGB, (20, 20, 1))), "good.png")
    path = tmp_path / "bad.png"
    path.write_bytes(b"not an image" if damage == "text" else good.read_bytes()[:-300])
    paths = [good] * 261
    paths[bad] = path
    with pytest.raises(LosstuneError, match=r"bad\.png: not a readable image") as caught:
        decode_files(paths)
    assert "\n" not in str(caught.value)
