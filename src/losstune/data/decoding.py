"""Decode many images in parallel into one compact array."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from losstune.core.errors import LosstuneError
from losstune.core.machine import num_cores
from losstune.data.raw import Array, ReportProgress

Open = Callable[[int], Image.Image]
Allocate = Callable[[tuple[int, ...]], Any]
"""Makes an array of a shape, or something else that takes images by index."""

SKIP = "data.on_bad_image: skip leaves such images out"
"""End of the message on an image that cannot be read."""

_BLOCK = 64
_MAX_THREADS = 16
_ORIENTATION_TAG = 0x0112
_WITH_ALPHA = {"RGBA", "RGBa", "LA", "La", "PA"}


def decode(
    num_images: int,
    open_image: Open,
    name_of: Callable[[int], str],
    *,
    image_size: int | None,
    progress: ReportProgress | None = None,
    allocate: Allocate | None = None,
    bad: set[int] | None = None,
) -> Array:
    """Decode images into ``(N, C, H, W)`` uint8; C is 1 if all of them are greyscale, else 3.

    16-bit greyscale is scaled to 8 bits, transparent parts become white, and the EXIF orientation is applied.
    Pillow releases the GIL while it decodes, so threads run in parallel.

    Args:
        num_images: N, at least 1.
        open_image: Opens one image, by its index; called from several threads.
        name_of: Returns an image's name for messages, by its index.
        image_size: Side in pixels to which every image is resized, without keeping its aspect ratio; None keeps
            the size, which must then be the same for all.
        progress: Called after every few images.
        allocate: Allocates the array, given its shape; in memory by default.
        bad: Collects the indices of images that cannot be decoded; their pixels are undefined. If it is None, such an
            image is an error.

    Raises:
        LosstuneError: If an image cannot be decoded, or sizes differ; the message names the image. Also if none can be
            decoded.
    """
    allocate = allocate or (lambda shape: np.empty(shape, dtype=np.uint8))
    first, index_of_first = _first(num_images, open_image, name_of, image_size, is_strict=bad is None)
    # Guess from the first image: nearly always right, and a wrong guess costs a second pass.
    num_channels = 1 if first.ndim == 2 else 3
    while True:
        out = allocate((num_images, num_channels, *first.shape[:2]))
        try:
            with warnings.catch_warnings():
                # Pillow warns about minor defects, such as in EXIF data. Images that cannot be decoded are errors.
                warnings.filterwarnings("ignore", module=r"PIL\.")
                _fill(out, open_image, name_of, image_size, progress, index_of_first, bad)
        except _ColourAfterGrey:
            num_channels = 3
            continue
        return out


def _first(
    num_images: int, open_image: Open, name_of: Callable[[int], str], image_size: int | None, *, is_strict: bool
) -> tuple[Array, int]:
    """Return the first image that can be decoded, and its index."""
    for index in range(num_images):
        try:
            return _pixels(index, open_image, name_of, image_size), index
        except LosstuneError:
            if is_strict or index == num_images - 1:
                raise
    raise AssertionError("no image")


class _ColourAfterGrey(Exception):  # noqa: N818 - a signal, not an error
    pass


def _fill(
    out: Array,
    open_image: Open,
    name_of: Callable[[int], str],
    image_size: int | None,
    progress: ReportProgress | None,
    index_of_first: int,
    bad: set[int] | None,
) -> None:
    num_images = len(out)
    num_channels, height, width = out.shape[1:]

    def fill_block(start: int) -> int:
        stop = min(start + _BLOCK, num_images)
        for index in range(start, stop):
            try:
                pixels = _pixels(index, open_image, name_of, image_size)
            except LosstuneError:
                if bad is None:
                    raise
                bad.add(index)
                continue
            if pixels.shape[:2] != (height, width):
                raise LosstuneError(
                    f"{name_of(index)} is {pixels.shape[1]}x{pixels.shape[0]} pixels and "
                    f"{name_of(index_of_first)} is {width}x{height}; set data.image_size to resize all to one size"
                )
            if pixels.ndim == 2:
                out[index] = pixels
            elif num_channels == 3:
                out[index] = pixels.transpose(2, 0, 1)
            else:
                raise _ColourAfterGrey
        return stop

    pool = ThreadPoolExecutor(min(num_cores(), _MAX_THREADS))
    try:
        for done in pool.map(fill_block, range(0, num_images, _BLOCK)):
            if progress is not None:
                progress(done, num_images)
    finally:
        pool.shutdown(cancel_futures=True)


def _pixels(index: int, open_image: Open, name_of: Callable[[int], str], image_size: int | None) -> Array:
    return pixels_of(lambda: open_image(index), name_of(index), image_size)


def pixels_of(open_image: Callable[[], Image.Image], name: str, image_size: int | None) -> Array:
    """Return the pixels of one image, (H, W) or (H, W, 3) uint8; see :func:`decode`.

    Raises:
        LosstuneError: If it cannot be decoded.
    """
    try:
        with open_image() as image:
            return np.asarray(_as_grey_or_rgb(image, image_size))
    except Exception as error:  # decoders raise errors of nearly any type on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise LosstuneError(f"{name}: not a readable image ({reason}); {SKIP}") from None


def _as_grey_or_rgb(image: Image.Image, image_size: int | None) -> Image.Image:
    if image_size is not None:
        # JPEG only: decode at reduced size, but at least twice the target size.
        image.draft(image.mode, (2 * image_size, 2 * image_size))
    if "exif" in image.info and image.getexif().get(_ORIENTATION_TAG, 1) != 1:
        image = ImageOps.exif_transpose(image)
    image = _convert(image)
    if image_size is not None and image.size != (image_size, image_size):
        image = image.resize((image_size, image_size), Image.Resampling.BILINEAR)
    return image


def _convert(image: Image.Image) -> Image.Image:
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        target = "L" if image.mode in {"L", "LA", "La"} else "RGB"
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert(target)
    if image.mode in {"L", "RGB"}:
        return image
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        # Pillow's own conversion clips at 255 instead of scaling.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in {"I", "F"}:
        raise ValueError(f"32-bit pixels (mode {image.mode}); expected 8 or 16 bits")
    if image.mode == "1" or (image.mode == "P" and _is_grey_palette(image)):
        return image.convert("L")
    return image.convert("RGB")


def _is_grey_palette(image: Image.Image) -> bool:
    colours = np.asarray(image.getpalette()).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())
