"""NLL, Brier score and ECE after temperature scaling: in the table of all losses and wherever it is repeated."""

from __future__ import annotations

import csv
import io
import math
import re

import pytest

from losstune.core.records import Calibration
from losstune.report import scaled
from losstune.report.downloads import csv_files
from losstune.verdict.results import SecondaryMetric
from tests.factories import WORST_SCORES
from tests.report.material import diagnostics_of
from tests.report.studies import make_study, place
from tests.report.test_page import render
from tests.report.test_terminal import printed
from tests.verdict.test_pipeline import GATED

OWN_MAP = Calibration(nll=3.0, brier=0.9, bins=((100, 40, 90.0),))


def fit(block):
    """Of a block, with an ECE of 0.02 at the first, 0.03 at the second and so on."""
    return Calibration(nll=0.1 + block / 100, brier=0.05 + block / 500, bins=((100, 95, 97.0 + block),))


def with_fits(study, ways=("softmax", "link", "scaled"), losses=tuple(GATED)):
    """Blocks whose calibration through the loss's own map is bad, and good after scaling; some have it in few ways."""
    study.confirm = [
        record.model_copy(
            update={
                "calibration": {
                    way: fit(place(record)) if way == "scaled" else OWN_MAP
                    for way in (ways if record.configuration.loss in losses else ("link",))
                }
            }
        )
        if record.role == "block"
        else record
        for record in study.confirm
    ]
    return study


def with_failed(study, loss, num_failed):
    """The first blocks of a loss diverge."""
    study.confirm = [
        record.model_copy(
            update={"status": "diverged", "cause": "NaN", "test": dict(WORST_SCORES), "calibration": None}
        )
        if record.role == "block" and record.configuration.loss == loss and place(record) < num_failed
        else record
        for record in study.confirm
    ]
    return study


NUM_BLOCKS = len(GATED["focal"])
MEANS = {
    "scaled_nll": 0.1 + (NUM_BLOCKS - 1) / 200,
    "scaled_brier": 0.05 + (NUM_BLOCKS - 1) / 1000,
    "scaled_ece": 0.02 + (NUM_BLOCKS - 1) / 200,
}


def test_they_are_means_over_the_blocks():
    results = with_fits(make_study(GATED)).results()
    assert scaled.is_known(results)
    assert scaled.scaled_scores(results.of("focal")) == pytest.approx(MEANS)


def test_a_failed_block_counts_with_the_worst_value():
    results = with_failed(with_fits(make_study(GATED)), "focal", 1).results()
    rest = range(1, NUM_BLOCKS)
    expected = {
        "scaled_nll": math.inf,
        "scaled_brier": (2.0 + sum(0.05 + block / 500 for block in rest)) / NUM_BLOCKS,
        "scaled_ece": (1.0 + sum(0.02 + block / 100 for block in rest)) / NUM_BLOCKS,
    }
    assert scaled.is_known(results)
    assert scaled.scaled_scores(results.of("focal")) == pytest.approx(expected)
    assert scaled.values(results.of("focal"), results)["scaled_nll"] == ("∞", math.inf)


def test_a_loss_without_a_finished_block_has_the_worst_values():
    results = with_failed(with_fits(make_study(GATED, without_winner=["apl"])), "focal", NUM_BLOCKS).results()
    assert scaled.is_known(results)
    assert scaled.scaled_scores(results.of("focal")) == {"scaled_nll": math.inf, "scaled_brier": 2.0, "scaled_ece": 1.0}
    assert scaled.scaled_scores(results.of("apl")) == {}


@pytest.mark.parametrize("study", [make_study(GATED), with_fits(make_study(GATED), losses=("focal",))])
def test_if_a_loss_has_none_the_whole_table_uses_the_own_maps(study):
    """A training loop of the user's own may return no outputs; two kinds of probabilities can't be compared."""
    results = study.results()
    assert not scaled.is_known(results)
    html, _ = render(study)
    assert "NLL, Brier and ECE use the loss's own map from outputs to probabilities" in html
    assert "NLL, scaled</button></th>\n      <th" not in html
    own = results.of("focal").scores["nll"].mean
    assert f"{own:.3f}" in printed(results)
    assert "scaled" not in printed(results)
    assert "scaled" not in csv_files(results, diagnostics_of(study))["losses.csv"]


def test_page_and_terminal_show_them_and_say_so():
    study = with_fits(make_study(GATED))
    html, results = render(study)
    table = html[html.index("<h2>All losses") :].partition("</table>")[0]
    assert re.findall(r"<button type=\"button\">(.*?)</button>", table)[6:] == [
        "macro-F1",
        "NLL, scaled",
        "Brier, scaled",
        "ECE, scaled",
    ]
    assert "The scaled NLL, Brier and ECE are those of softmax with one temperature" in table
    assert "own map" not in table
    nll, brier, ece = MEANS.values()
    assert f">{nll:.3f}</td>" in table
    assert f">{brier:.3f}</td>" in table
    assert f">{100 * ece:.2f}%</td>" in table
    lines = printed(results).splitlines()
    assert lines[0].split() == ["NLL", "ECE"]
    assert lines[1].split()[-4:] == ["scaled", "scaled", "training", "failed"]
    assert [f"{nll:.3f}", f"{100 * ece:.2f}%"] in [line.split()[-3:-1] for line in lines]


def test_a_metric_that_the_study_names_stands_there_as_it_is_defined_too():
    results = with_fits(make_study(GATED)).results()
    named = results.model_copy(
        update={"secondary_metrics": (SecondaryMetric(name="nll", minimize=True, percent=False),)}
    )
    assert list(scaled.columns(named).values()) == [
        "NLL",
        "balanced accuracy",
        "macro-F1",
        "NLL, scaled",
        "Brier, scaled",
        "ECE, scaled",
    ]
    row = next(line.split() for line in printed(named).splitlines() if line.startswith("focal"))
    own = results.of("focal").scores["nll"].mean
    assert row[-4:-1] == [f"{own:.3f}", f"{MEANS['scaled_nll']:.3f}", f"{100 * MEANS['scaled_ece']:.2f}%"]


def test_of_a_study_judged_by_nll_it_says_which_one_the_verdict_is_about():
    study = with_fits(make_study(GATED, metric="nll"))
    html, _ = render(study)
    table = html[html.index("<h2>All losses") :].partition("</table>")[0]
    assert "NLL uses the loss's own map from outputs to probabilities" in table
    headings = re.findall(r"<button type=\"button\">(.*?)</button>", table)
    assert (headings[1], headings[-3:]) == ("NLL", ["NLL, scaled", "Brier, scaled", "ECE, scaled"])


def test_the_download_has_both():
    study = with_fits(make_study(GATED))
    results = study.results()
    rows = csv.DictReader(io.StringIO(csv_files(results, diagnostics_of(study))["losses.csv"]))
    row = next(row for row in rows if row["loss"] == "focal")
    assert float(row["nll"]) == pytest.approx(results.of("focal").scores["nll"].mean, rel=1e-5)
    assert {name: float(row[name]) for name in MEANS} == pytest.approx(MEANS, rel=1e-5)
