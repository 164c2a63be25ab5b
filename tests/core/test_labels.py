import numpy as np
import pytest

from losstune.core.labels import pack, unpack


@pytest.mark.parametrize(("largest", "width"), [(0, "1"), (255, "1"), (256, "2"), (65_536, "4")])
def test_labels_survive(largest, width):
    labels = np.array([largest, 0, largest // 2])
    assert pack(labels).startswith(f"{width}:")
    np.testing.assert_array_equal(unpack(pack(labels)), labels)


@pytest.mark.parametrize("text", ["", "AAEC", "3:AAEC"])
def test_what_is_no_pack_is_refused(text):
    with pytest.raises(ValueError, match="packed labels"):
        unpack(text)
