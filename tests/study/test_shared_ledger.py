"""What one machine has trained another finds, whatever happens to the storage between them."""

import re
import threading
from pathlib import Path

import fsspec
import pytest

from losstune.core.errors import LosstuneError
from losstune.study.ledger import Ledger
from losstune.study.shared_ledger import NUM_AT_A_TIME, SharedLedger
from tests.study.test_ledger import entry


@pytest.fixture(params=["folder", "object store"])
def url(request, tmp_path):
    """Where two machines share; fsspec's storage in memory stands for a bucket."""
    if request.param == "folder":
        yield str(tmp_path / "shared" / "study")
        return
    yield "memory://bucket/study"
    if fsspec.filesystem("memory").exists("/bucket"):
        fsspec.filesystem("memory").rm("/bucket", recursive=True)


def entries(number, **values):
    return [entry(loss="focal", stage="tune", index=index, accuracy=0.9, **values) for index in range(number)]


def finish(root, url, finished, weights=None):
    """A machine trains these, and ends."""
    shared = SharedLedger(url, root)
    ledger = Ledger(root, shared=shared)
    for one in finished:
        ledger.put(one, weights)
    shared.close(wait=True)
    return ledger


def test_another_machine_keeps_what_the_first_has_trained(tmp_path, url, capsys):
    finished = entries(NUM_AT_A_TIME + 3)
    first = finish(tmp_path / "first", url, finished)
    assert not capsys.readouterr().out
    second = Ledger(tmp_path / "second", shared=SharedLedger(url, tmp_path))
    assert capsys.readouterr().out == f"ledger: took {len(finished)} finished trainings from {url}\n"
    for one in finished:
        assert second.get(one.record.key) == one
    names = [path.relative_to(first.folder) for path in sorted(first.folder.rglob("*.json"))]
    assert [path.relative_to(second.folder) for path in sorted(second.folder.rglob("*.json"))] == names
    assert all((first.folder / name).read_bytes() == (second.folder / name).read_bytes() for name in names)
    # From now on it needs the storage no more.
    assert Ledger(tmp_path / "second").get(finished[0].record.key) == finished[0]
    Ledger(tmp_path / "second", shared=SharedLedger(url, tmp_path))
    assert not capsys.readouterr().out


def test_weights_are_taken_when_they_are_asked_for(tmp_path, url):
    (kept,) = finished = entries(1)
    key = kept.record.key
    finish(tmp_path / "first", url, finished, b"weights")
    second = Ledger(tmp_path / "second", shared=SharedLedger(url, tmp_path))
    assert not list(second.folder.rglob("*.safetensors"))
    assert second.weights(key).read_bytes() == b"weights"
    assert Ledger(tmp_path / "second").weights(key).read_bytes() == b"weights"
    assert second.weights("0" * 64) is None


def test_an_entry_without_weights_has_none(tmp_path, url):
    (kept,) = finished = entries(1)
    finish(tmp_path / "first", url, finished)
    assert Ledger(tmp_path / "second", shared=SharedLedger(url, tmp_path)).weights(kept.record.key) is None


def test_what_was_trained_without_it_is_shared_later(tmp_path, url):
    alone = Ledger(tmp_path / "first")
    finished = entries(3)
    for one in finished:
        alone.put(one, b"weights")
    shared = SharedLedger(url, tmp_path)
    Ledger(tmp_path / "first", shared=shared).share(one.record.key for one in finished[:2])
    shared.close(wait=True)
    found = SharedLedger(url, tmp_path)
    assert found.keys == {one.record.key for one in finished[:2]}
    assert found.weights(finished[1].record.key) == b"weights"


def test_looking_writes_nothing(tmp_path, url, capsys):
    (kept,) = finished = entries(1)
    finish(tmp_path / "first", url, finished)
    ledger = Ledger(tmp_path / "second", shared=SharedLedger(url, tmp_path), look_only=True)
    assert ledger.get(kept.record.key) == kept
    assert not (tmp_path / "second").exists()
    assert not capsys.readouterr().out


