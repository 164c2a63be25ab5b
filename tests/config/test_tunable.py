"""Which settings may have a search range, and what a range may be."""

import re
from typing import get_type_hints

import pytest

from losstune.config.settings import ModelSettings, TrainingSettings
from losstune.config.tunable import require_tunable, tunable


def test_every_number_of_the_training_and_no_count():
    found = tunable()
    training = {name for name, section in found.items() if section is TrainingSettings}
    assert {"momentum", "warmup_fraction", "clip_norm", "ema", "step_factor"} <= training
    hints = get_type_hints(TrainingSettings)
    for name in training:
        assert hints[name] in (float, float | None)
    assert not training & {"epochs", "batch_size", "accumulation", "patience", "betas", "step_every", "optimizer"}
    assert found.keys() - training <= {"backbone_factor"}
    assert ("backbone_factor" in found) == ("backbone_factor" in ModelSettings.model_fields)


def test_ranges_that_are_allowed():
    require_tunable({"momentum": (0.0, 0.99), "ema": (0.9, 0.9999), "clip_norm": (0.1, 10.0)})


@pytest.mark.parametrize(
    ("name", "ends", "message"),
    [
        ("momentum", (0.5, 1.0), "search_space.training.momentum.high: found 1.0, expected a number in [0, 1)"),
        ("clip_norm", (0.0, 1.0), "search_space.training.clip_norm.low: found 0.0, expected a number > 0.0 or null"),
        (
            "momentun",
            (0.5, 0.9),
            "search_space.training: unknown setting 'momentun'; did you mean 'momentum'? (allowed",
        ),
        ("epochs", (1, 2), "search_space.training: unknown setting 'epochs' (allowed here: momentum,"),
    ],
)
def test_a_mistake(name, ends, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        require_tunable({name: ends})
