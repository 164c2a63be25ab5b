"""A pooled study's results, against every search within the pool and against the records."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from losstune.core.errors import LosstuneError
from losstune.verdict.pooled import read_pooled
from tests.report.pooled import NUM_TRIALS, make_pooled

STUDY = make_pooled()
RESULTS = STUDY.results()


def weights_by_hand(loss):
    """How often each trial ends a search, over all searches that the pool contains: a default and seven draws."""
    trials = [record for record in STUDY.tune if record.configuration.loss == loss]
    scores = {(record.search, record.index): record.validation["accuracy"] for record in trials}
    draws = [trial for trial in scores if trial[1]]
    ends = Counter()
    for search in {search for search, _ in scores}:
        for chosen in combinations(draws, NUM_TRIALS - 1):
            best = max([(search, 0), *chosen], key=scores.__getitem__)
            ends["defaults" if best[1] == 0 else best] += 1
    return {trial: count / ends.total() for trial, count in ends.items()}


def name_of(search):
    return "defaults" if search.index == 0 else (search.search, search.index)


@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "kl_divergence"])
def test_a_weight_is_the_share_of_all_searches_that_end_there(loss):
    by_hand = weights_by_hand(loss)
    found = {name_of(search): search.weight for search in RESULTS.of(loss).searches}
    assert found == pytest.approx({trial: by_hand[trial] for trial in found})
    assert list(found.values()) == sorted(found.values(), reverse=True)
    left = [weight for trial, weight in by_hand.items() if trial not in found]
    assert max(left, default=0.0) <= min(found.values())


@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "apl"])
def test_a_configuration_has_the_means_of_its_blocks(loss):
    blocks = [r for r in STUDY.confirm if r.role == "block" and r.configuration.loss == loss]
    result = RESULTS.of(loss)
    assert len(blocks) == len(result.blocks)
    for search in result.searches:
        own = [record for record in blocks if record.configuration == search.winner]
        assert search.num_blocks == len(own)
        assert search.test == pytest.approx(np.mean([record.test["accuracy"] for record in own]))
        assert search.fresh == pytest.approx(np.mean([record.validation["accuracy"] for record in own]))


def test_the_one_to_use_wins_most_searches():
    for result in RESULTS.losses:
        best = max(weights_by_hand(result.loss).items(), key=lambda pair: pair[1])[0]
        assert best == ("defaults" if result.winner_index == 0 else (result.winner_search, result.winner_index))


def test_the_one_to_use_was_retrained():
    """A round may extend the pool by searches whose best configurations no block has retrained yet."""
    for result in make_pooled(budget=220).results().losses:
        first = result.searches[0]
        assert (result.winner, result.winner_search, result.winner_index) == (first.winner, first.search, first.index)


def test_a_score_is_near_the_weighted_mean_of_its_configurations_and_within_the_metrics_bounds():
    for result in RESULTS.losses:
        score = result.scores["accuracy"]
        weights = [search.weight for search in result.searches]
        mean = np.average([search.test for search in result.searches], weights=weights)
        # What all losses share in a block, and what was not retrained, are corrected for.
        assert score.mean == pytest.approx(mean, abs=0.006)
        if len(result.blocks) > 4:
            assert score.low < score.mean < score.high <= 1.0
            assert score.error > 0.0
        else:
            assert (score.low, score.high, score.error) == (None, None, None)


def test_other_metrics_are_weighted_as_the_configurations_are():
    result = RESULTS.of("focal")
    weight = {search.winner.learning_rate: search.weight / search.num_blocks for search in result.searches}
    blocks = [r for r in STUDY.confirm if r.role == "block" and r.configuration.loss == "focal"]
    mean = np.average([r.test["nll"] for r in blocks], weights=[weight[r.configuration.learning_rate] for r in blocks])
    assert result.scores["nll"].mean == pytest.approx(mean)


def test_what_the_rounds_spent_is_what_was_trained():
    for study in (STUDY, make_pooled(budget=220)):
        assert study.results().rounds.num_trainings == len(study.tune) + len(study.confirm)


def test_missing_trainings_are_named():
    blocks = [r for r in STUDY.confirm if (r.configuration.loss, r.role, r.index) != ("focal", "block", 2)]
    with pytest.raises(LosstuneError, match=r"^focal has no test score for block 2 with the configuration of trial "):
        read_pooled(STUDY.params, [*STUDY.tune, *blocks], None)
    trials = [r for r in STUDY.tune if r.search == 0 or r.configuration.loss != "focal"]
    with pytest.raises(LosstuneError, match=r"^focal has no search 1, which the rounds ask for"):
        read_pooled(STUDY.params, [*trials, *STUDY.confirm], None)
    without = [r for r in STUDY.tune if r.configuration.loss != "cross_entropy"]
    with pytest.raises(LosstuneError, match=r"^no trial of the baseline 'cross_entropy' is finished; "):
        read_pooled(STUDY.params, without, None)
