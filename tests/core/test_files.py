import hashlib
import json
import math
import os
import stat
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from losstune.core import files
from losstune.core.files import canonical_json, digest, write_atomically, write_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_canonical_json_by_hand():
    value = {"b": [1, 2.5, None, True], "a": {"é": "ü", "z": ""}}
    assert canonical_json(value) == '{"a":{"z":"","é":"ü"},"b":[1,2.5,null,true]}'


@given(JSON)
def test_canonical_json_is_json(value):
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(), JSON, min_size=2, max_size=5))
def test_the_order_of_keys_does_not_count(value):
    backward = dict(reversed(value.items()))
    assert canonical_json(backward) == canonical_json(value)
    assert digest(backward) == digest(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_express_is_an_error(value, tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        canonical_json([value])
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"x": value})
    assert list(tmp_path.iterdir()) == []


def test_digest_is_the_sha256_of_the_canonical_text():
    assert digest({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()
    assert len({digest(1), digest(1.0), digest("1"), digest([1]), digest(True)}) == 5


@pytest.mark.parametrize(("content", "expected"), [("grüße\n", "grüße\n".encode()), (b"\x00\xff", b"\x00\xff")])
def test_writes_text_and_bytes_and_the_folders_above(tmp_path, content, expected):
    path = tmp_path / "a" / "b" / "file"
    write_atomically(path, content)
    assert path.read_bytes() == expected


def test_replaces_what_was_there(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, "a long text that was there before")
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failing_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, step, error):
    path = tmp_path / "file"
    write_atomically(path, "old")

    def fail(*_):
        raise error

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(type(error)):
        write_atomically(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_the_content_is_on_the_disk_before_the_name_points_to_it(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(files.os, "fsync", lambda handle: (steps.append("fsync"), fsync(handle)))
    monkeypatch.setattr(files.os, "replace", lambda *names: (steps.append("replace"), replace(*names)))
    write_atomically(tmp_path / "file", "new")
    assert steps[:2] == ["fsync", "replace"]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        write_atomically(tmp_path / "file" / "below", "new")
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_reader_finds_the_old_or_the_new_and_never_a_part(tmp_path):
    path = tmp_path / "file"
    contents = ["a" * 200_000, "b" * 200_000]
    write_atomically(path, contents[0])
    torn: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            text = path.read_text()
            if text not in contents:
                torn.append(text[:20])

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(60):
        write_atomically(path, contents[number % 2])
    done.set()
    reader.join()
    assert torn == []


def test_others_may_read_what_is_written(tmp_path):
    path = tmp_path / "file"
    before = os.umask(0o022)
    try:
        write_atomically(path, "shared")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_json_for_people(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": 1, "a": ["ü"]})
    assert path.read_text(encoding="utf-8") == '{\n  "a": [\n    "ü"\n  ],\n  "b": 1\n}\n'


def test_what_a_killed_writer_left_is_removed_by_the_next_and_no_more(tmp_path):
    path = tmp_path / "a.json"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    stale = tmp_path / f".a.json.{ended.pid}-0123.part"
    others = [
        tmp_path / f".a.json.{os.getpid()}-0123.part",
        tmp_path / f".b.json.{ended.pid}-0123.part",
        tmp_path / ".a.json.x-0123.part",
    ]
    for part in (stale, *others):
        part.write_text("half")
    write_atomically(path, "whole")
    assert sorted(tmp_path.iterdir()) == sorted([path, *others])
