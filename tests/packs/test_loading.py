import re

import pytest

from losstune.core.errors import LosstuneError
from losstune.packs.loading import load_pack


def test_a_pack_of_ones_own_is_a_folder(values, write_pack, tmp_path):
    pack = load_pack(str(write_pack(values)))
    assert pack.name == "mine"
    assert list(pack.cells) == ["clean", "noisy", "published"]
    clean, noisy, _ = (cell.params for cell in pack.cells.values())
    assert noisy.data.label_noise == 0.4
    assert clean.data.label_noise == 0.0
    assert clean.study.seed != noisy.study.seed
    assert clean.study.name == "mine-clean"
    given = load_pack(str(tmp_path / "mine"), tmp_path / "elsewhere")
    assert given.cells["published"].params.data.root == str(tmp_path / "elsewhere")
    assert given.content.sources[0].short == "Author & Writer 2020"
    assert given.content.sources[0].full == "Ann Author, Ben Writer (2020). A study. https://a.org."


def test_paths_of_a_pack_start_in_its_folder(values, write_pack):
    values["cells"]["noisy"]["params"] = {"data": {"name": "npz", "root": "own.npz"}}
    folder = write_pack(values)
    assert load_pack(str(folder)).cells["noisy"].params.data.root == str(folder / "own.npz")


def test_mlflow_is_off_unless_a_pack_switches_it_on(values, write_pack):
    assert not load_pack(str(write_pack(values))).cells["clean"].params.tracking.enabled
    values["params"]["tracking"] = {"enabled": True}
    assert load_pack(str(write_pack(values))).cells["clean"].params.tracking.enabled


def set_at(values, path, value):
    *sections, last = path
    for part in sections:
        values = values[part]
    if value is None:
        del values[last]
    else:
        values[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["title"], None, r"title.*missing"),
        (["claims", 0, "cell"], "clean", r"claims\[0\].*cell"),
        (["claims", 0, "cells"], ["claen"], r"claims\[0\]\.cells: found 'claen', expected .* did you mean 'clean'"),
        (["claims", 0, "direction"], "beter", r"claims\[0\]\.direction: found 'beter', .* did you mean 'better'"),
        (["claims", 0, "loss"], "gce", r"claims\[0\]\.loss: found 'gce', expected a loss of the cell clean"),
        (["claims", 0, "loss"], "cross_entropy", r"claims\[0\]\.loss: found 'cross_entropy', which is what"),
        (["claims", 0, "versus"], "focal", r"claims\[0\]\.versus: found 'focal', expected the baseline of the cell"),
        (["claims", 0, "metric"], "nll", r"claims\[0\]\.metric: found 'nll', expected the metric of the cell"),
        (["claims", 1, "id"], "focal", r"claims\[0\]\.id: 'focal' is given twice"),
        (["sources", 0, "url"], None, r"sources\[0\]: expected one of venue, arxiv, doi and url"),
        (["sources", 0, "arxiv"], "17.2", r"sources\[0\]\.arxiv: found '17\.2', expected an identifier in quotes"),
        (["params", "model", "nmae"], "cnn", r"cells\.clean: unknown key 'model\.nmae'; did you mean 'name'"),
        (["cells", "noisy", "params"], {"data": {"name": "CIFAR10"}}, r"cells\.noisy: data\.name: found 'CIFAR10'"),
        (["cells", "a/b"], {}, r"cells.*a name of letters"),
    ],
)
def test_a_mistake_is_told_in_one_line(path, value, message, values, write_pack):
    set_at(values, path, value)
    folder = write_pack(values)
    with pytest.raises(LosstuneError, match=message) as caught:
        load_pack(str(folder))
    assert str(caught.value).startswith(str(folder / "pack.yaml"))
    assert "\n" not in str(caught.value)


def test_an_unknown_pack_is_told_with_the_nearest_name():
    with pytest.raises(LosstuneError, match=re.escape("found 'hui-2012'") + ".*did you mean 'hui-2021'"):
        load_pack("hui-2012")
