from __future__ import annotations

from losstune.report.pool_rows import outlook_rows, pool_rows
from losstune.report.spending import Spending
from tests.report.pooled import NUM_TRIALS, make_example, make_pooled


def test_the_pools_of_the_baseline_and_the_winner():
    results = make_pooled().results()
    baseline, winner = pool_rows(results)
    assert (baseline["loss"], winner["loss"]) == ("cross_entropy", "focal")
    assert baseline["num_trials"] == 2 * NUM_TRIALS
    assert winner["num_blocks"] == len(results.of("focal").blocks)
    assert winner["num_configurations"] == f"{len(results.of('focal').searches)} configurations"


def test_undecided_losses_come_with_why_they_stopped_the_cheapest_first():
    results = make_example().results()
    gce, js = outlook_rows(results, Spending(num_timed=100, core_min=2.0, wall_min=1.0))
    assert (gce["loss"], gce["reason"], gce["num_blocks"]) == ("gce", "the budget ended", 10)
    assert gce["further"] == "about 1,100 more trainings"
    assert gce["time"] == "10.8 min"
    assert (js["loss"], js["reason"], js["num_searches"]) == ("js", "out of reach of the budget", 1)
    assert js["difference"].endswith("[unbounded]")


def test_without_times_and_without_a_number_the_cells_say_so():
    results = make_example().results()
    losses = tuple(loss.model_copy(update={"trainings_needed": None}) for loss in results.losses)
    row = outlook_rows(results.model_copy(update={"losses": losses}), None)[0]
    assert (row["further"], row["time"]) == ("no affordable number of trainings", "")
