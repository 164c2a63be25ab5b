from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest

from losstune.losses import get
from losstune.losses.tools.gallery import curve, figure_svg


def test_cross_entropy_along_the_margin_is_what_the_formula_says():
    drawn = curve(get("cross_entropy"), 10)
    for margin, p, value, pull in zip(drawn.margins, drawn.probabilities, drawn.values, drawn.gradients, strict=True):
        expected = 1 / (1 + 9 * math.exp(-margin))
        assert p == pytest.approx(expected)
        assert value == pytest.approx(-math.log(expected))
        assert pull == pytest.approx(expected - 1)
    assert (drawn.margins[0], drawn.margins[-1]) == (-8, 8)


def test_the_pull_of_a_function_of_p_is_its_weight():
    # |phi'(p)| p (1 - p) for phi = (1 - p^q) / q.
    drawn = curve(get("gce", q=0.3), 5)
    for p, pull in zip(drawn.probabilities, drawn.gradients, strict=True):
        assert -pull == pytest.approx(p ** (0.3 - 1) * p * (1 - p))


def test_logits_of_fixed_length_have_a_gradient_at_every_point():
    assert all(math.isfinite(value) and abs(value) < 1e3 for value in curve(get("logit_norm"), 10).gradients)


def test_cosines_stay_cosines():
    drawn = curve(get("cosface"), 10)
    assert (drawn.margins[0], drawn.margins[-1]) == (-1, 1)
    assert drawn.probabilities[-1] > 0.99


def test_a_figure_is_an_svg_with_a_legend_for_several():
    losses = {name: get(name) for name in ("focal", "gce")}
    text = figure_svg(losses)
    assert text == figure_svg(losses)
    words = ["".join(node.itertext()) for node in ET.fromstring(text).iter("{http://www.w3.org/2000/svg}text")]
    assert {"focal", "gce", "margin", "p_y", "dL/dz_y"} <= set(words)
    alone = ET.fromstring(figure_svg({"focal": get("focal")}))
    assert "focal" not in ["".join(node.itertext()) for node in alone.iter("{http://www.w3.org/2000/svg}text")]
