"""Independent random streams: a hash of one root seed and named coordinates."""

from __future__ import annotations

import hashlib
import json


def derive_seed(root: int, *coordinates: str | int) -> int:
    """Return a seed in [0, 2**63) that depends on the root and on every coordinate, and on nothing else.

    Two calls with different coordinates give unrelated seeds, so the streams of tuning and confirming,
    of initialisation and data order, of one block and the next, are independent by construction. The
    coordinates are hashed with their types and borders: ``("ab", "c")`` differs from ``("a", "bc")`` and
    ``1`` from ``"1"``.

    Args:
        root: The study's seed, ``study.seed`` in ``params.yaml``.
        coordinates: What the stream is for, from coarse to fine, such as ``"tune", "focal", 3`` or ``"confirm", 3``.

    Example:
        >>> derive_seed(0, "tune", "focal", 3) == derive_seed(0, "tune", "focal", 3)
        True
        >>> derive_seed(0, "tune", "focal", 3) == derive_seed(0, "confirm", 3)
        False
    """
    text = json.dumps([root, *coordinates])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
