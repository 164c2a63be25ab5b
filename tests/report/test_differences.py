from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from losstune.report.differences import difference_limits, difference_rows, differences_svg
from tests.report.studies import EQUALS, make_study
from tests.verdict.test_pipeline import CROSS_ENTROPY, GATED, shifted

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg):
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter(f"{SVG}text")]


def test_differences_name_every_loss_but_the_baseline_with_numbers_and_outcome():
    svg = differences_svg(make_study(GATED, without_winner=["apl"]).results())
    found = texts(svg)
    for text in ("focal", "kl_divergence", "+2.00 [+2.00, +2.00]", "better", "identical loss"):
        assert text in found
    assert "cross_entropy" not in found
    assert "apl" not in found


def test_differences_are_sorted_with_the_best_on_top():
    scores = {"cross_entropy": CROSS_ENTROPY, "low": shifted(-0.02), "high": shifted(0.03), "mid": shifted(0.01)}
    root = ET.fromstring(differences_svg(make_study(scores).results()))
    heights = {"".join(node.itertext()): float(node.get("y")) for node in root.iter(f"{SVG}text")}
    assert heights["high"] < heights["mid"] < heights["low"]


def test_one_far_loss_does_not_squeeze_the_others():
    scores = {"cross_entropy": CROSS_ENTROPY, "far": shifted(-0.8)} | {
        f"near{i}": shifted(0.001 * i, (0.002, -0.002)) for i in range(1, 6)
    }
    results = make_study(scores).results()
    low, high = difference_limits(results)
    assert -0.05 < low < 0 < high < 0.05
    assert "−80.00 [−80.00, −80.00]" in texts(differences_svg(results))


def test_unbounded_intervals_can_be_drawn():
    svg = differences_svg(make_study({k: v[:3] for k, v in GATED.items()}).results())
    assert "+2.00 [unbounded]" in texts(svg)


def test_controls_stand_below_the_losses():
    scores = GATED | {"gce": shifted(-0.01), "gce_twin": shifted(-0.012)}
    results = make_study(scores, equals=EQUALS | {"gce_twin": "gce"}).results()
    rows = difference_rows(results)
    assert [(row.name, row.kind) for row in rows[-2:]] == [
        ("gce_twin − gce", "identical losses"),
        ("degraded baseline", "positive control"),
    ]
    assert rows[-2].difference.mean == pytest.approx(-0.002)
    assert rows[-1].difference == results.control.positive.difference
    assert [row.kind for row in rows if row.name in ("kl_divergence", "gce_twin")] == [
        "identical loss",
        "identical loss",
    ]


def test_the_crippled_baseline_widens_no_axis_and_has_its_number():
    with_it, without = (make_study(GATED, degraded=score).results() for score in (0.2, None))
    assert difference_limits(with_it) == difference_limits(without)
    found = texts(differences_svg(with_it))
    assert {"degraded baseline", "positive control"} <= set(found)
    assert any(text.startswith("−70.88 [") for text in found)  # 0.2 less the mean of the first eight blocks
    assert "degraded baseline" not in texts(differences_svg(without))
