"""The numeric precision of a training."""

from __future__ import annotations

import torch

from losstune.config.settings import ModelSettings, TrainingSettings


def resolve_precision(training: TrainingSettings, model: ModelSettings, device: str) -> TrainingSettings:
    """Replace precision ``"auto"`` by bfloat16 if it is faster, else by float32.

    On a GPU, bfloat16 is faster for every convolutional network; on a CPU only for deep ones, and only if the CPU
    multiplies bfloat16 in hardware.
    """
    if training.precision != "auto":
        return training
    if training.loop is not None:  # which decides itself
        return training.model_copy(update={"precision": "float32"})
    deep = model.name in {"resnet", "resnet9"} or model.library is not None
    if device == "cuda":
        pays = model.name != "mlp" and torch.cuda.is_bf16_supported()
    else:
        pays = deep and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and _cpu_multiplies_bfloat16()
    return training.model_copy(update={"precision": "bfloat16" if pays else "float32"})


def _cpu_multiplies_bfloat16() -> bool:
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("amx_tile"))
