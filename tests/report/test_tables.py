from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from losstune.report import tables
from losstune.verdict.blocks import blocks_by_loss
from tests.report.pooled import make_example
from tests.report.studies import make_block, make_study
from tests.verdict.test_pipeline import CROSS_ENTROPY, GATED, shifted


def test_metrics_are_flat_numbers_and_the_verdict():
    found = tables.metrics(make_study(GATED, without_winner=["apl"]).results())
    assert (found["verdict"], found["winner"]) == ("use", "focal")
    assert found["mean"] == {"cross_entropy": 0.91, "kl_divergence": 0.9102, "focal": 0.93}
    assert found["difference"] == {"kl_divergence": 0.0002, "focal": 0.02}


def test_the_metrics_of_a_pooled_study_count_its_trainings():
    assert tables.metrics(make_example().results())["trainings"] == 219
    assert "trainings" not in tables.metrics(make_study(GATED).results())


def test_metrics_without_a_verdict():
    found = tables.metrics(make_study({"focal": shifted(0.02)}, without_winner=["cross_entropy"]).results())
    assert (found["verdict"], found["winner"], found["difference"]) == ("none", "none", {})


def test_winner_curves_are_means_over_the_blocks_that_got_that_far():
    study = make_study({"cross_entropy": CROSS_ENTROPY[:2], "focal": shifted(0.02)[:2]})
    study.confirm = [
        make_block(loss, block, 0.0, curve=curve)
        for loss, block, curve in (
            ("cross_entropy", 0, [0.4, 0.6, 0.8]),
            ("cross_entropy", 1, [0.6, 0.7, 0.9]),
            ("focal", 0, [0.5, 0.5, 0.5]),
            ("focal", 1, [0.7]),
        )
    ]
    results = study.results()
    curves = tables.winner_curves(results, study.confirm)
    assert curves["cross_entropy"] == pytest.approx([0.5, 0.65, 0.85])
    assert curves["focal"] == pytest.approx([0.6, 0.5, 0.5])
    rows = list(csv.DictReader(io.StringIO(tables.learning_curves_csv(results, curves))))
    assert len(rows) == 6
    assert rows[1] == {"loss": "cross_entropy", "epoch": "2", "value": "0.650000"}


def test_control_is_no_part_of_the_curves():
    study = make_study(GATED)
    with_control = tables.winner_curves(study.results(), study.confirm)
    results = study.results()
    study.confirm = [record for record in study.confirm if record.role != "control"]
    assert tables.winner_curves(results, study.confirm) == with_control


def test_learning_rates_have_a_row_per_trial_by_rising_rate():
    study = make_study(GATED)
    study.tune.reverse()
    rows = list(csv.DictReader(io.StringIO(tables.learning_rates_csv(study.results(), study.tune))))
    assert [row["loss"] for row in rows[::6]] == list(GATED)
    assert [row["learning_rate"] for row in rows[:6:2]] == ["0.001", "0.003", "0.03"]
    assert [row["value"] for row in rows[:6:2]] == ["0.880000", "0.900000", "0.000000"]


def test_confusions_are_summed_over_the_blocks_of_the_losses_in_focus():
    study = make_study(GATED)
    results = study.results()
    rows = list(csv.DictReader(io.StringIO(tables.confusion_csv(results, blocks_by_loss(study.confirm)))))
    assert {row["loss"] for row in rows} == {"cross_entropy", results.subject()}
    blocks = [
        record.confusion
        for record in study.confirm
        if record.role == "block" and record.configuration.loss == "cross_entropy"
    ]
    expected = np.sum(blocks, axis=0)
    names = results.data.class_names
    found = {(row["actual"], row["predicted"]): int(row["count"]) for row in rows if row["loss"] == "cross_entropy"}
    assert found == {
        (names[actual], names[predicted]): count for (actual, predicted), count in np.ndenumerate(expected) if count
    }
    assert sum(found.values()) == expected.sum()
