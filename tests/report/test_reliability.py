from __future__ import annotations

import xml.etree.ElementTree as ET

from losstune.report.reliability import FEWEST, reliability_rows, reliability_svg
from tests.report.material import BINS, with_calibration
from tests.report.studies import make_study
from tests.verdict.test_pipeline import GATED

SVG = "{http://www.w3.org/2000/svg}"


def test_rows_are_the_bins_of_all_blocks_without_the_empty_ones():
    results = with_calibration(make_study(GATED)).results()
    rows = list(reliability_rows(results))
    assert len(rows) == len(GATED) * 3 * 2
    loss, way, low, high, count, confidence, share = rows[0]
    assert (loss, way, count) == ("cross_entropy", "softmax", 50 * 10)
    assert (low, high, confidence, share) == (1 / 3, 2 / 3, 0.5, 0.4)


def test_bins_of_few_predictions_are_not_drawn():
    study = with_calibration(make_study(GATED))
    results = study.results()
    marks = len(list(ET.fromstring(reliability_svg(results)).iter(f"{SVG}use")))
    few = tuple((FEWEST - 1, 1, 1.0) for _ in BINS)
    without = results.model_copy(
        update={
            "losses": tuple(
                loss.model_copy(
                    update={
                        "calibration": {
                            way: fit.model_copy(update={"bins": few}) for way, fit in loss.calibration.items()
                        }
                    }
                )
                for loss in results.losses
            )
        }
    )
    fewer = len(list(ET.fromstring(reliability_svg(without)).iter(f"{SVG}use")))
    assert marks - fewer == len(GATED) * 3 * 2


def test_without_calibration_it_says_so():
    assert reliability_svg(make_study(GATED).results()).count("not known") == len(GATED)
