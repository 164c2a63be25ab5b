"""Which controls a block has, and with which configurations."""

from __future__ import annotations

import pytest

from losstune.config.load import load_params
from losstune.core.records import Configuration
from losstune.study.controls import controls_of
from losstune.study.plan_size import num_controls
from tests.paths import REPOSITORY

BASELINE = Configuration(loss="cross_entropy", hyperparameters={}, learning_rate=0.03, weight_decay=0.1)
IDENTITY = ("control", BASELINE.model_copy(update={"loss": "kl_divergence"}))
LOSSES = ("cross_entropy", "kl_divergence", "focal")


def settings(losses=LOSSES, **confirm):
    params = load_params(REPOSITORY / "params.yaml")
    return params.model_copy(update={"losses": losses, "confirm": params.confirm.model_copy(update=confirm)})


def test_the_first_block_trains_the_same_configuration_with_the_identical_loss():
    first, *_ = controls_of(settings(), BASELINE, 0)
    assert first == IDENTITY
    assert IDENTITY not in controls_of(settings(), BASELINE, 1)
    assert {role for role, _ in controls_of(settings(("cross_entropy", "focal")), BASELINE, 0)} == {"degraded"}


def test_the_degraded_baseline_has_a_hundredth_of_the_learning_rate():
    ((role, found),) = controls_of(settings(), BASELINE, 1)
    assert role == "degraded"
    assert found.learning_rate == pytest.approx(0.0003)
    assert found.model_copy(update={"learning_rate": 0.03}) == BASELINE
    assert list(controls_of(settings(positive_control=False), BASELINE, 0)) == [IDENTITY]


@pytest.mark.parametrize("num_blocks", [2, 16])
def test_as_many_controls_as_the_plan_counts(num_blocks):
    params = settings(num_blocks=num_blocks)
    found = [control for block in range(num_blocks) for control in controls_of(params, BASELINE, block)]
    assert len(found) == num_controls(params) == 1 + min(num_blocks, 8)
