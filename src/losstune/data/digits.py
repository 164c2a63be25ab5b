"""The handwritten digits that ship with scikit-learn: real data that needs no download."""

from __future__ import annotations

import numpy as np

from losstune.data.raw import RawData


def load() -> RawData:
    """Return the 1,797 digits, ``(1797, 1, 8, 8)`` uint8 with values 0 to 16.

    Source: E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI, 1998 (its test part).
    """
    # Imported here because it takes a second and the other sources do not need it.
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return RawData(
        images=np.ascontiguousarray(bunch.images[:, None], dtype=np.uint8),
        labels=bunch.target.astype(np.int64),
        class_names=tuple(str(name) for name in bunch.target_names),
    )
