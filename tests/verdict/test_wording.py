from __future__ import annotations

import math

import pytest

from losstune.core.metric import METRICS
from losstune.verdict import wording

POINTS = wording.Units("accuracy", rope=0.005)
COST = wording.Units("cost", minimize=True, percent=False, rope=0.02)
MONEY = wording.Units("cost", minimize=True, percent=False, rope=50.0)
UNKNOWN = wording.Units("cost", percent=False)


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        (POINTS.difference, (0.0023,), "+0.23"),
        (POINTS.difference, (-0.0123,), "-1.23"),
        (POINTS.difference, (-0.00001,), "+0.00"),
        (POINTS.interval, (-0.001, 0.005), "[-0.10, +0.50]"),
        (POINTS.interval, (-math.inf, math.inf), "[unbounded]"),
        (POINTS.interval, (-math.inf, 0.1), "[unbounded]"),
        (POINTS.interval, (0.1, math.inf), "[unbounded]"),
        (POINTS.interval, (-0.0071, -0.00003), "[-0.71, -0.00]"),
        (POINTS.interval, (0.00003, 0.005), "[+0.00, +0.50]"),
        (POINTS.interval, (-0.0, 0.005), "[+0.00, +0.50]"),
        (POINTS.difference, (-0.00003,), "+0.00"),
        (wording.score, ("accuracy", 0.97222), "97.22%"),
        (wording.score, ("nll", 0.10449), "0.104"),
        (wording.score, ("nll", math.inf), "∞"),
        (wording.score, ("kappa", -0.04567), "-0.046"),
        (wording.score, ("auroc", 0.98765), "98.77%"),
        (wording.score, ("expected_cost", 1234.5678), "1235"),
        (wording.score, ("mean_iou", 0.5, True), "50.00%"),
        (wording.score, ("profit", 0.000123456, False), "0.0001235"),
        (wording.score, ("profit", -math.inf, False), "−∞"),
        (POINTS.score, (0.97222,), "97.22%"),
        (POINTS.amount, (-0.0123,), "1.23 points"),
        (POINTS.with_interval, (0.0031, 0.0008, 0.0056), "+0.31 [+0.08, +0.56]"),
        (COST.score, (0.10449,), "0.104"),
        (COST.score, (math.inf,), "∞"),
        (COST.difference, (-0.0449,), "-0.045"),
        (COST.difference, (-0.0004,), "+0.000"),
        (COST.is_zero, (0.0004,), True),
        (COST.is_zero, (0.0006,), False),
        (COST.amount, (-0.0449,), "0.045"),
        (MONEY.score, (12345.6,), "12346"),
        (MONEY.interval, (-120.4, 3.6), "[-120, +4]"),
        (UNKNOWN.score, (12345.6,), "1.235e+04"),
        (UNKNOWN.difference, (0.000123456,), "+0.0001235"),
        (wording.p_value, (0.0009,), "<0.001"),
        (wording.p_value, (0.0391,), "0.039"),
        (wording.p_value, (0.001,), "0.001"),
        (wording.seconds, (0.824,), "0.82 s"),
        (wording.seconds, (1,), "1.0 s"),
        (wording.seconds, (9.96,), "10.0 s"),
        (wording.seconds, (10,), "10 s"),
        (wording.seconds, (119,), "119 s"),
        (wording.seconds, (120,), "2.0 min"),
        (wording.seconds, (7199,), "120.0 min"),
        (wording.seconds, (7200,), "2.0 h"),
        (wording.seconds, (75.2,), "75 s"),
        (wording.seconds, (240,), "4.0 min"),
        (wording.seconds, (9000,), "2.5 h"),
        (wording.count, (1, "block"), "1 block"),
        (wording.count, (1200, "block"), "1,200 blocks"),
        (wording.count, (0, "block"), "0 blocks"),
        (wording.count, (1, "loss", "losses"), "1 loss"),
        (wording.count, (2, "loss", "losses"), "2 losses"),
        (wording.enumeration, ([],), ""),
        (wording.enumeration, (["a", "b"],), "a and b"),
        (POINTS.is_zero, (0.00004,), True),
        (POINTS.is_zero, (-0.00004,), True),
        (POINTS.is_zero, (0.00006,), False),
        (POINTS.is_zero, (1.0,), False),
        (wording.enumeration, (["a"],), "a"),
        (wording.enumeration, (["a", "b", "c"],), "a, b and c"),
        (wording.number, (0.0031623,), "0.00316"),
    ],
)
def test_wording(function, arguments, expected):
    assert function(*arguments) == expected


def test_a_fraction_is_shown_in_percent():
    assert {name for name, metric in METRICS.items() if metric.bounds == (0.0, 1.0)} == {
        name for name, metric in METRICS.items() if metric.percent
    }


def test_an_own_metric_has_the_name_of_its_function():
    assert [wording.metric_name(name) for name in ("macro_f1", "mean_iou")] == ["macro-F1", "mean_iou"]
    assert COST.axis == "cost (lower is better)"
    assert POINTS.axis == "accuracy, %"


@pytest.mark.parametrize(
    ("amount", "text", "short"),
    [
        (1, "about 1 more block", "+1"),
        (1000, "about 1,000 more blocks", "+1,000"),
        (1001, "over 1,000 more blocks", ">1,000"),
        (8484, "over 1,000 more blocks", ">1,000"),
    ],
)
def test_more_blocks_than_anyone_would_train_are_not_counted(amount, text, short):
    assert wording.further_blocks(amount) == text
    assert wording.further_short(amount, wording.MOST_BLOCKS) == short


@pytest.mark.parametrize(
    ("amount", "text", "short"),
    [
        (1, "about 1 more training", "+1"),
        (64, "about 64 more trainings", "+64"),
        (504, "about 500 more trainings", "+500"),
        (1077, "about 1,100 more trainings", "+1,100"),
        (20_000, "about 20,000 more trainings", "+20,000"),
        (20_001, "over 20,000 more trainings", ">20,000"),
    ],
)
def test_further_trainings_are_an_estimate_of_two_digits(amount, text, short):
    assert wording.further_trainings(amount) == text
    assert wording.further_short(amount, wording.MOST_TRAININGS) == short
