"""What trainings will take follows from what others took: against schedules played through, second by second."""

import numpy as np
import pytest

from losstune.study.cost import START_SPREAD, Timings, estimate, gaps, makespan


def played(durations, num_workers, gap=0.0):
    """Start and end of each task, by an independent way: workers are asked in turn whether they are free."""
    free_at, spans = [0.0] * num_workers, []
    for duration in durations:
        worker = int(np.argmin(free_at))
        start = free_at[worker] + (gap if free_at[worker] else 0.0)
        free_at[worker] = start + duration
        spans.append((start, free_at[worker]))
    return spans


def timings(seconds, gap=0.0, fixed=0.0):
    return Timings(seconds=seconds, gap_sec=gap, fixed_sec=fixed)


@pytest.mark.parametrize("num_workers", [1, 2, 7])
def test_makespan_is_that_of_a_schedule(num_workers):
    durations = np.random.default_rng(0).uniform(1, 5, 40)
    expected = max(end for _, end in played(durations, num_workers))
    assert makespan(durations, num_workers) == pytest.approx(expected)


def test_nothing_takes_no_time():
    assert makespan([], 3) == 0.0


@pytest.mark.parametrize("num_workers", [1, 2, 5])
def test_gaps_are_those_of_a_schedule(num_workers):
    durations = np.random.default_rng(1).uniform(1, 5, 60)
    found = gaps(played(durations, num_workers, gap=0.25))
    assert len(found) == 60 - num_workers
    assert np.median(found) == pytest.approx(0.25, abs=1e-9)


def test_a_task_that_starts_as_another_ends_follows_it_at_once():
    assert gaps([(0, 10), (10, 20)]) == [0]
    # Whoever ended last is the one that goes on.
    assert gaps([(0, 4), (0, 7), (9, 10), (10, 12)]) == [2, 0]


def test_trainings_that_all_take_as_long_leave_the_range_of_the_start():
    found = estimate({"a": 6, "b": 4}, timings({"a": [2.0] * 5, "b": [3.0] * 5}, gap=0.5, fixed=7.0), 1)
    assert found.busy_sec == pytest.approx(6 * 2 + 4 * 3)
    least = 7 + 24 + 10 * 0.5
    assert found.wall_sec == pytest.approx((least, least + START_SPREAD * 7))


def test_the_last_trainings_do_not_share_a_worker():
    found = estimate({"a": 3}, timings({"a": [2.0] * 4}), 2)
    assert found.wall_sec == pytest.approx((4.0, 4.0))


def test_a_loss_with_few_timings_counts_as_all_do():
    seconds = {"quick": [1.0] * 4, "slow": [3.0] * 4, "rare": [100.0]}
    mean = (4 + 12 + 100) / 9
    assert estimate({"quick": 2}, timings(seconds), 1).busy_sec == pytest.approx(2)
    for loss in ("rare", "new", ""):
        assert estimate({loss: 2}, timings(seconds), 1).busy_sec == pytest.approx(2 * mean)


def test_the_range_is_as_wide_as_the_timings_differ():
    rng = np.random.default_rng(2)
    low, high = np.quantile(sample := rng.uniform(0.5, 1.5, 1000), [0.1, 0.9]) / sample.mean()
    found = estimate({"a": 100}, timings({"a": list(sample)}), 4)
    middle = 25 * sample.mean()
    assert found.wall_sec == pytest.approx((low * middle, high * middle))
    assert found.wall_sec[0] < middle < found.wall_sec[1]


def test_a_few_very_slow_ones_stay_within_the_range():
    found = estimate({"a": 10}, timings({"a": [1.0] * 19 + [101.0]}), 1)
    assert found.wall_sec[1] >= found.busy_sec


def test_on_a_cluster_the_clock_is_not_foretold():
    found = estimate({"a": 2}, timings({"a": [3.0] * 4}), None)
    assert (found.busy_sec, found.wall_sec) == (6.0, None)
