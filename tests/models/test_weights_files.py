"""Files of weights: formats, named weights in made-up caches, and files that are damaged or hostile."""

from __future__ import annotations

import hashlib
import os
import pickle
from enum import Enum
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from losstune.config.settings import ModelSettings
from losstune.core.errors import LosstuneError
from losstune.models import weights_files

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(2, dtype=torch.int64)}
HUB = {"name": "torchvision:resnet18", "weights": "IMAGENET1K_V1"}


def read(path, **settings):
    return weights_files.read(ModelSettings(weights=str(path), **settings))


def assert_is_the_state(found):
    assert found.keys() == STATE.keys()
    for name, value in STATE.items():
        assert np.array_equal(found[name], value.numpy())


@pytest.mark.parametrize("wrap", [dict, *({key: None} for key in ("state_dict", "model", "model_state_dict"))], ids=str)
@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_reads_a_state_dict_alone_or_below_a_key(wrap, suffix, tmp_path):
    content = STATE if wrap is dict else {next(iter(wrap)): STATE, "epoch": 3}
    torch.save(content, tmp_path / f"w{suffix}")
    assert_is_the_state(read(tmp_path / f"w{suffix}"))


def test_reads_safetensors_and_narrow_numbers_as_float32(tmp_path):
    save_file(STATE, tmp_path / "w.safetensors")
    assert_is_the_state(read(tmp_path / "w.safetensors"))
    save_file({"a": torch.tensor([1.5]).bfloat16()}, tmp_path / "half.safetensors")
    assert read(tmp_path / "half.safetensors")["a"].dtype == np.float32


def test_a_relative_path_is_one_of_the_study(tmp_path, monkeypatch):
    torch.save(STATE, tmp_path / "w.pt")
    monkeypatch.chdir(tmp_path)
    assert_is_the_state(read("w.pt"))


def test_a_process_reads_a_file_once_and_again_when_it_changed(tmp_path):
    path = tmp_path / "w.pt"
    torch.save(STATE, path)
    first = read(path)
    assert read(path) is first
    torch.save({"c": torch.ones(9)}, path)
    os.utime(path, ns=(1, 1))
    assert read(path).keys() == {"c"}


def test_the_identity_is_the_content(tmp_path):
    for name in ("one.pt", "other.pt"):
        (tmp_path / name).write_bytes(b"some bytes")
    found = {weights_files.digest_of(ModelSettings(weights=str(tmp_path / name))) for name in ("one.pt", "other.pt")}
    assert found == {hashlib.sha256(b"some bytes").hexdigest()}


class _Hostile:
    def __reduce__(self):
        return (os.mkdir, ("harm",))


def test_no_code_of_a_file_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": _Hostile()}, "w.pt")
    with pytest.raises(LosstuneError, match=r"w\.pt holds more than tensors, and loading it would run code"):
        read("w.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(_Hostile()))
    with pytest.raises(LosstuneError, match=r"plain\.pt"):
        read("plain.pt")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.pt", b"", "w.pt can't be read"),
        ("w.pt", b"no tensors at all", "w.pt "),
        ("w.safetensors", b"12345678901", "is not a complete safetensors file"),
    ],
)
def test_a_damaged_file_is_one_line(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LosstuneError, match=message) as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("content", "found"), [({"epoch": 3}, "a dictionary with epoch"), ([1], "a list")])
def test_a_file_without_a_state_dict_is_one_line(content, found, tmp_path):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(LosstuneError, match=f"has no state dict: found {found}, expected names with tensors"):
        read(tmp_path / "w.pt")


def test_a_missing_file_gets_the_nearest(tmp_path):
    torch.save(STATE, tmp_path / "weights.pt")
    with pytest.raises(LosstuneError, match=r"wieghts.pt does not exist; did you mean 'weights.pt'\?"):
        read(tmp_path / "wieghts.pt")
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(LosstuneError, match="is a folder"):
        read(tmp_path / "folder.pt")


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Weights of torchvision at a made-up address, and an empty cache of torch.hub; their path in that cache."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    torch.save(STATE, tmp_path / "new.pth")
    name = f"made_up-{hashlib.sha256((tmp_path / 'new.pth').read_bytes()).hexdigest()[:8]}.pth"
    (tmp_path / "new.pth").rename(tmp_path / name)
    weights = SimpleNamespace(url=(tmp_path / name).as_uri())
    enum = Enum("Weights", {"IMAGENET1K_V1": weights, "DEFAULT": weights})
    monkeypatch.setattr(enum, "url", property(lambda self: self.value.url), raising=False)
    monkeypatch.setattr(torchvision.models, "get_model_weights", lambda builder: enum)
    return tmp_path / "home" / "hub" / "checkpoints" / name


def test_named_weights_are_read_from_the_cache(published, tmp_path):
    published.parent.mkdir(parents=True)
    (tmp_path / published.name).rename(published)
    assert_is_the_state(weights_files.read(ModelSettings(**HUB)))
    assert_is_the_state(weights_files.read(ModelSettings(**(HUB | {"weights": "DEFAULT"}))))


def test_named_weights_are_downloaded_only_if_that_is_allowed(published):
    with pytest.raises(LosstuneError, match=f"not on this machine, expected {published}; model.download: true"):
        weights_files.read(ModelSettings(**HUB))
    assert not published.exists()
    assert_is_the_state(weights_files.read(ModelSettings(**HUB, download=True)))
    assert published.exists()


def test_a_damaged_file_in_the_cache_is_found_by_the_hash_in_its_name(published):
    published.parent.mkdir(parents=True)
    published.write_bytes(b"half of it")
    with pytest.raises(LosstuneError, match="is damaged: the hash in its name is"):
        weights_files.read(ModelSettings(**HUB))


def test_a_download_that_fails_is_one_line(published, tmp_path):
    (tmp_path / published.name).write_bytes(b"another content")
    with pytest.raises(LosstuneError, match=r"model\.weights: can't download file:"):
        weights_files.read(ModelSettings(**HUB, download=True))
    assert not published.exists()


def test_torchvisions_own_names_lead_to_its_addresses(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    with pytest.raises(LosstuneError, match=f"{tmp_path}/hub/checkpoints/{file}"):
        weights_files.read(ModelSettings(**HUB))
    with pytest.raises(LosstuneError, match=r"found 'IMAGENET1K_V3'.*did you mean 'IMAGENET1K_V1'"):
        weights_files.read(ModelSettings(**(HUB | {"weights": "IMAGENET1K_V3"})))


def test_old_names_of_densenet_are_those_of_its_layers(tmp_path):
    expected = torchvision.models.densenet121().state_dict()
    old = {
        name.replace("norm1", "norm.1").replace("conv2", "conv.2") if "denselayer" in name else name: value
        for name, value in expected.items()
    }
    assert old.keys() != expected.keys()
    torch.save(old, tmp_path / "w.pth")
    assert read(tmp_path / "w.pth").keys() == expected.keys()
