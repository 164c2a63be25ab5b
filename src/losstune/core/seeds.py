"""Independent random streams: a hash of one root seed and named coordinates."""

from __future__ import annotations

import hashlib
import json


def derive_seed(root: int, *coordinates: str | int) -> int:
    """Return a seed in [0, 2**63) that depends only on the root and the coordinates.

    Different coordinates give unrelated seeds. So the random streams of tuning and confirmation, of initialisation
    and data order, and of different blocks are independent by construction. The hash covers the coordinates' types
    and boundaries: ``("ab", "c")`` differs from ``("a", "bc")``, and ``1`` from ``"1"``.

    Args:
        root: The study's seed, ``study.seed`` in ``params.yaml``.
        coordinates: Purpose of the stream, from coarse to fine, such as ``"tune", "focal", 3`` or ``"confirm", 3``.

    Example:
        >>> derive_seed(0, "tune", "focal", 3) == derive_seed(0, "tune", "focal", 3)
        True
        >>> derive_seed(0, "tune", "focal", 3) == derive_seed(0, "confirm", 3)
        False
    """
    text = json.dumps([root, *coordinates])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
