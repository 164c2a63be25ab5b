from __future__ import annotations

import math

import pytest

from losstune.training.metrics import METRICS
from losstune.verdict import wording


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        (wording.points, (0.0023,), "+0.23"),
        (wording.points, (-0.0123,), "-1.23"),
        (wording.points, (-0.00001,), "+0.00"),
        (wording.interval, (-0.001, 0.005), "[-0.10, +0.50]"),
        (wording.interval, (-math.inf, math.inf), "[unbounded]"),
        (wording.interval, (-math.inf, 0.1), "[unbounded]"),
        (wording.interval, (0.1, math.inf), "[unbounded]"),
        (wording.score, ("accuracy", 0.97222), "97.22%"),
        (wording.score, ("nll", 0.10449), "0.104"),
        (wording.score, ("nll", math.inf), "∞"),
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
        (wording.is_zero, (0.00004,), True),
        (wording.is_zero, (-0.00004,), True),
        (wording.is_zero, (0.00006,), False),
        (wording.is_zero, (1.0,), False),
        (wording.enumeration, (["a"],), "a"),
        (wording.enumeration, (["a", "b", "c"],), "a, b and c"),
        (wording.number, (0.0031623,), "0.00316"),
    ],
)
def test_wording(function, arguments, expected):
    assert function(*arguments) == expected


def test_every_metric_has_a_name_and_a_unit():
    assert list(wording.METRIC_NAMES) == list(METRICS)
    assert {name for name, metric in METRICS.items() if metric.bounds == (0.0, 1.0)} == wording.PERCENTAGES


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
    assert wording.further_blocks_short(amount) == short
