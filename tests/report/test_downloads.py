from __future__ import annotations

import base64
import csv
import io

import numpy as np
import pytest

from losstune.report.downloads import csv_files, data_uri
from tests.report.material import diagnostics_of, with_calibration, with_predictions
from tests.report.pooled import make_example
from tests.report.studies import make_study
from tests.verdict.test_pipeline import GATED

NAMES = {
    "best_of.csv",
    "calibration.csv",
    "configurations.csv",
    "confusion.csv",
    "confusion_difference.csv",
    "cost.csv",
    "differences.csv",
    "sensitivity.csv",
    "learning_curves.csv",
    "learning_rates.csv",
    "losses.csv",
    "reliability.csv",
    "weights.csv",
}


def made(study=None, **settings):
    study = study or with_calibration(make_study(GATED, without_winner=["apl"]))
    return csv_files(study.results(), diagnostics_of(study, **settings))


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_every_figure_and_table_has_a_file_with_rows_and_no_ragged_one():
    files = made()
    assert set(files) == NAMES
    for name, text in files.items():
        assert rows(text), name
        for row in rows(text):
            assert None not in row, name
            assert None not in row.values(), name


def test_losses_are_the_numbers_of_the_results():
    study = make_study(GATED, without_winner=["apl"])
    results = study.results()
    found = {row["loss"]: row for row in rows(made(study)["losses.csv"])}
    focal = results.of("focal")
    assert float(found["focal"]["difference"]) == pytest.approx(focal.difference.mean)
    assert float(found["focal"]["accuracy"]) == pytest.approx(focal.scores["accuracy"].mean)
    assert float(found["focal"]["nll_low"]) == pytest.approx(focal.scores["nll"].low, rel=1e-5)
    assert (found["focal"]["decision"], found["apl"]["accuracy"]) == ("better", "")


def test_differences_hold_the_controls():
    found = {row["name"]: row for row in rows(made()["differences.csv"])}
    assert (found["focal"]["kind"], found["kl_divergence"]["kind"]) == ("better", "identical loss")
    assert float(found["degraded baseline"]["mean"]) == pytest.approx(0.5 - 0.91, abs=2e-3)


def test_examples_are_named_by_class():
    study = make_study({loss: scores[:2] for loss, scores in GATED.items()})
    # On two blocks no loss can win: the best candidate is looked at.
    study = with_predictions(study, {("cross_entropy", 0): [0, 1, 1], ("focal", 0): [0, 1, 2]})
    (row,) = rows(made(study, test_labels=np.array([0, 1, 2]))["examples.csv"])
    assert row == {
        "test_sample": "2",
        "actual": "two",
        "blocks": "1",
        "gained": "1",
        "lost": "0",
        "focal_said": "two",
        "cross_entropy_said": "one",
    }


def test_a_link_holds_the_file():
    text = "loss,value\nä,1\n"
    head, _, content = data_uri(text).partition(",")
    assert head == "data:text/csv;charset=utf-8;base64"
    assert base64.b64decode(content).decode() == text


def test_a_pooled_study_has_its_configurations_with_their_weights_and_why_losses_stopped():
    study = make_example()
    results, files = study.results(), made(study)
    losses = {row["loss"]: row for row in rows(files["losses.csv"])}
    assert "blocks_needed" not in losses["gce"]
    assert (losses["gce"]["reason"], losses["js"]["reason"]) == ("budget", "out of reach")
    assert int(losses["gce"]["trainings_needed"]) == results.of("gce").trainings_needed
    assert losses["focal"]["trainings_needed"] == ""
    found = [row for row in rows(files["configurations.csv"]) if row["loss"] == "focal"]
    for row, search in zip(found, results.of("focal").searches, strict=True):
        assert (int(row["search"]), int(row["trial"]), int(row["blocks"])) == (
            search.search,
            search.index,
            search.num_blocks,
        )
        assert float(row["weight"]) == pytest.approx(search.weight, rel=1e-5)
        assert float(row["learning_rate"]) == pytest.approx(search.winner.learning_rate, rel=1e-5)


def test_the_winners_of_replicated_searches_are_listed_with_their_search():
    found = [row for row in rows(made()["configurations.csv"]) if row["loss"] == "focal"]
    assert [(row["search"], row["trial"], row["learning_rate"]) for row in found] == [
        ("0", "1", "0.003"),
        ("1", "1", "0.003"),
    ]
    assert "weight" not in found[0]
    assert "blocks_needed" in rows(made()["losses.csv"])[0]
