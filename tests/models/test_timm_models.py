"""Models of timm: fitted to the data, and their weights in made-up caches."""

from __future__ import annotations

import sys

import pytest
import torch
from safetensors.torch import save_file

from losstune.config.settings import ModelSettings
from losstune.core.errors import LosstuneError
from losstune.models import build_model, validate_model_name, weights_files
from losstune.models.build import without_weights
from losstune.models.fitting import require_fit

timm = pytest.importorskip("timm")
huggingface_hub = pytest.importorskip("huggingface_hub")

QUICK = [
    ("resnet18", (3, 32, 32)),
    ("resnet18.a1_in1k", (1, 32, 32)),
    ("mobilenetv3_small_050", (4, 32, 32)),
    ("vit_tiny_patch16_224", (3, 32, 48)),
]
STATE = {"conv1.weight": torch.ones(2)}


@pytest.fixture
def caches(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def published(folder, repository, revision="0" * 40):
    place = folder / "hub" / f"models--{repository.replace('/', '--')}"
    (place / "snapshots" / revision).mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(revision)
    return place / "snapshots" / revision


@pytest.mark.parametrize(("name", "shape"), QUICK)
def test_fits_the_data(name, shape):
    torch.manual_seed(0)
    validate_model_name(f"timm:{name}")
    model = build_model(ModelSettings(name=f"timm:{name}"), shape, 5)
    assert model.training
    with torch.no_grad():
        logits = model.eval()(torch.randn(2, *shape))
    assert logits.shape == (2, 5)
    assert logits.any(dim=1).all(), "a head at zero has no gradient under normalised logits"


def test_the_architecture_is_timms():
    model = build_model(ModelSettings(name="timm:resnet18"), (3, 64, 64), 5)
    theirs = timm.create_model("resnet18", num_classes=5)
    assert {name: value.shape for name, value in model.state_dict().items()} == {
        name: value.shape for name, value in theirs.state_dict().items()
    }


def test_a_check_makes_no_weights():
    state = torch.random.get_rng_state()
    with without_weights():
        model = build_model(ModelSettings(name="timm:resnet18"), (3, 64, 64), 5)
    assert all(parameter.is_meta for parameter in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:resnet81", "timm has no model 'resnet81'; did you mean 'resnet18'"),
        ("timm:resnet18.a1_in1", "timm has no weights 'a1_in1' of 'resnet18', expected a1_in1k, .* mean 'a1_in1k'"),
    ],
)
def test_an_unknown_name_gets_the_nearest(name, message):
    with pytest.raises(LosstuneError, match=message):
        validate_model_name(name)


@pytest.mark.parametrize(("name", "side"), [("inception_v3", 40), ("maxvit_nano_rw_256", 8), ("gmlp_s16_224", 8)])
def test_images_that_do_not_fit_are_an_error(name, side):
    settings = ModelSettings(name=f"timm:{name}")
    with pytest.raises(LosstuneError, match=rf"'timm:{name}' can't take \w+ of 3x{side}x{side}: ") as caught:
        require_fit(settings, (3, side, side), 5, batch_size=4, heads={"cross_entropy": {}})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "weights", "tag"),
    [
        ("resnet18.a2_in1k", "DEFAULT", "a2_in1k"),
        ("resnet18", "a3_in1k", "a3_in1k"),
        ("resnet18", "DEFAULT", "a1_in1k"),
    ],
)
def test_a_tag_is_that_of_the_weights_or_of_the_name_or_timms_own(name, weights, tag, caches):
    settings = ModelSettings(name=f"timm:{name}", weights=weights)
    place = published(caches, f"timm/resnet18.{tag}")
    with pytest.raises(LosstuneError, match=rf"is not on this machine, expected timm/resnet18\.{tag} in the cache"):
        weights_files.find(settings)
    save_file(STATE, place / "model.safetensors")
    assert weights_files.find(settings) == place / "model.safetensors"
    assert weights_files.read(settings).keys() == STATE.keys()


def test_a_file_in_the_cache_of_torch_counts_if_its_hash_does(caches):
    settings = ModelSettings(name="timm:resnet18", weights="a1_in1k")
    url = timm.models.get_pretrained_cfg("resnet18.a1_in1k").url
    path = caches / "torch" / "hub" / "checkpoints" / url.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    torch.save(STATE, path)
    with pytest.raises(LosstuneError, match="is damaged: the hash in its name is d63eafa0"):
        weights_files.find(settings)


def test_without_timm_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(LosstuneError, match=r"needs timm, which is not installed; `pip install 'losstune\[timm\]'`"):
        validate_model_name("timm:resnet18")
