"""Decode many images in parallel into one compact array."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image, ImageOps

from losstune.core.errors import LosstuneError
from losstune.data.raw import Array, ReportProgress

Open = Callable[[int], Image.Image]
Allocate = Callable[[tuple[int, ...]], Array]

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

    Raises:
        LosstuneError: If an image cannot be decoded, or sizes differ; the message names the image.
    """
    allocate = allocate or (lambda shape: np.empty(shape, dtype=np.uint8))
    first = _pixels(0, open_image, name_of, image_size)
    # Guess from the first image: nearly always right, and a wrong guess costs a second pass.
    num_channels = 1 if first.ndim == 2 else 3
    while True:
        out = allocate((num_images, num_channels, *first.shape[:2]))
        try:
            with warnings.catch_warnings():
                # Pillow warns about minor defects, such as in EXIF data. Images that cannot be decoded are errors.
                warnings.filterwarnings("ignore", module=r"PIL\.")
                _fill(out, open_image, name_of, image_size, progress)
        except _ColourAfterGrey:
            num_channels = 3
            continue
        return out


class _ColourAfterGrey(Exception):  # noqa: N818 - a signal, not an error
    pass


def _fill(
    out: Array, open_image: Open, name_of: Callable[[int], str], image_size: int | None, progress: ReportProgress | None
) -> None:
    num_images = len(out)
    num_channels, height, width = out.shape[1:]

    def fill_block(start: int) -> int:
        stop = min(start + _BLOCK, num_images)
        for index in range(start, stop):
            pixels = _pixels(index, open_image, name_of, image_size)
            if pixels.shape[:2] != (height, width):
                raise LosstuneError(
                    f"{name_of(index)} is {pixels.shape[1]}x{pixels.shape[0]} pixels and "
                    f"{name_of(0)} is {width}x{height}; set data.image_size to resize all to one size"
                )
            if pixels.ndim == 2:
                out[index] = pixels
            elif num_channels == 3:
                out[index] = pixels.transpose(2, 0, 1)
            else:
                raise _ColourAfterGrey
        return stop

    pool = ThreadPoolExecutor(min(_num_cores(), _MAX_THREADS))
    try:
        for done in pool.map(fill_block, range(0, num_images, _BLOCK)):
            if progress is not None:
                progress(done, num_images)
    finally:
        pool.shutdown(cancel_futures=True)


def _pixels(index: int, open_image: Open, name_of: Callable[[int], str], image_size: int | None) -> Array:
    try:
        with open_image(index) as image:
            return np.asarray(_as_grey_or_rgb(image, image_size))
    except Exception as error:  # decoders raise errors of nearly any type on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise LosstuneError(f"{name_of(index)}: not a readable image ({reason})") from None


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


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
