from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np

from losstune.report import trials_figure
from losstune.report.pool_rows import MOST_CONFIGURATIONS
from losstune.report.trials_figure import learning_rate_svg, thinned
from tests.factories import make_record
from tests.report.pooled import make_pooled
from tests.report.studies import NUM_SEARCHES, make_study
from tests.verdict.test_pipeline import CROSS_ENTROPY, GATED

SVG = "{http://www.w3.org/2000/svg}"


def marks(svg):
    """How often each marker is drawn; matplotlib refers to a marker's shape."""
    return len(list(ET.fromstring(svg).iter(f"{SVG}use")))


def test_every_trial_is_a_mark_and_every_winner_two_more():
    study = make_study(GATED)
    one = learning_rate_svg(study.results(), study.tune)
    study.tune.append(make_record(loss="focal", index=3, learning_rate=2e-3, accuracy=0.895))
    assert marks(learning_rate_svg(study.results(), study.tune)) == marks(one) + 1
    results = study.results()
    none = [loss.model_copy(update={"searches": ()}) for loss in results.losses]
    unconfirmed = learning_rate_svg(results.model_copy(update={"losses": tuple(none)}), study.tune)
    assert marks(unconfirmed) == marks(one) + 1 - 2 * NUM_SEARCHES * len(GATED)


def test_the_trials_of_a_pool_with_the_largest_weights_are_ringed():
    study = make_pooled(budget=300, spread=0.01)
    results = study.results()
    svg = learning_rate_svg(results, study.tune)
    none = [loss.model_copy(update={"searches": ()}) for loss in results.losses]
    without = learning_rate_svg(results.model_copy(update={"losses": tuple(none)}), study.tune)
    num_retrained = sum(min(len(loss.searches), MOST_CONFIGURATIONS) for loss in results.losses)
    assert num_retrained < sum(len(loss.searches) for loss in results.losses)
    assert num_retrained > 2 * len(results.losses)  # more than the winners of the searches
    assert marks(svg) == marks(without) + 2 * num_retrained
    assert "ringed: largest weights" in svg


def test_few_points_are_all_kept():
    points_N2 = np.tile([[1e-3, 90.0]], (trials_figure.MOST_POINTS, 1))
    assert thinned(points_N2, (1e-5, 1e-1), (0.0, 100.0)) is points_N2


def test_of_points_that_cover_each_other_one_is_kept_and_none_that_stands_apart():
    crowd_N2 = np.tile([[1e-3, 90.0]], (1000, 1))
    apart_N2 = np.array([[1e-4, 90.0], [1e-3, 10.0], [1e-2, 50.0]])
    points_N2 = np.concatenate([crowd_N2, apart_N2])
    found_N2 = thinned(points_N2, (1e-5, 1e-1), (0.0, 100.0))
    assert found_N2.tolist() == [[1e-3, 90.0], *apart_N2.tolist()]


def test_a_study_without_trials_can_be_drawn():
    study = make_study({"cross_entropy": CROSS_ENTROPY})
    assert "no winner" in learning_rate_svg(study.results(), [])
