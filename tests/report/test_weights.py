from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from losstune.report.weights import Weights, weights_of, weights_svg
from losstune.verdict.blocks import blocks_by_loss
from tests.report.studies import make_block, make_study
from tests.verdict.test_pipeline import CROSS_ENTROPY, GATED, shifted

SVG = "{http://www.w3.org/2000/svg}"


def weights(study):
    return weights_of(study.results(), blocks_by_loss(study.confirm))


def test_the_gradients_of_cross_entropy_and_gce_match_their_formulas():
    study = make_study({"cross_entropy": CROSS_ENTROPY, "gce": shifted(0.02)})
    found = {curve.loss: curve for curve in weights(study)}
    p = np.array(found["cross_entropy"].probabilities)
    assert np.all(np.diff(p) > 0)
    assert found["cross_entropy"].sizes == pytest.approx(1 - p)
    assert found["gce"].sizes == pytest.approx(p**0.7 * (1 - p))  # |phi'(p)| p (1 - p), phi = (1 - p^q) / q
    assert max(found["gce"].scaled()) == 1
    assert found["cross_entropy"].scaled_at(0.9) == pytest.approx(0.1, abs=1e-3)


def test_between_points_is_a_straight_line_and_beyond_them_level():
    curve = Weights(loss="a", label="a", probabilities=(0.2, 0.6), sizes=(4.0, 2.0))
    assert [curve.scaled_at(p) for p in (0.1, 0.2, 0.4, 0.6, 0.9)] == pytest.approx([1, 1, 0.75, 0.5, 0.5])


def test_a_curve_for_each_set_of_hyperparameters_and_none_for_unknown_losses():
    study = make_study({"cross_entropy": CROSS_ENTROPY, "not_in_the_catalogue": shifted(0.0)})
    results = study.results()
    blocks = blocks_by_loss(study.confirm)
    blocks["focal"] = [
        make_block("focal", block, 0.9, hyperparameters={"gamma": gamma}) for block, gamma in enumerate((1.0, 2.0, 1.0))
    ]
    focal = make_study(GATED).results().of("focal")
    results = results.model_copy(update={"losses": (*results.losses, focal)})
    found = weights_of(results, blocks)
    assert [curve.label for curve in found] == ["cross_entropy", "focal (gamma 1)", "focal (gamma 2)"]


def test_figure_names_the_two_in_focus_and_its_axes():
    study = make_study(GATED)
    svg = weights_svg(study.results(), weights(study))
    texts = ["".join(node.itertext()) for node in ET.fromstring(svg).iter(f"{SVG}text")]
    assert {"cross_entropy", "focal", "probability of the true class, p_y"} <= set(texts)
    assert "kl_divergence" not in texts
    assert weights_svg(study.results(), []).startswith("<?xml")
