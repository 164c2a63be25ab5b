"""Images as small PNG data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from losstune.data.encoded import Images

MOST_PIXELS = 64
"""Side in pixels. Larger images are reduced to it."""

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def thumbnails(images: Images, indices: Iterable[int]) -> dict[int, str]:
    """Return chosen images by index as data URIs of PNG files, the same bytes for the same images.

    uint8 images with a value above 127 are not changed. Other values are scaled so that the lowest
    among the chosen images is black and the highest white.

    Args:
        images: (N, C, H, W), uint8 or float32. Of 2 channels, or more than 4, the first is shown.
        indices: Indices of the images.
    """
    indices = list(dict.fromkeys(indices))
    if not indices:
        return {}
    chosen = np.stack([np.array(images[index]) for index in indices]).astype(np.float64)
    low, high = float(chosen.min()), float(chosen.max())
    if images.dtype == np.uint8 and high > 127:
        low, high = 0.0, 255.0
    pixels = np.clip(255.0 * (chosen - low) / ((high - low) or 1.0), 0, 255).round().astype(np.uint8)
    return {index: _uri(image) for index, image in zip(indices, pixels, strict=True)}


def _uri(pixels_CHW: NDArray[np.uint8]) -> str:
    mode = _MODES.get(len(pixels_CHW))
    pixels = pixels_CHW[0] if mode in (None, "L") else np.moveaxis(pixels_CHW, 0, -1)
    image = Image.fromarray(np.ascontiguousarray(pixels), mode or "L")
    if max(image.size) > MOST_PIXELS:
        image.thumbnail((MOST_PIXELS, MOST_PIXELS))
    file = io.BytesIO()
    image.save(file, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
