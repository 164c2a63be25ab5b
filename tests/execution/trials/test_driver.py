"""What becomes of a pack's trainings when its worker reports, or is lost; no Ray here."""

import time

import pytest

from losstune.core.errors import LosstuneError
from losstune.execution.trials.driver import Driver
from losstune.execution.trials.retries import Pack
from losstune.study.jobs import Timed, make_job
from losstune.study.ledger import Ledger
from losstune.study.ledger_writer import LedgerWriter
from losstune.study.packs import Packs
from losstune.study.plan import FixedPlan
from losstune.training.task import TrainingResult
from losstune.training.task import failed as failed_results
from tests.small import small_task

JOBS = [
    make_job(small_task(learning_rate=10.0**-index), "tune", "trial", (index,), "data", {"torch": "2"})
    for index in range(6)
]


def timed(status="finished", *, started_at=None, out_of_memory=False):
    result = TrainingResult(status=status, cause=None, num_parameters=1, curve=(), validation={"accuracy": 0.5})
    return Timed(
        results=[result],
        started_at=time.time() if started_at is None else started_at,
        duration_sec=0.1,
        device="cpu",
        out_of_memory=out_of_memory,
    )


class Started:
    """A driver whose first pack has been handed out with `num` jobs; the plan has the rest."""

    def __init__(self, root, num=4, side_by_side=True):
        self.finished, self.writer = {}, LedgerWriter(root, None)
        packs = Packs(FixedPlan(JOBS, Ledger(root)), num, side_by_side=True)
        self.driver = Driver(packs, self.writer, self._finish, side_by_side)
        pack = self.driver.next()
        assert pack == Pack(tuple(JOBS[:num]))
        self.running = self.driver.start(pack)

    def _finish(self, job, entry):
        assert job.indices[0] not in self.finished
        self.finished[job.indices[0]] = entry.record.status

    def next_packs(self):
        found = []
        while (pack := self.driver.next()) is not None:
            found.append(([job.indices[0] for job in pack.jobs], pack.alone))
        return found


@pytest.fixture
def in_sequence(tmp_path):
    return Started(tmp_path, side_by_side=False)


@pytest.fixture
def on_a_gpu(tmp_path):
    return Started(tmp_path)


def test_the_training_that_ran_is_retried_alone_and_what_had_not_begun_comes_next(in_sequence):
    driver = in_sequence.driver
    driver.take(in_sequence.running, [(0, in_sequence.writer.write(JOBS[0], timed()).model_dump_json().encode())])
    driver.lose(in_sequence.running, "worker", "it died")
    assert in_sequence.finished == {0: "finished"}
    assert in_sequence.next_packs() == [([1], True), ([2, 3, 4, 5], False)]


def test_what_a_dead_worker_had_stored_counts_though_it_was_not_reported(in_sequence):
    in_sequence.writer.write(JOBS[0], timed("failed", started_at=1.0))  # of an earlier run
    for job in JOBS[:2]:
        in_sequence.writer.write(job, timed())
    in_sequence.driver.lose(in_sequence.running, "worker", "it died")
    assert in_sequence.finished == {0: "finished", 1: "finished"}
    assert in_sequence.next_packs() == [([2], True), ([3, 4, 5], False)]


def test_a_failure_of_an_earlier_run_is_no_result(in_sequence):
    in_sequence.writer.write(JOBS[0], timed("failed", started_at=1.0))
    in_sequence.driver.lose(in_sequence.running, "worker", "it died")
    assert in_sequence.finished == {}
    assert in_sequence.next_packs() == [([0], True), ([1, 2, 3, 4], False), ([5], False)]


def test_on_a_gpu_every_training_ran(on_a_gpu):
    on_a_gpu.driver.take(on_a_gpu.running, [(2, on_a_gpu.writer.write(JOBS[2], timed()).model_dump_json().encode())])
    on_a_gpu.driver.lose(on_a_gpu.running, "worker", "it died")
    assert on_a_gpu.next_packs() == [([0], True), ([1], True), ([3], True), ([4, 5], False)]


@pytest.mark.parametrize("side_by_side", [True, False])
def test_a_time_limit_ends_the_training_that_is_known_to_have_exceeded_it(tmp_path, side_by_side):
    started = Started(tmp_path, side_by_side=side_by_side)
    started.driver.lose(started.running, "time", "took longer")
    if side_by_side:
        assert started.finished == {}
        assert started.next_packs() == [([0], True), ([1], True), ([2], True), ([3], True), ([4, 5], False)]
    else:
        assert started.finished == {0: "failed"}
        assert Ledger(tmp_path).get(JOBS[0].keys[0]).record.cause == "took longer"
        assert started.next_packs() == [([1, 2, 3, 4], False), ([5], False)]


def test_full_memory_is_retried_once_and_then_kept_as_a_failure(on_a_gpu):
    full = Timed(
        results=failed_results(JOBS[1].task, "no room"),
        started_at=time.time(),
        duration_sec=0.1,
        device="cuda",
        out_of_memory=True,
    )
    driver = on_a_gpu.driver
    driver.take(on_a_gpu.running, [(1, full)])
    assert on_a_gpu.finished == {}
    again = driver.next()
    assert again == Pack((JOBS[1],), alone=True)
    driver.take(driver.start(again), [(0, full)])
    assert on_a_gpu.finished == {1: "failed"}


def test_it_is_over_when_nothing_is_out_and_nothing_is_left(tmp_path):
    started = Started(tmp_path, num=6)
    driver = started.driver
    assert driver.next() is None
    assert not driver.is_over()
    driver.take(started.running, [(number, timed()) for number in range(6)])
    driver.end()
    assert driver.is_over()
    assert started.finished == dict.fromkeys(range(6), "finished")


def test_a_problem_of_the_worker_is_kept_for_whoever_ran_it(in_sequence):
    problem = LosstuneError("no room")
    with pytest.raises(LosstuneError, match="no room"):
        in_sequence.driver.take(in_sequence.running, [(0, problem)])
    assert in_sequence.driver.problem is problem
