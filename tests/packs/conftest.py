"""A small pack of a user's own."""

import pytest
from ruamel.yaml import YAML


@pytest.fixture
def values():
    """What a valid ``pack.yaml`` says. Its study trains in seconds."""
    return {
        "title": "Focal loss against cross-entropy",
        "sources": [
            {"authors": ["Ann Author", "Ben Writer"], "year": 2020, "title": "A study", "url": "https://a.org"}
        ],
        "same": ["The losses."],
        "smaller": ["The data."],
        "params": {
            "model": {"name": "mlp", "width": 16, "depth": 1},
            "training": {"epochs": 3},
            "losses": ["cross_entropy", "kl_divergence", "focal"],
            "protocol": "replicated",
            "tune": {"trials_per_loss": 3},
            "confirm": {"num_blocks": 3},
            "resources": {"executor": "inline"},
        },
        "cells": {
            "clean": {"stand_in": "digits in place of everything"},
            "noisy": {"stand_in": "noisy digits in place of everything", "params": {"data": {"label_noise": 0.4}}},
            "published": {"needs": {"data": "the data", "path": "data.npz"}, "params": {"data": {"name": "npz"}}},
        },
        "claims": [
            {
                "id": "focal",
                "text": "Focal loss is better.",
                "place": "Table 1",
                "cells": ["clean", "noisy", "published"],
                "loss": "focal",
                "direction": "better",
                "published": {"loss": 90, "versus": 89.5, "unit": "% accuracy", "place": "Table 1"},
            },
            {
                "id": "kl",
                "text": "KL divergence is the same.",
                "place": "Table 2",
                "cells": ["clean"],
                "loss": "kl_divergence",
                "direction": "equivalent",
            },
        ],
    }


@pytest.fixture
def write_pack(tmp_path):
    """Write a pack into a folder; return the folder."""

    def write(values):
        folder = tmp_path / "mine"
        folder.mkdir(exist_ok=True)
        with (folder / "pack.yaml").open("w") as file:
            YAML(typ="safe", pure=True).dump(values, file)
        return folder

    return write