def test_half_an_entry_is_trained_again_and_sent_again(tmp_path, url, capsys):
    (kept,) = finished = entries(1)
    finish(tmp_path / "first", url, finished)
    files, root = fsspec.core.url_to_fs(url)
    (path,) = (path for path in files.find(root) if path.endswith(".json"))
    whole = files.cat_file(path)
    files.pipe_file(path, whole[: len(whole) // 2])
    shared = SharedLedger(url, tmp_path)
    second = Ledger(tmp_path / "second", shared=shared)
    assert second.get(kept.record.key) is None
    assert "cannot be read" in capsys.readouterr().err
    second.put(kept)
    shared.close(wait=True)
    assert files.cat_file(path) == whole


def test_other_files_are_left_alone(tmp_path, url):
    files, root = fsspec.core.url_to_fs(url)
    names = ("notes.txt", f"ledger/ab/{'ab' * 31}.json", "../outside.json", f"ledger/zz/{'g' * 64}.json")
    for name in names:
        files.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
        files.pipe_file(f"{root}/{name}", b"{}")
    shared = SharedLedger(url, tmp_path)
    assert not shared.keys
    assert not shared.registrations


def test_a_storage_that_fails_costs_nothing_and_is_told_once(tmp_path, url, capsys, monkeypatch):
    shared = SharedLedger(url, tmp_path)
    ledger, finished = Ledger(tmp_path / "first", shared=shared), entries(20)
    tried = []

    def fail(*arguments):
        tried.append(arguments)
        raise OSError("no route to host")

    monkeypatch.setattr(shared, "_write", fail)
    for one in finished:
        ledger.put(one)
    shared.close(wait=True)
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told == (
        f"resources.ledger: 20 of the files to be shared are here but not at {url} (no route to host); the next run "
        "sends them\n"
    )
    assert len(tried) <= 8  # those already on their way; then no more
    assert {one.record.key for one in Ledger(tmp_path / "first")} == {one.record.key for one in finished}
    # The next run sends them.
    again = SharedLedger(url, tmp_path)
    Ledger(tmp_path / "first", shared=again).share(one.record.key for one in finished)
    again.close(wait=True)
    assert len(SharedLedger(url, tmp_path).keys) == 20


@pytest.mark.parametrize(
    ("error", "reason"),
    [(OSError("https://me:secret@example.com\nrefused"), r"https://\S*@?example\.com refused"), (OSError(), "OSError")],
)
def test_why_a_storage_fails_is_one_line_without_secrets(tmp_path, capsys, monkeypatch, error, reason):
    shared = SharedLedger(str(tmp_path / "shared"), tmp_path)

    def fail(*_):
        raise error

    monkeypatch.setattr(shared, "_write", fail)
    Ledger(tmp_path / "first", shared=shared).put(entries(1)[0])
    shared.close(wait=True)
    told = capsys.readouterr().err
    assert re.search(rf"\({reason}\); the next run sends them\n$", told), told
    assert "secret" not in told


def test_an_interrupt_does_not_wait_for_what_is_unsent(tmp_path, url, monkeypatch):
    shared, go = SharedLedger(url, tmp_path), threading.Event()
    ledger = Ledger(tmp_path / "first", shared=shared)
    sent = []

    def slowly(name, content):
        go.wait(10)
        sent.append(name)

    monkeypatch.setattr(shared, "_write", slowly)
    for one in entries(100):
        ledger.put(one)
    threading.Timer(0.2, go.set).start()
    shared.close(wait=False)
    assert len(sent) <= 16


def test_a_folder_may_be_given_from_the_root_of_the_study(tmp_path):
    finish(tmp_path / "study", "../shared", entries(2))
    assert len(list((tmp_path / "shared").glob("ledger/??/*.json"))) == 2


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("s4://bucket/study", "Protocol not known: s4"),
        ("ftp://me:secret@127.0.0.1/study", "credentials belong in the environment"),
    ],
)
def test_a_storage_that_is_none_is_one_line(tmp_path, url, reason):
    with pytest.raises(LosstuneError) as caught:
        SharedLedger(url, tmp_path)
    line = str(caught.value)
    assert line.startswith("resources.ledger: ")
    assert reason in line
    assert "\n" not in line
    assert "secret" not in line


def test_a_file_is_no_folder(tmp_path):
    Path(tmp_path / "shared").write_text("")
    with pytest.raises(LosstuneError, match=r"resources\.ledger: shared: is a file; expected a folder"):
        SharedLedger("shared", tmp_path)
