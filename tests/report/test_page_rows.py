from __future__ import annotations

import numpy as np

from losstune.report import page_rows
from tests.report.material import diagnostics_of, with_predictions
from tests.report.studies import make_study, place
from tests.verdict.test_pipeline import CROSS_ENTROPY, GATED, shifted

NAMES = ("zero", "one", "two")


def test_confusions_are_summed_over_blocks():
    study = make_study({"cross_entropy": CROSS_ENTROPY[:2], "focal": shifted(0.02)[:2]})
    first, second = ((25, 5, 0), (0, 30, 0), (7, 0, 23)), ((20, 0, 10), (0, 30, 0), (0, 0, 30))
    blocks = [
        record.model_copy(update={"confusion": first if place(record) == 0 else second})
        for record in study.confirm
        if record.configuration.loss == "focal"
    ]
    found = page_rows.confusion_rows("focal", blocks, NAMES)
    assert (found["num_samples"], found["num_errors"]) == (180, 22)
    assert [[count for count, _, _ in cells] for _, cells, _ in found["rows"]] == [[45, 5, 10], [0, 60, 0], [7, 0, 53]]
    assert [recall for _, _, recall in found["rows"]] == ["75.0", "100.0", "88.3"]
    assert found["largest"] == [(("zero", "two"), 10), (("two", "zero"), 7), (("zero", "one"), 5)]


def test_changes_have_signs_and_the_largest_come_first():
    found = page_rows.change_rows(np.array([[4, -4, 0], [0, 0, 0], [1, 0, -1]]), NAMES)
    assert (found["whole"], found["num_changes"]) == (True, 4)
    name, cells = found["rows"][0]
    assert name == "zero"
    assert [(text, kind) for text, kind, _ in cells] == [("+4", "more"), ("−4", "fewer"), ("", "zero")]
    assert found["largest"] == [
        ("zero", "one", "−4"),
        ("zero", "zero", "+4"),
        ("two", "two", "−1"),
        ("two", "zero", "+1"),
    ]
    assert page_rows.change_rows(np.zeros((3, 3), dtype=np.int64), NAMES)["num_changes"] == 0


def test_thumbnails_tell_who_was_wrong_and_how_often():
    study = make_study({loss: scores[:2] for loss, scores in GATED.items()})
    study = with_predictions(
        study,
        {
            ("cross_entropy", 0): [0, 1, 1],
            ("focal", 0): [0, 0, 2],
            ("cross_entropy", 1): [0, 1, 0],
            ("focal", 1): [0, 1, 2],
        },
    )
    test = {"test_labels": np.array([0, 1, 2]), "test_images": np.zeros((3, 1, 2, 2), dtype=np.uint8)}
    (_, gained), (_, lost) = page_rows.thumbnail_rows(diagnostics_of(study, **test), NAMES)
    keys = ("index", "label", "wrong", "said", "num_blocks", "num_reverse")
    assert [tuple(item[key] for key in keys) for item in gained] == [(2, "two", "cross_entropy", "zero", 2, 0)]
    assert [tuple(item[key] for key in keys) for item in lost] == [(1, "one", "focal", "zero", 1, 0)]
    assert gained[0]["image"].startswith("data:image/png;base64,")


def test_rows_of_features_have_no_thumbnails():
    study = make_study({loss: scores[:2] for loss, scores in GATED.items()})
    study = with_predictions(study, {("cross_entropy", 0): [0, 1, 1], ("focal", 0): [0, 1, 2]})
    diagnostics = diagnostics_of(study, test_labels=np.array([0, 1, 2]), test_images=np.zeros((3, 7)))
    assert diagnostics.exchange.mean_gained() == 1
    assert page_rows.thumbnail_rows(diagnostics, NAMES) == []
