"""A line of the database: what it may hold, and the scale on which verdicts are compared."""

import math

import numpy as np
import pytest
from pydantic import ValidationError

from losstune.advice.records import Noise, PastVerdict, compress
from tests.advice.made_up import data, verdict


def test_a_line_survives_json():
    line = verdict(points=1.5)
    assert PastVerdict.model_validate_json(line.model_dump_json()) == line


@pytest.mark.parametrize(
    "changes",
    [
        {"error": -1.0},
        {"error": 0.0},
        {"difference": math.nan},
        {"decision": "best"},
        {"rope": -0.1},
        {"schema_version": 2},
        {"colour": "red"},
        {"data": {**data().model_dump(), "num_classes": 1}},
        {"data": {**data().model_dump(), "imbalance": 0.5}},
    ],
)
def test_what_makes_no_sense_is_refused(changes):
    with pytest.raises(ValidationError):
        PastVerdict.model_validate(verdict().model_dump() | changes)


@pytest.mark.parametrize("values", [{"rate": 0.2}, {"kind": "symmetric"}, {"kind": "symmetric", "rate": 1.2}])
def test_noise_has_a_kind_and_a_rate_or_neither(values):
    with pytest.raises(ValidationError):
        Noise(**values)


def test_differences_count_in_units_of_the_rope():
    mean, error = verdict(points=0.001, error=0.1).compressed
    assert (mean, error) == (pytest.approx(0.002, rel=1e-3), pytest.approx(0.2, rel=1e-3))


def test_the_standard_error_is_that_of_the_compressed_difference():
    # By simulation: the spread of asinh of a normal estimate that is narrow.
    line = verdict(points=3.0, error=0.05)
    draws = np.arcsinh(np.random.default_rng(0).normal(3.0, 0.05, 200_000) / 0.5)
    assert line.compressed == (pytest.approx(draws.mean(), abs=1e-3), pytest.approx(draws.std(), rel=0.02))


def test_a_lower_score_is_better_where_the_metric_is_a_cost():
    assert verdict(points=-1.0, minimize=True).compressed[0] == verdict(points=1.0).compressed[0] > 0


def test_a_study_without_a_rope_has_the_usual_one():
    assert verdict(points=1.0, rope=0.0).compressed == verdict(points=1.0).compressed


def test_compression_keeps_the_order():
    values = np.linspace(-60, 60, 200)
    assert np.all(np.diff([compress(value) for value in values]) > 0)


@pytest.mark.parametrize("changes", [{"part": "control"}, {"error": None}, {"difference": None}])
def test_a_control_and_a_loss_without_a_number_are_no_evidence(changes):
    assert verdict().is_evidence
    assert not verdict().model_copy(update=changes).is_evidence
