"""Two revisions that a metric of the user's own judges: lower is better, in its own units."""

from __future__ import annotations

from pathlib import Path

import pytest

from losstune.config.metrics import MetricSettings
from losstune.report.compare.comparability import comparability
from losstune.report.compare.history import Entry
from losstune.report.compare.history_formats import history_svg, history_text
from losstune.report.compare.revisions import Revision
from losstune.report.compare.scores import compare_scores
from losstune.report.compare.sentence import sentence_of
from losstune.report.compare.trees import Tree
from tests.report.compare.repo import LEVELS, block_scores
from tests.report.studies import judged_by, make_study

COST = MetricSettings(name="my_metrics.py:cost", minimize=True)


def revision(name, scores, metric=COST, **terms):
    study = make_study(scores, rope=0.5 if metric else 0.005)
    if metric:
        study = judged_by(study, metric, lambda accuracy: -100.0 * accuracy)
    settings = {"study.seed": 1} | terms
    return Revision(tree=Tree(folder=Path(), name=name, commit="c0ffee"), results=study.results(), terms=settings)


def test_a_lower_cost_is_better():
    before, after = block_scores(), block_scores(LEVELS | {"focal": 0.99}, seed=1)
    found = compare_scores(revision("a", before), revision("b", after))
    by_accuracy = compare_scores(revision("a", before, None), revision("b", after, None))
    assert [loss.loss for loss in found.losses] == [loss.loss for loss in by_accuracy.losses]
    for ours, theirs in zip(found.losses, by_accuracy.losses, strict=True):
        assert ours.decision == theirs.decision
        if theirs.difference:
            assert ours.difference.mean == pytest.approx(-100 * theirs.difference.mean)
            assert ours.difference.p_value == pytest.approx(theirs.difference.p_value)
    focal = next(loss for loss in found.losses if loss.loss == "focal")
    assert (focal.decision, focal.difference.mean < 0) == ("better", True)
    sentence = sentence_of("a", "b", found)
    assert f"{abs(focal.difference.mean):.2f} ± " in sentence
    assert "points" not in sentence


def test_other_options_are_another_metric():
    terms = [{"name": "my_metrics.py:cost", "minimize": True, "options": {"price": price}} for price in (1, 2)]
    a, b = (revision(name, block_scores(), **{"tune.metric": term}) for name, term in zip("ab", terms, strict=True))
    (line,) = comparability(a, b)
    assert line.startswith("tune.metric: ")
    assert "price 1" in line.partition(" at a")[0]
    assert "price 2" in line.partition(" at a")[2]
    assert comparability(a, a) == []


def test_the_history_shows_it_in_its_units():
    score = {"mean": 12.5, "low": 12.0, "high": 13.0}
    entry = Entry(
        commit="c0ffee" * 6, date="2026-11-24", message="One", action="keep", winner="cross_entropy", metric="cost",
        minimize=True, percent=False, baseline="cross_entropy", baseline_score=score, winner_score=score,
    )  # fmt: skip
    assert "12.5 [12, 13]" in history_text([entry], "table")
    assert "test cost (lower is better)" in history_svg([entry])
