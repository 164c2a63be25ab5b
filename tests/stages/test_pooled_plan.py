"""The rounds end at the same records however their trainings arrive, and whoever was interrupted in between."""

import heapq
import random
import shutil

import pytest

from losstune.config.load import load_params
from losstune.core.records import Entry, Execution
from losstune.core.seeds import derive_seed
from losstune.stages import confirm
from losstune.stages.layout import TRIALS, read_records
from losstune.stages.study import open_study
from losstune.stages.workers import find_device
from losstune.study.ledger import Ledger
from losstune.study.packs import Packs
from losstune.verdict.pooled import follow_records
from tests.factories import make_record
from tests.stages.pooled_study import lay_out, run
from tests.test_pipeline import write_params

LOSSES = ["cross_entropy", "kl_divergence", "focal", "gce", "square"]
MEANS = {"cross_entropy": 0.95, "kl_divergence": 0.95, "focal": 0.951, "gce": 0.90, "square": 0.955}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = lay_out(tmp_path_factory.mktemp("pooled-plan") / "study", losses=LOSSES, budget={"trainings": 300})
    run(folder, "prepare", "tune")
    return folder


@pytest.fixture(scope="module")
def study(folder):
    return open_study(load_params(folder / "params.yaml"), folder, folder, find_device)


@pytest.fixture(scope="module")
def trials(folder):
    return read_records(folder / TRIALS)


def trained(job):
    """A made-up result, which depends on the job alone."""
    draw = random.Random(derive_seed(0, job.keys[0]))
    loss = job.task.configuration.loss
    score = 0.3 if job.role == "degraded" else MEANS[loss] + draw.gauss(0.0, 0.004)
    record = make_record(
        stage=job.stage, role=job.role, search=job.search, index=job.indices[0], accuracy=score, loss=loss
    ).model_copy(update={"key": job.keys[0], "configuration": job.task.configuration, "seed": job.task.seeds[0]})
    execution = Execution(key=record.key, started_at=0.0, duration_sec=1.0, device="cpu", commit=None)
    return Entry(record=record, execution=execution)


def follow(study, trials, root, *, num_workers=1, seed=0, limit=None):
    """Work off the plan: so many workers at a time, of which one at random finishes next. Returns plan and jobs."""
    ledger, draw = Ledger(root), random.Random(seed)
    plan = confirm.pooled_plan(study, trials, study.params.budget.trainings, ledger)
    packs = Packs(plan, 1, lambda: num_workers)
    running, done = [], []
    while limit is None or len(done) < limit:
        while len(running) < num_workers and (jobs := packs.next()):
            running += jobs
        if not running:
            assert packs.is_exhausted()
            break
        job = running.pop(draw.randrange(len(running)))
        entry = trained(job)
        ledger.put(entry)
        plan.finish(entry)
        done.append(job)
    return plan, done


@pytest.fixture(scope="module")
def alone(study, trials, tmp_path_factory):
    return follow(study, trials, tmp_path_factory.mktemp("alone"))


def records(plan):
    return [entry.record.model_dump_json() for entry in plan.entries()]


def test_it_has_several_rounds(alone, study, trials):
    plan, done = alone
    found = follow_records(study.params, [*trials, *(entry.record for entry in plan.entries())], 300)
    assert len(found.course.looks) >= 3
    assert len(done) == plan.total


@pytest.mark.parametrize("num_workers", [2, 3, 16])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_arrival_does_not_matter(study, trials, alone, tmp_path, num_workers, seed):
    plan, done = follow(study, trials, tmp_path, num_workers=num_workers, seed=seed)
    assert records(plan) == records(alone[0])
    keys = [job.keys[0] for job in done]
    assert len(set(keys)) == len(keys)
    assert len(done) - plan.total <= 2 * num_workers


@pytest.mark.parametrize("num_done", [1, 20, 45, 60, 90, 130])
def test_who_is_killed_in_the_middle_of_a_round_goes_on_to_the_same_records(study, trials, alone, tmp_path, num_done):
    _, before = follow(study, trials, tmp_path, num_workers=4, seed=3, limit=num_done)
    plan, after = follow(study, trials, tmp_path, num_workers=3, seed=4)
    assert records(plan) == records(alone[0])
    assert {job.keys for job in before}.isdisjoint(job.keys for job in after)


def simulated_sec(study, trials, root, num_workers, *, guesses):
    """Return when the last of these trainings ends, and how many the plan did not need."""
    ledger, draw = Ledger(root), random.Random(7)
    plan = confirm.pooled_plan(study, trials, study.params.budget.trainings, ledger)
    if not guesses:
        plan.foresee = lambda num_workers: None
    packs, running, now, number = Packs(plan, 1, lambda: num_workers), [], 0.0, 0
    while True:
        while len(running) < num_workers and (jobs := packs.next()):
            heapq.heappush(running, (now + draw.lognormvariate(0.0, 0.25), number, jobs[0]))
            number += 1
        if not running:
            return now, number - plan.total
        now, _, job = heapq.heappop(running)
        ledger.put(trained(job))
        plan.finish(trained(job))


def test_workers_that_would_wait_for_the_last_training_of_a_round_begin_the_next_one(study, trials, tmp_path):
    (late, none), (early, few) = (
        simulated_sec(study, trials, tmp_path / str(guesses), 16, guesses=guesses) for guesses in (False, True)
    )
    assert early < 0.95 * late
    assert none == 0
    assert few <= 16


@pytest.mark.integration
def test_ray_and_one_process_write_the_same_bytes(folder, tmp_path):
    found = []
    for executor in ("inline", "ray"):
        study = shutil.copytree(folder, tmp_path / executor)
        write_params(study, {"resources.executor": executor, "resources.max_concurrent": 2})
        run(study, "confirm")
        found.append((study / "results/confirm/blocks.jsonl").read_bytes())
    assert found[0] == found[1]
