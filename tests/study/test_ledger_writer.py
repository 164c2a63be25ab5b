"""A finished training is in the ledger when `keep` returns, whoever calls it."""

import pickle

from losstune.study.jobs import make_job, train_pack
from losstune.study.ledger import Ledger
from losstune.study.ledger_writer import LedgerWriter
from tests.small import digits_arrays, small_task


def test_a_kept_training_is_what_the_ledger_returns(tmp_path):
    task = small_task(test=True, keep_weights=True)
    job = make_job(task, "confirm", "block", (3,), "data", {"torch": "2"}, search=1)
    writer = pickle.loads(pickle.dumps(LedgerWriter(tmp_path, "abc-dirty")))
    ((_, timed),) = train_pack([task], digits_arrays(), (), lambda *_: True)
    entry = writer.write(job, timed)
    ledger = Ledger(tmp_path)
    assert ledger.get(job.keys[0]) == entry
    assert (entry.record.index, entry.record.search, entry.record.status) == (3, 1, "finished")
    assert entry.execution.commit == "abc-dirty"
    assert ledger.weights(job.keys[0]).read_bytes() == timed.results[0].weights
    assert writer.written(job, timed.started_at) == entry
    assert writer.written(job, timed.started_at + 0.001) is None


def test_nothing_is_kept_before(tmp_path):
    job = make_job(small_task(), "tune", "trial", (0,), "data", {"torch": "2"})
    assert LedgerWriter(tmp_path, None).written(job, 0.0) is None
