import pickle

import numpy as np
import pytest

from losstune.core.errors import LosstuneError
from losstune.data.mapped import MappedFile


@pytest.fixture
def mapped(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    return np.load(tmp_path / "a.npy", mmap_mode="r")


def test_another_process_maps_the_same_content(mapped):
    file = pickle.loads(pickle.dumps(MappedFile.of(mapped)))
    found = file.open()
    assert isinstance(found, np.memmap)
    assert found.dtype == np.float32
    assert np.array_equal(found, mapped)
    assert not found.flags.writeable


def test_only_whole_mapped_arrays_have_a_file(mapped):
    for array in (np.array(mapped), mapped[1:], mapped[:, :2], mapped + 1):
        assert MappedFile.of(array) is None


def test_a_file_that_changed_meanwhile_is_one_line(mapped, tmp_path):
    file = MappedFile.of(mapped)
    np.save(tmp_path / "b.npy", np.zeros((2, 3, 4), np.float32))
    (tmp_path / "b.npy").replace(tmp_path / "a.npy")
    with pytest.raises(LosstuneError, match=r"a\.npy: changed while a stage ran; run `dvc repro` again$"):
        file.open()
    (tmp_path / "a.npy").unlink()
    with pytest.raises(LosstuneError, match=r"a\.npy: No such file or directory; was it removed while a stage ran\?$"):
        file.open()
