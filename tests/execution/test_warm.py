"""Who may take a Ray that another stage has left up; no Ray here, but files and processes that look like its own."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from filelock import FileLock, Timeout

from losstune.execution import orphans, warm

PLACE = warm.Place(Path("/study"), psutil.Process(), "the same")
KEPT = ("127.0.0.1:1", "secret")


@pytest.fixture
def temp(tmp_path, monkeypatch):
    monkeypatch.setattr(orphans, "temp_folder", lambda: tmp_path)
    return tmp_path


def a_ray(temp, owner=None, root="/study"):
    folder = temp / f"{orphans.PREFIX}{owner or os.getpid()}-abc"
    folder.mkdir()
    (folder / warm.ROOT).write_text(root)
    return folder


def offered(folder, place=PLACE):
    lock = FileLock(folder / warm.USER_LOCK)
    warm.Kept(folder, *KEPT, lock).offer(place)


def test_what_is_offered_is_taken_once(temp):
    folder = a_ray(temp)
    assert warm.take(PLACE) is None
    offered(folder)
    assert (folder / warm.WARM_UP).exists()
    kept = warm.take(PLACE)
    assert (kept.folder, kept.address, kept.token) == (folder, *KEPT)
    with pytest.raises(Timeout):
        FileLock(folder / warm.USER_LOCK).acquire(timeout=0)
    assert warm.take(PLACE) is None
    kept.lock.release()


def test_the_token_is_for_this_user_alone(temp):
    with orphans.owned_folder(temp) as folder:
        offered(folder)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / warm.OFFER).stat().st_mode) == 0o600


def test_another_stage_leaves_it_alone(temp):
    offered(a_ray(temp))
    assert warm.take(warm.Place(Path("/study"), psutil.Process(), "something else")) is None
    assert warm.take(PLACE) is not None


def test_an_offer_that_cannot_be_read_is_none(temp):
    folder = a_ray(temp)
    (folder / warm.OFFER).write_text("{")
    assert warm.take(PLACE) is None


AS_A_STAGE = """
import json, sys
from pathlib import Path
from losstune.execution.warm import place_of
place = place_of(Path(sys.argv[1]))
print(json.dumps(place and [place.dvc.pid, place.identity]))
"""


def as_a_stage(root, dvc="dvc", stage="tune", **environment):
    """What `place_of` returns in a process that a program with that name has started twice, in a shell as DVC does."""
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {AS_A_STAGE!r}, {str(root)!r}])"
    script = root / dvc
    script.write_text(f"import os\nfor stage in ('{stage}', 'confirm'):\n os.environ['DVC_STAGE'] = stage\n {child}\n")
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, **environment},
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_two_stages_of_one_dvc_have_one_place_and_nobody_else_has_it(tmp_path):
    first, second = as_a_stage(tmp_path)
    assert first == second
    assert first is not None
    (another_run, _) = as_a_stage(tmp_path)
    (another_environment, _) = as_a_stage(tmp_path, OMP_NUM_THREADS="7")
    assert len({first[1], another_run[1], another_environment[1]}) == 3
    assert as_a_stage(tmp_path, dvc="make") == [None, None]


def test_without_dvc_there_is_no_place(tmp_path, monkeypatch):
    monkeypatch.delenv("DVC_STAGE", raising=False)
    assert warm.place_of(tmp_path) is None


@pytest.fixture
def keeper(temp):
    """A process that looks like a keeper, with its Ray."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", warm.KEEPER])
    folder = a_ray(temp, process.pid)
    like_ray = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)  # /ray/", f"{folder}/r"])
    time.sleep(0.3)
    yield process, like_ray, folder
    for each in (process, like_ray):
        each.kill()
        each.wait()


@pytest.mark.parametrize("how", ["in use by a stage that was killed", "offered to another dvc"])
def test_a_stage_ends_what_was_left_up_for_its_study(keeper, how):
    process, like_ray, folder = keeper
    if how == "offered to another dvc":
        offered(folder)
    warm.end_others(Path("/study"), None)
    assert process.wait(10) == -signal.SIGKILL
    assert like_ray.wait(10) == -signal.SIGKILL
    assert not folder.exists()


def test_a_stage_spares_what_it_may_take_and_what_belongs_to_other_studies(keeper):
    process, like_ray, folder = keeper
    warm.end_others(Path("/another study"), PLACE)
    offered(folder)
    warm.end_others(Path("/study"), PLACE)
    assert process.poll() is None
    assert like_ray.poll() is None
    assert folder.exists()
