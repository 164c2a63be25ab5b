from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from losstune.losses import get
from losstune.losses.registry import registry
from losstune.losses.tools.gallery import curve, curve_at_norm, figure_svg, is_scale_free


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


def test_only_a_loss_on_normalised_logits_depends_on_their_direction_alone():
    assert [name for name, spec in registry().items() if is_scale_free(spec.bind(), 7)] == ["logit_norm"]
    assert is_scale_free(get("logit_norm", tau=0.01), 2)


@pytest.mark.parametrize(("num_classes", "tau", "norm"), [(10, 0.56, 5.0), (2, 1.0, 0.1), (100, 0.04, 30.0)])
def test_at_a_norm_the_gradient_is_that_of_a_cross_entropy_without_its_radial_part(num_classes, tau, norm):
    """|dL/dz_y| = (1 - p) (1 - (m / m_max)^2) / (tau r), with p at temperature tau r: the mean logit averages out."""
    drawn = curve_at_norm(get("logit_norm", tau=tau), num_classes, norm)
    largest = norm * math.sqrt(num_classes / (num_classes - 1))
    assert (drawn.margins[0], drawn.margins[-1]) == pytest.approx((-largest, largest))
    m = np.array(drawn.margins)
    p = 1 / (1 + (num_classes - 1) * np.exp(-m / (tau * norm)))
    assert drawn.probabilities == pytest.approx(p, rel=1e-4)
    assert drawn.values == pytest.approx(-np.log(p), rel=1e-4)
    expected = (1 - p) * (1 - (m / largest) ** 2) / (tau * norm)
    assert drawn.gradients == pytest.approx(-expected, rel=1e-4, abs=1e-6 / (tau * norm))


def test_at_a_norm_the_points_have_that_norm():
    """By differences of the formula written out, at both signs of the mean logit."""
    tau, norm, num_classes, step = 0.3, 4.0, 5, 1e-6
    drawn = curve_at_norm(get("logit_norm", tau=tau), num_classes, norm)

    def loss(z):
        z = z / (tau * np.linalg.norm(z))
        return np.log(np.exp(z).sum()) - z[0]

    for place in (30, 200, 333):
        slopes = []
        for sign in (1, -1):
            # The others' logit b solves (b + m)^2 + (C - 1) b^2 = r^2.
            m = drawn.margins[place]
            b = (-m + sign * math.sqrt(m**2 - num_classes * (m**2 - norm**2))) / num_classes
            z = np.array([b + m, *[b] * (num_classes - 1)])
            assert np.linalg.norm(z) == pytest.approx(norm)
            ahead = np.array([step, *[0.0] * (num_classes - 1)])
            slopes.append((loss(z + ahead) - loss(z - ahead)) / (2 * step))
        assert drawn.gradients[place] == pytest.approx(np.mean(slopes), rel=1e-4)


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
