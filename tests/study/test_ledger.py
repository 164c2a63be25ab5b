"""The ledger keeps what it is given, whole or not at all, and lets one stage at a time write."""

import json
import os
import signal
import subprocess
import sys
import threading
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
    record = record.model_copy(update={"status": "diverged", "validation": {"accuracy": 0.0, "nll": float("inf")}})
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
        next(ledger.folder.glob("??/*.json")), ledger.folder / second.record.key[:2] / f"{second.record.key}.json"
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


def test_weights_and_finished_work_are_shared_on_request(tmp_path):
    root, url = tmp_path / "own", str(tmp_path / "shared")
    kept, late = (entry(loss="focal", stage="tune", index=index, accuracy=0.9) for index in (1, 2))
    Ledger(root).put(kept, weights=b"weights")
    shared = SharedLedger(url, tmp_path)
    own = Ledger(root, shared=shared)
    own.share([kept.record.key])
    own.share([kept.record.key])
    own.put(late)
    shared.close(wait=True)
    assert sorted(path.name for path in (tmp_path / "shared").rglob("*.*")) == sorted(
        [f"{kept.record.key}.json", f"{kept.record.key}.safetensors", f"{late.record.key}.json"]
    )
    theirs = Ledger(tmp_path / "theirs", shared=SharedLedger(url, tmp_path))
    assert not list(theirs.folder.rglob("*.safetensors"))
    path = theirs.weights(kept.record.key)
    assert path == theirs.folder / kept.record.key[:2] / f"{kept.record.key}.safetensors"
    assert path.read_bytes() == b"weights"
    assert theirs.weights(late.record.key) is None
    # What the disk has is not asked for again, and what the storage doesn't name isn't either.
    shared_again = SharedLedger(url, tmp_path)
    shared_again.weights = None
    assert Ledger(root, shared=shared_again).weights(kept.record.key).read_bytes() == b"weights"
    assert Ledger(root, shared=shared_again).weights("0" * 64) is None


def test_nothing_is_shared_without_a_shared_ledger(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.share(["0" * 64])
    assert ledger.weights("0" * 64) is None


def test_what_is_there_is_known_whether_it_can_be_read_or_not(tmp_path):
    ledger, kept = Ledger(tmp_path), entry(loss="focal", stage="tune", index=3, accuracy=0.9)
    assert kept.record.key not in ledger
    ledger.put(kept)
    next(ledger.folder.glob("??/*.json")).write_bytes(b"{")
    assert kept.record.key in ledger
    assert list(Ledger(tmp_path, look_only=True)) == []
    assert kept.record.key in ledger


def test_work_of_another_schema_is_left_alone_and_done_again(tmp_path, capsys):
    ledger, kept = Ledger(tmp_path), entry(loss="focal", stage="tune", index=3, accuracy=0.9)
    ledger.put(kept)
    path = next(ledger.folder.glob("??/*.json"))
    content = json.loads(path.read_text())
    content["record"]["schema_version"] -= 1
    path.write_text(json.dumps(content))
    assert ledger.get(kept.record.key) is None
    assert path.exists()
    assert not capsys.readouterr().err


def test_a_damaged_file_is_told_with_the_first_line_of_why(tmp_path, capsys):
    ledger, kept = Ledger(tmp_path), entry(loss="focal", stage="tune", index=3, accuracy=0.9)
    ledger.put(kept)
    path = next(ledger.folder.glob("??/*.json"))
    path.write_text(path.read_text().replace("confirm", "?").replace("0.25", '"long"'))
    assert ledger.get(kept.record.key) is None
    assert capsys.readouterr().err == (
        f"ledger: {path.with_suffix('.unreadable')} cannot be read (1 validation error for Entry); its training is "
        "repeated\n"
    )


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("losstune.study.ledger.write_atomically", full)
    kept = entry(loss="focal", stage="tune", index=3, accuracy=0.9)
    with pytest.raises(LosstuneError) as caught:
        Ledger(tmp_path).put(kept)
    folder = tmp_path / ".losstune" / "ledger" / kept.record.key[:2]
    assert str(caught.value) == f"{folder}: cannot store finished trainings here: No space left on device"


def test_the_lock_is_held_named_and_freed_whatever_happens(tmp_path):
    root = tmp_path / "deep" / "study"
    holder = root / ".losstune" / "lock.holder"

    def interrupted():
        with locked(root, "tune"):
            assert holder.read_text(encoding="utf-8") == f"losstune tune (process {os.getpid()})"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not holder.exists()
    with locked(root, "confirm", patience_sec=0.0):
        holder.unlink()  # a holder that could not write its name
    with locked(root, "confirm", patience_sec=0.0):
        pass


def test_who_waits_says_for_whom_and_how_long(tmp_path, capsys, monkeypatch):
    def refused(**patience):
        with pytest.raises(LosstuneError) as caught, locked(tmp_path, "confirm", **patience):
            pass
        return str(caught.value), capsys.readouterr().err

    with locked(tmp_path, "tune"):
        mine = f"losstune tune (process {os.getpid()})"
        rest = "is running on this study; wait for it to end, or stop it, and run again"
        assert refused(patience_sec=0.0) == (f"{mine} {rest}", "")
        waiting = f"waiting up to 1 s: {mine} is running on this study\n"
        start = time.monotonic()
        assert refused(patience_sec=1.2) == (f"{mine} {rest}", waiting)
        assert time.monotonic() - start >= 1.2
        monkeypatch.setattr("losstune.study.ledger.LOCK_PATIENCE_SEC", 0.3)
        assert refused() == (f"{mine} {rest}", waiting.replace("1 s", "0 s"))
        for nothing in (lambda path: path.write_text(""), Path.unlink):
            nothing(tmp_path / ".losstune" / "lock.holder")
            assert refused(patience_sec=0.0)[0] == f"another losstune {rest}"


def test_a_queued_experiment_waits_for_its_turn(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DVC_EXP_NAME", "puny-axle")
    monkeypatch.setattr("losstune.study.ledger.LOCK_PATIENCE_SEC", 0.0)
    first, done = locked(tmp_path, "tune"), threading.Event()
    first.__enter__()

    def second():
        with locked(tmp_path, "confirm"):
            done.set()

    thread = threading.Thread(target=second, daemon=True)
    thread.start()
    assert not done.wait(1.5)
    first.__exit__(None, None, None)
    assert done.wait(10)
    thread.join(10)
    told = f"waiting: losstune tune (process {os.getpid()}) is running on this study\n"
    assert capsys.readouterr().err == told


def test_a_folder_where_nothing_can_be_written_is_one_line(tmp_path):
    (tmp_path / ".losstune").write_text("in the way")
    with pytest.raises(LosstuneError) as caught, locked(tmp_path, "tune"):
        pass
    assert str(caught.value) == f"{tmp_path / '.losstune'}: cannot be written: File exists"


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
