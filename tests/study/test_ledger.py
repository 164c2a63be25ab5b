"""The ledger keeps what it is given, whole or not at all, and lets one stage at a time write."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from losstune.core.errors import LosstuneError
from losstune.core.records import Entry, Execution
from losstune.study.ledger import Ledger, locked
from losstune.study.shared_ledger import SharedLedger
from tests.factories import make_record


def entry(**values):
    record = make_record(**values)
    execution = Execution(key=record.key, started_at=1.5, duration_sec=0.25, device="cpu", commit=None)
    return Entry(record=record, execution=execution)


def test_what_is_kept_comes_back_equal(tmp_path):
    ledger, kept = Ledger(tmp_path), entry(loss="focal", stage="tune", index=3, accuracy=0.9)
    assert ledger.get(kept.record.key) is None
    ledger.put(kept, weights=b"weights")
    assert Ledger(tmp_path).get(kept.record.key) == kept
    assert ledger.weights(kept.record.key).read_bytes() == b"weights"
    assert list(ledger) == [kept]


def test_infinite_scores_survive(tmp_path):
    ledger = Ledger(tmp_path)
    record = make_record(loss="focal", stage="tune", index=0, accuracy=0.0)
    record = record.model_copy(
        update={"status": "diverged", "validation": {"accuracy": 0.0, "nll": float("inf")}}
    )
    kept = Entry(record=record, execution=entry(loss="focal", stage="tune", index=0, accuracy=0.0).execution)
    ledger.put(kept)
    assert ledger.get(record.key) == kept


@pytest.mark.parametrize("damage", [b"", b"{", b'{"record": {"schema_version": 3}}', b"\xff\xfe"])
def test_a_damaged_file_is_set_aside_and_told(tmp_path, capsys, damage):
    ledger, kept = Ledger(tmp_path), entry(loss="focal", stage="tune", index=3, accuracy=0.9)
    ledger.put(kept)
    path = next(ledger.folder.glob("??/*.json"))
    path.write_bytes(damage)
    assert ledger.get(kept.record.key) is None
    assert "cannot be read" in capsys.readouterr().err
    assert path.with_suffix(".unreadable").read_bytes() == damage
    ledger.put(kept)
    assert ledger.get(kept.record.key) == kept


def test_a_file_under_anothers_name_does_not_count(tmp_path, capsys):
    ledger = Ledger(tmp_path)
    first, second = (entry(loss="focal", stage="tune", index=index, accuracy=0.9) for index in (1, 2))
    ledger.put(first)
    os.renames(
        next(ledger.folder.glob("??/*.json")),
        ledger.folder / second.record.key[:2] / f"{second.record.key}.json",
    )
    assert ledger.get(second.record.key) is None


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / ".losstune").write_text("in the way")
    with pytest.raises(LosstuneError, match=r"\.losstune"):
        Ledger(tmp_path).put(entry(loss="focal", stage="tune", index=3, accuracy=0.9))
    with pytest.raises(LosstuneError, match=r"\.losstune"), locked(tmp_path, "tune"):
        pass


def test_what_others_share_lies_where_ones_own_would(tmp_path, capsys):
    kept = entry(loss="focal", stage="tune", index=3, accuracy=0.9)
    Ledger(tmp_path / "own").put(kept)
    shared = SharedLedger(str(tmp_path / "shared"), tmp_path)
    theirs = Ledger(tmp_path / "theirs", shared=shared)
    theirs.put(kept)
    shared.close(wait=True)
    taken = Ledger(tmp_path / "taken", shared=SharedLedger(str(tmp_path / "shared"), tmp_path))
    files = [
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*.json")}
        for root in (tmp_path / "own", tmp_path / "theirs", tmp_path / "taken")
    ]
    assert list(files[0]) == [Path(f".losstune/ledger/{kept.record.key[:2]}/{kept.record.key}.json")]
    assert files[0] == files[1] == files[2]
    assert taken.get(kept.record.key) == kept
    assert capsys.readouterr().out == f"ledger: took 1 finished trainings from {tmp_path}/shared\n"


HOLD = """
import sys, time
from pathlib import Path
from losstune.study.ledger import locked
with locked(Path(sys.argv[1]), "tune"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_names_its_holder_and_is_freed_by_its_death(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(LosstuneError, match=rf"losstune tune \(process {holder.pid}\) is running"),
            locked(tmp_path, "confirm", patience_sec=0.2),
        ):
            pass
        holder.send_signal(signal.SIGKILL)
        start = time.monotonic()
        with locked(tmp_path, "confirm", patience_sec=10):
            assert time.monotonic() - start < 8
    finally:
        holder.kill()
        holder.wait()
