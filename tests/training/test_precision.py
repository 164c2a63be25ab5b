"""Which number format ``auto`` stands for, on machines that a test makes up."""

from __future__ import annotations

import pytest
import torch

from losstune.config.settings import ModelSettings
from losstune.training.precision import resolve_precision
from tests.small import small_task

TRAINING = small_task().training.model_copy(update={"precision": "auto"})


def machine(monkeypatch, *, gpu=False, library=False, **cpu):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: gpu)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: library)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu, raising=False)


def resolved(model, device):
    found = resolve_precision(TRAINING, ModelSettings(name=model, width=8, depth=1), device)
    assert found.model_copy(update={"precision": "auto"}) == TRAINING
    return found.precision


def test_what_is_chosen_stays():
    for precision in ("bfloat16", "float32"):
        chosen = TRAINING.model_copy(update={"precision": precision})
        assert resolve_precision(chosen, small_task().model, "cpu") is chosen


@pytest.mark.parametrize(
    ("model", "gpu", "expected"),
    [
        ("cnn", True, "bfloat16"),
        ("resnet", True, "bfloat16"),
        ("torchvision:resnet18", True, "bfloat16"),
        ("mlp", True, "float32"),
        ("cnn", False, "float32"),
    ],
)
def test_on_a_gpu_networks_that_convolve_train_in_bfloat16(monkeypatch, model, gpu, expected):
    machine(monkeypatch, gpu=gpu)
    assert resolved(model, "cuda") == expected


@pytest.mark.parametrize("feature", ["avx512_bf16", "amx_bf16", "amx_tile"])
@pytest.mark.parametrize(
    ("model", "expected"),
    [("resnet", "bfloat16"), ("torchvision:resnet18", "bfloat16"), ("cnn", "float32"), ("mlp", "float32")],
)
def test_on_a_cpu_deep_networks_do_where_it_multiplies_bfloat16(monkeypatch, feature, model, expected):
    machine(monkeypatch, library=True, **{feature: True})
    assert resolved(model, "cpu") == expected


def test_a_cpu_that_cannot_or_does_not_say_trains_in_float32(monkeypatch):
    machine(monkeypatch, gpu=True, library=True, avx512_bf16=False, avx512_f=True)
    assert resolved("resnet", "cpu") == "float32"
    machine(monkeypatch, gpu=True, library=False, avx512_bf16=True)
    assert resolved("resnet", "cpu") == "float32"
    machine(monkeypatch, gpu=True, library=True)
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert resolved("resnet", "cpu") == "float32"
