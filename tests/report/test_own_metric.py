"""The report of a study that a metric of the user's own judges: its units everywhere, and no share where it is none."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from rich.console import Console

from losstune.config.metrics import MetricSettings
from losstune.report import figures, tables
from losstune.report.card import model_card
from losstune.report.differences import difference_rows
from losstune.report.downloads import csv_files
from losstune.report.learning_rate_sensitivity import tolerance_of
from losstune.report.panels import score_limits
from losstune.report.terminal import print_report
from losstune.verdict.wording import Units
from tests.report.material import diagnostics_of, with_calibration
from tests.report.studies import judged_by, make_study
from tests.report.test_page import outline, render
from tests.verdict.test_own_metric import SCORES

COST = MetricSettings(name="my_metrics.py:cost", minimize=True)


@pytest.fixture(scope="module")
def study():
    made = make_study(SCORES, rope=5.0, without_winner=["poly1"])
    return judged_by(with_calibration(made), COST, lambda accuracy: 1000.0 * (1.0 - accuracy))


@pytest.fixture(scope="module")
def results(study):
    return study.results()


def test_the_terminal_has_the_metric_s_units_and_the_direction(results):
    text = StringIO()
    print_report(results, {}, Console(file=text, width=110))
    lines = text.getvalue().splitlines()
    assert re.search(r"^loss +cost +difference, 95%", lines[1])
    focal = next(line for line in lines if line.startswith("focal"))
    assert re.search(r"^focal +70\.0 +-20\.0 \[-20\.0, -20\.0\]", focal)
    assert lines[3].startswith("focal"), "the lowest cost comes first"
    assert "cost: lower is better, so a loss with a negative difference is ahead." in text.getvalue()
    assert "found worse by 408.8." in " ".join(text.getvalue().split())
    assert "points" not in text.getvalue()


def test_the_page_has_no_points_and_no_percent_of_the_metric(study):
    html, _ = render(study)
    outline(html)
    text = re.sub(
        r"<svg.*?</svg>|href=\"data:[^\"]*\"|<style>.*?</style>|<script>.*?</script>", "", html, flags=re.DOTALL
    )
    assert "For cost lower is better, so a loss with a negative difference is ahead." in text
    assert "points" not in text
    assert "−20.0" in text
    assert ">70.0<small>" in text
    assert "within 10 of its best trial" in text


def test_figures_are_drawn_in_the_metric_s_units(study, results):
    drawn = figures.draw(results, diagnostics_of(study))
    labels = {
        "differences.svg": "cost minus cross_entropy's (lower is better)",
        "best_of.svg": "expected best validation cost (lower is better)",
        "learning_rate.svg": "▴: above the frame",
        "learning_curves.svg": "validation cost (lower is better)",
    }
    for name, label in labels.items():
        assert label in drawn[name], name
        assert "percentage points" not in drawn[name]
    assert difference_rows(results)[0].name == "focal"


def test_downloads_hold_the_metric_beside_the_others(study, results):
    files = csv_files(results, diagnostics_of(study))
    header, first, *_ = files["losses.csv"].splitlines()
    assert "ece,ece_low,ece_high,cost,cost_low,cost_high" in header
    row = dict(zip(header.split(","), first.split(","), strict=True))
    assert (row["loss"], float(row["cost"]), float(row["difference"])) == ("focal", 70.0, -20.0)
    # A diverged trial counts with the worst score of the search: 1000 * (1 - (0.88 - 0.1)).
    assert "inf" not in files["learning_rates.csv"]
    assert "focal,0.03,220" in files["learning_rates.csv"]


def test_small_values_keep_their_digits():
    tiny = judged_by(make_study(SCORES, rope=1e-9), COST, lambda accuracy: 1e-7 * (1.0 - accuracy)).results()
    assert tables.metrics(tiny)["difference"]["focal"] == pytest.approx(-2e-9)
    assert tables.metrics(tiny)["mean"]["focal"] == pytest.approx(7e-9)
    assert "2.00e" not in tiny.verdict.sentence
    assert "0.0000000020" in tiny.verdict.sentence


def test_the_card_names_the_metric(study, results):
    record = next(r for r in study.confirm if r.configuration.loss == "focal")
    assert "| cost |" in model_card(results, record, objective="focal()", link="A link.", takes="images")


def test_a_trial_is_near_the_best_within_two_ropes(results):
    assert tolerance_of(results) == 10.0
    assert tolerance_of(make_study(SCORES, rope=0.2).results()) == 0.01


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        (Units("accuracy"), (69.5, 73.5)),
        (Units("gain", percent=False), (0.6927, 0.7373)),
        (Units("cost", minimize=True, percent=False), (0.476, 0.724)),
    ],
)
def test_the_axis_shows_the_better_part_of_the_scores(units, expected):
    """Without one quarter of the scores, the worst ones, and with a margin."""
    assert score_limits([0.5, 0.7, 0.7, 0.7, 0.73], units, quantile=0.25) == pytest.approx(expected)


def test_a_study_without_other_metrics_leaves_their_columns_out(study):
    def bare(record):
        def only(scores):
            return None if scores is None else {"cost": scores["cost"]}

        curve = [epoch.model_copy(update={"validation": only(epoch.validation)}) for epoch in record.curve]
        update = {"validation": only(record.validation), "test": only(record.test), "curve": tuple(curve)}
        return record.model_copy(update=update | {"calibration": None, "temperature": None})

    alone = type(study)(study.params, list(map(bare, study.tune)), list(map(bare, study.confirm)), study.equals)
    html, results = render(alone)
    assert "NLL, Brier and ECE use" not in html
    header = csv_files(results, diagnostics_of(alone))["losses.csv"].splitlines()[0]
    assert header.endswith("blocks_needed,cost,cost_low,cost_high")
    print_report(results, {}, Console(file=StringIO(), width=110))
