"""Pack class labels into a short text for JSON rows."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray


def pack(labels_N: NDArray[np.int64]) -> str:
    """Return labels as base64 text of unsigned integers of the smallest sufficient width.

    The text starts with the width in bytes: ``1:AAEC``. It is the same on every machine.

    Args:
        labels_N: Class indices, not negative.

    Example:
        >>> pack(np.array([0, 1, 2]))
        '1:AAEC'
        >>> unpack('1:AAEC')
        array([0, 1, 2])
    """
    width = next(width for width in (1, 2, 4) if labels_N.max(initial=0) < 256**width)
    return f"{width}:{base64.b64encode(labels_N.astype(f'<u{width}').tobytes()).decode('ascii')}"


def unpack(text: str) -> NDArray[np.int64]:
    """Return the labels that :func:`pack` encoded.

    Raises:
        ValueError: If the text was not written by :func:`pack`.
    """
    width, _, content = text.partition(":")
    if width not in ("1", "2", "4"):
        raise ValueError(f"expected packed labels, such as '1:AAEC', found {text[:20]!r}")
    return np.frombuffer(base64.b64decode(content, validate=True), dtype=f"<u{width}").astype(np.int64)
