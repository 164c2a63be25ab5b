"""What `losstune check` tells of the data before it is read."""

import numpy as np
import pytest
from PIL import Image

from losstune.config.data import DataSettings
from losstune.core.errors import LosstuneError
from losstune.stages.data_rows import data_rows
from tests.data.test_imagefolder import fill, put
from tests.data.test_sources import settings


def rows(name: str, root: object = "nowhere") -> list[tuple[str, str]]:
    chosen: DataSettings = settings(name, root)
    return data_rows(chosen, "params.yaml")


@pytest.mark.parametrize("name", ["digits", "npz", "imagefolder", "CIFAR10"])
def test_data_that_is_not_there_yet_is_only_named(name):
    assert rows(name) == [("data", name)]


def test_the_classes_of_a_folder_and_what_is_not_read(tmp_path, monkeypatch):
    fill(tmp_path / "train")
    put(tmp_path / "test/0.png")
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("opened an image"))
    (name, text), *notes = rows("imagefolder", tmp_path)
    assert (name, text) == ("data", "imagefolder: 2 classes: ant, bee")
    assert any("test/ is not read" in note for _, note in notes)


def test_arrays_that_are_not_read(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 2)), y=[0, 1, 0, 1], groups=[1, 2, 3, 4])
    assert any("Not read: array groups." in note for _, note in rows("npz", tmp_path / "a.npz"))


def test_data_that_is_there_and_unfit_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(LosstuneError, match=r"a\.csv: cannot be read as \.npz: found a table of text"):
        rows("npz", tmp_path / "a.csv")
    for split in ("train_set", "test_set"):
        put(tmp_path / "birds" / split / "0.png")
    with pytest.raises(LosstuneError, match="train_set and test_set look like splits"):
        rows("imagefolder", tmp_path / "birds")
