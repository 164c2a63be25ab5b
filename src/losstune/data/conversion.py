"""Arrays of a user as losstune stores them."""

from __future__ import annotations

import numpy as np

from losstune.core.errors import LosstuneError
from losstune.data.raw import Array


def as_stored(name: str, array: Array) -> Array:
    """Return samples as losstune stores them: images (N, C, H, W) in uint8 or float32, features (N, D) in float32.

    Args:
        name: Start of the error message, such as the file and the array.
        array: Images (N, H, W), (N, H, W, C) or (N, C, H, W), the channel axis being the smallest of the three, or
            features (N, D). Whole numbers from 0 to 255 become uint8.

    Raises:
        LosstuneError: If type, shape or values are others.
    """
    require_array(name, array)
    if array.dtype.kind not in "buif":
        raise LosstuneError(f"{name}: found type {array.dtype}, expected whole or real numbers")
    if array.ndim not in {2, 3, 4} or 0 in array.shape:
        raise LosstuneError(
            f"{name}: found shape {array.shape}, expected (N, D), (N, H, W), (N, H, W, C) or (N, C, H, W)"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise LosstuneError(f"{name}: found NaN or infinite values, expected finite ones")
    if array.ndim == 2:
        with np.errstate(over="ignore"):
            stored = array.astype(np.float32)
    else:
        channels_first = array[:, None] if array.ndim == 3 else _channels_first(name, array)
        is_byte = array.dtype.kind in "bui" and array.min() >= 0 and array.max() <= 255
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(channels_first, dtype=np.uint8 if is_byte else np.float32)
    if not np.isfinite(stored).all():
        raise LosstuneError(f"{name}: found values too large for float32")
    return stored


def _channels_first(name: str, array: Array) -> Array:
    _, first, middle, last = array.shape
    if last < min(first, middle):
        return array.transpose(0, 3, 1, 2)
    if first <= min(middle, last):
        return array
    raise LosstuneError(
        f"{name}: found shape {array.shape}, expected the channels in the second or the last place, "
        "and fewer than rows or columns"
    )


def require_array(name: str, array: object) -> None:
    """Check that a member of an archive is an array.

    Raises:
        LosstuneError: If it is not.
    """
    if not isinstance(array, np.ndarray):  # NumPy returns the bytes of other members of the archive
        raise LosstuneError(f"{name}: found no array; expected an array as numpy.savez writes it")


def describe(array: Array) -> str:
    """Return type and shape, for messages."""
    return f"{array.dtype} of shape {array.shape}"
