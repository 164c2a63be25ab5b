from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from losstune.report.downloads import csv_files
from losstune.report.weights import Weights, norm_note, weights_of, weights_svg
from losstune.verdict.blocks import blocks_by_loss
from tests.report.material import diagnostics_of
from tests.report.pooled import make_pooled
from tests.report.studies import make_block, make_study
from tests.report.test_page import render
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
    curve = Weights(loss="a", probabilities=(0.2, 0.6), sizes=(4.0, 2.0))
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


TAUS = (0.5, 0.25)


def with_logit_norm(norms):
    """A study that logit_norm wins, with a tau for each search, and its results with these norms."""
    study = make_study({"cross_entropy": CROSS_ENTROPY, "logit_norm": shifted(0.02)})
    study.tune, study.confirm = (
        [
            record.model_copy(
                update={
                    "configuration": record.configuration.model_copy(
                        update={"hyperparameters": {"tau": TAUS[record.search]}}
                    )
                }
            )
            if record.configuration.loss == "logit_norm"
            else record
            for record in records
        ]
        for records in (study.tune, study.confirm)
    )
    made = study.results

    def results():
        found = made()
        losses = [
            loss.model_copy(update={"output_norms": norms}) if loss.loss == "logit_norm" else loss
            for loss in found.losses
        ]
        return found.model_copy(update={"losses": tuple(losses)})

    study.results = results
    return study


def test_a_loss_on_normalised_outputs_has_the_gradient_of_their_norm():
    """Of three classes (1 - p) (1 - (m / m_max)^2) / (tau r), with the margin m = tau r log(2 p / (1 - p))."""
    found = [curve for curve in weights(with_logit_norm({"0.0": 4.0, "1.0": 8.0})) if curve.loss == "logit_norm"]
    assert [curve.label for curve in found] == ["logit_norm (tau 0.5, norm 4)", "logit_norm (tau 0.25, norm 8)"]
    for curve, tau, norm in zip(found, TAUS, (4.0, 8.0), strict=True):
        p = np.array(curve.probabilities)
        share = tau * np.log(2 * p / (1 - p)) / np.sqrt(3 / 2)
        assert curve.sizes == pytest.approx((1 - p) * (1 - share**2) / (tau * norm), abs=1e-6)
        assert p[-1] == pytest.approx(1 / (1 + 2 * np.exp(-np.sqrt(3 / 2) / tau)))
        assert curve.has_units


def test_without_a_norm_the_shape_is_the_same_and_the_units_are_not_known():
    known, unknown = (
        [curve for curve in weights(with_logit_norm(norms)) if curve.loss == "logit_norm"]
        for norms in ({"0.0": 4.0, "1.0": 8.0}, {})
    )
    assert [curve.label for curve in unknown] == ["logit_norm (tau 0.5)", "logit_norm (tau 0.25)"]
    for curve, other in zip(known, unknown, strict=True):
        assert not other.has_units
        assert other.probabilities == pytest.approx(curve.probabilities, rel=1e-5)
        assert other.scaled() == pytest.approx(curve.scaled(), rel=1e-4, abs=1e-5)


def test_the_page_names_the_norm_or_says_that_it_is_not_known():
    html, _ = render(with_logit_norm({"0.0": 4.0, "1.0": 8.0}))
    assert "(softmax, or the own map of logit_norm; the other classes have equal probabilities)" in html
    assert "The left panel shows it at 4 and 8, the median norms of trained networks on the validation split." in html
    assert "the p of logit_norm (tau 0.5, norm 4) is at most 0.85" in html
    assert "logit_norm (tau 0.25, norm 8) has " in html, "of which p reaches 0.99"
    html, _ = render(with_logit_norm({}))
    assert "The left panel leaves it out, because the norm is not known." in html
    html, _ = render(make_study({"cross_entropy": CROSS_ENTROPY, "arcface": shifted(0.02)}))
    assert "(softmax, or the own map of arcface; the other" in html
    html, _ = render(make_study(GATED))
    assert "(softmax; the other" in html
    assert "inversely" not in html


def test_the_note_counts_the_norms():
    curve = Weights(loss="a", probabilities=(0.1,), sizes=(1.0,), is_scale_free=True, norm=2.5)
    assert norm_note([curve]).endswith("shows it at 2.5, the median norm of a trained network on the validation split.")
    assert norm_note([]) == ""


@pytest.mark.parametrize(
    ("norms", "expected"), [({"0.0": 4.0, "1.0": 8.0}, [3, 3]), ({"1.0": 8.0}, [2, 2]), ({}, [1, 3])]
)
def test_a_curve_of_unknown_norm_is_only_in_the_right_panel(norms, expected):
    study = with_logit_norm(norms)
    svg = weights_svg(study.results(), weights(study))
    panels = re.split(r'<g id="axes_\d"', svg)[1:3]
    assert [len(re.findall(r"clip-path[^>]*stroke-width: [12]\.6", panel)) for panel in panels] == expected


@pytest.mark.parametrize(
    ("norms", "expected"),
    [({"1.0": 8.0}, {("tau 0.25", "8", True)}), ({}, {("tau 0.5", "", False), ("tau 0.25", "", False)})],
)
def test_the_download_has_the_norm_and_no_size_without_it(norms, expected):
    study = with_logit_norm(norms)
    rows = list(csv.DictReader(io.StringIO(csv_files(study.results(), diagnostics_of(study))["weights.csv"])))
    found = {
        (row["hyperparameters"], row["output_norm"], row["gradient_size"] != "")
        for row in rows
        if row["loss"] == "logit_norm"
    }
    assert found == expected
    assert {(row["output_norm"], row["gradient_size"] != "") for row in rows if row["loss"] == "cross_entropy"} == {
        ("", True)
    }


def test_a_pool_has_the_curves_of_its_three_largest_weights():
    study = make_pooled()
    gammas = {}
    for records in (study.tune, study.confirm):
        for place, record in enumerate(records):
            configuration = record.configuration
            if configuration.loss == "focal":
                gamma = gammas.setdefault(configuration.learning_rate, 1.0 + len(gammas))
                update = {"hyperparameters": {"gamma": gamma}}
                records[place] = record.model_copy(update={"configuration": configuration.model_copy(update=update)})
    results = study.results()
    largest = [search.winner.hyperparameters["gamma"] for search in results.of("focal").searches[:3]]
    assert len(results.of("focal").searches) > 3
    found = [curve for curve in weights_of(results, blocks_by_loss(study.confirm)) if curve.loss == "focal"]
    assert {curve.hyperparameters for curve in found} == {f"gamma {gamma:g}" for gamma in largest}
