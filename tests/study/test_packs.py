"""How many jobs a worker gets at once."""

import pytest

from losstune.core.records import Entry
from losstune.study.jobs import make_job
from losstune.study.ledger import Ledger
from losstune.study.packs import PACK_SEC, Packs
from losstune.study.plan import FixedPlan
from tests.factories import make_execution, make_record
from tests.small import small_task

TASK = small_task()


def packs_of(tmp_path, num, most=256, num_workers=1, *, side_by_side=False, kept_sec=()):
    jobs = [make_job(TASK, "tune", "trial", (index,), f"data {index}", {"torch": "2"}) for index in range(num)]
    plan = FixedPlan(jobs, Ledger(tmp_path))
    record = make_record()
    plan.kept = [Entry(record=record, execution=make_execution(record, duration_sec=sec)) for sec in kept_sec]
    return Packs(plan, most, lambda: num_workers, side_by_side=side_by_side)


def sizes_of(packs):
    sizes, indices = [], []
    while jobs := packs.next():
        sizes.append(len(jobs))
        indices += [job.indices[0] for job in jobs]
    assert indices == list(range(len(indices)))
    return sizes


def test_the_first_packs_are_of_one_job(tmp_path):
    assert sizes_of(packs_of(tmp_path, 5)) == [1] * 5


def test_a_pack_takes_about_as_long_as_it_should_and_the_last_ones_are_small(tmp_path):
    packs = packs_of(tmp_path, 1000, num_workers=2)
    for seconds in (0.04, 0.06):
        packs.took(seconds)
    sizes = sizes_of(packs)
    assert sum(sizes) == 1000
    assert sizes[0] == round(PACK_SEC / 0.05)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-4:] == [1] * 4
    # What is left when the last pack of full size begins keeps both workers busy for as long as it takes.
    num_full = sizes.count(sizes[0])
    assert sum(sizes[num_full:]) >= sizes[0]


@pytest.mark.parametrize(("seconds", "size"), [(2.0, 1), (0.75, 2), (0.001, 256), (0.0, 256)])
def test_the_size_follows_the_duration(tmp_path, seconds, size):
    assert len(packs_of(tmp_path, 2000, kept_sec=[seconds]).next()) == size


def test_what_the_ledger_has_counts_and_the_latest_durations_more_than_old_ones(tmp_path):
    packs = packs_of(tmp_path, 1000, kept_sec=[0.5] * 100)
    assert len(packs.next()) == 3
    for _ in range(64):
        packs.took(0.05)
    assert len(packs.next()) == 30


def test_a_plan_with_one_job_ready_makes_a_pack_of_one(tmp_path):
    packs = packs_of(tmp_path, 1, kept_sec=[0.001])
    assert sizes_of(packs) == [1]
    assert packs.next() == ()


@pytest.mark.parametrize(
    ("num", "most", "num_gpus", "sizes"),
    [
        (100, 64, 1, [64, 36]),
        (100, 64, 4, [25, 25, 25, 25]),
        (10, 64, 4, [3, 3, 2, 2]),
        (3, 64, 8, [1, 1, 1]),
        (600, 64, 4, [64] * 8 + [22] * 4),
        (5, 2, 1, [2, 2, 1]),
    ],
)
def test_gpus_share_what_is_left_evenly(tmp_path, num, most, num_gpus, sizes):
    assert sizes_of(packs_of(tmp_path, num, most, num_gpus, side_by_side=True)) == sizes


def test_what_comes_back_goes_out_first_in_its_order(tmp_path):
    packs = packs_of(tmp_path, 6, most=3, side_by_side=True)
    first = packs.next()
    packs.give_back(first[1:])
    assert not packs.is_exhausted()
    assert [job.indices[0] for job in packs.next()] == [1, 2, 3]
    assert sizes_of_rest(packs) == [4, 5]
    assert packs.is_exhausted()


def sizes_of_rest(packs):
    return [job.indices[0] for jobs in iter(packs.next, ()) for job in jobs]
