from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from losstune.core.records import Execution
from losstune.report.spending import Spending, next_line, spending_of, spent_line
from tests.report.pooled import make_example, make_pooled
from tests.report.studies import make_study
from tests.verdict.test_pipeline import GATED


def ran(*times):
    """Trainings from a second to another."""
    return [
        Execution(key="0" * 64, started_at=start, duration_sec=end - start, device="cpu", commit=None)
        for start, end in times
    ]


@pytest.mark.parametrize("seed", range(5))
def test_time_counts_once_however_many_trainings_run_in_it(seed):
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, 3000, 60)
    times = [(int(start), int(start + rng.integers(1, 90))) for start in starts]
    ends = {second for start, end in times for second in range(start, end)}
    # A second without a training counts if trainings begin and end within a minute around it.
    seconds = sorted(ends)
    gaps = [after - before - 1 for before, after in pairwise(seconds)]
    expected = len(seconds) + sum(gap for gap in gaps if gap <= 60)
    assert any(gap > 60 for gap in gaps) or seed
    found = spending_of(ran(*times))
    assert found.num_timed == 60
    assert 60 * found.wall_min == pytest.approx(expected)
    assert 60 * found.core_min == pytest.approx(sum(end - start for start, end in times))


def test_a_pause_is_no_time_of_training():
    found = spending_of(ran((0, 10), (0, 10), (1000, 1010), (1000, 1010)))
    assert (found.mean_sec, found.per_minute) == (10.0, 12.0)
    assert found.trainings_in(1.0) == 12
    assert found.minutes_of(12) == pytest.approx(1.0)
    # What a training costs besides its own time is no pause.
    assert spending_of(ran((0, 10), (70, 80))).wall_min == pytest.approx(80 / 60)


def test_without_times_nothing_is_known():
    assert spending_of([]) is None
    assert spending_of(ran((5, 5))) is None


def at_pace(num_a_minute):
    return Spending(num_timed=num_a_minute, core_min=2.0, wall_min=1.0)


def test_what_was_spent_in_a_sentence():
    results = make_example().results()
    assert spent_line(results, None) == "Spent: 219 of 220 trainings."
    assert spent_line(results, at_pace(100)) == "Spent: 219 of 220 trainings, 2.0 min of training time."
    results = make_pooled().results()
    assert spent_line(results, None) == f"Spent: {results.rounds.num_trainings} trainings."


def test_what_the_next_half_hour_would_buy():
    results = make_example().results()
    gce, js = (results.of(loss).trainings_needed for loss in ("gce", "js"))
    assert gce < 30 * 40 < js
    assert next_line(results, at_pace(40)) == (
        "The next 30 minutes would buy about 1,200 trainings and probably settle 1 of 2 undecided losses: gce."
    )
    assert next_line(results, at_pace(10)) == (
        "The next 30 minutes would buy about 300 trainings, too few to settle any of 2 undecided losses: gce needs "
        f"about 1,100 more trainings ({gce / 10:.1f} min)."
    )
    losses = tuple(loss.model_copy(update={"trainings_needed": None}) for loss in results.losses)
    assert next_line(results.model_copy(update={"losses": losses}), at_pace(10)) == (
        "The next 30 minutes would buy about 300 trainings, but no affordable number would settle the 2 undecided "
        "losses."
    )


def test_nothing_is_bought_where_nothing_is_undecided_or_no_time_is_known():
    results = make_example().results()
    assert next_line(results, None) == ""
    settled = [loss for loss in results.losses if loss.decision != "undecided"]
    assert next_line(results.model_copy(update={"losses": tuple(settled)}), at_pace(10)) == ""
    assert next_line(make_study(GATED).results(), at_pace(10)) == ""


def test_many_losses_are_not_all_named():
    results = make_example().results()
    gce = results.of("gce").model_copy(update={"trainings_needed": 3})
    more = tuple(gce.model_copy(update={"loss": f"loss{number}"}) for number in range(6))
    line = next_line(results.model_copy(update={"losses": more}), at_pace(10))
    assert line.endswith("settle 6 of 6 undecided losses: loss0, loss1, loss2 and 3 more.")
