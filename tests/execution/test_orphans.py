"""What a killed study leaves of its Ray is ended, and nothing else; processes that look like Ray's stand in."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from losstune.execution import orphans

OWNER = """
import subprocess, sys, time
from pathlib import Path
from losstune.execution.orphans import owned_folder
with owned_folder(Path(sys.argv[1])) as folder:
    # In a session of its own, as Ray's workers are in groups of their own.
    like_ray = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)  # /ray/", f"{folder}/r"], start_new_session=True)
    print(folder, like_ray.pid, flush=True)
    time.sleep(60)
"""


def start(*command):
    return subprocess.Popen([sys.executable, *command])


def like_ray(folder):
    return start("-c", "import time; time.sleep(60)  # /ray/", f"{folder}/r/session")


def wait_until(condition, timeout_sec=20):
    deadline = time.monotonic() + timeout_sec
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def is_gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def started():
    """Processes that are ended with the test."""
    processes = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize("end", ["kill the process", "kill its group", "interrupt"])
@pytest.mark.integration
def test_an_owner_that_ends_takes_its_ray_along(tmp_path, started, end):
    owner = subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-c", OWNER, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    started.append(owner)
    folder, pid = owner.stdout.readline().split()
    assert not is_gone(int(pid))
    if end == "kill the process":
        owner.kill()
    else:
        os.killpg(owner.pid, signal.SIGKILL if end == "kill its group" else signal.SIGINT)
    owner.wait()
    assert wait_until(lambda: is_gone(int(pid)) and not os.path.exists(folder))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.integration
def test_the_next_start_ends_what_is_left_whoever_has_the_number_now(tmp_path, started):
    # The watchdog was killed as well, and the owner's number is now that of another process: this one.
    folder = tmp_path / f"{orphans.PREFIX}{os.getpid()}-abc"
    folder.mkdir()
    (folder / orphans.LOCK).touch()
    left = like_ray(folder)
    reader = start("-c", "import time; time.sleep(60)", f"{folder}/r/raylet.out")
    neighbour = like_ray(tmp_path / f"{orphans.PREFIX}{os.getpid()}-abcd")
    started += [left, reader, neighbour]
    assert wait_until(lambda: [process.pid for process in orphans.processes_of(folder)] == [left.pid])
    assert orphans.clear(tmp_path) == [folder]
    assert left.wait(timeout=10) == -signal.SIGKILL
    assert not folder.exists()
    assert reader.poll() is None
    assert neighbour.poll() is None
    assert orphans.clear(tmp_path) == []


@pytest.mark.integration
def test_a_living_owner_is_left_in_peace(tmp_path, started):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    started.append(owner)
    folder, pid = owner.stdout.readline().split()
    assert orphans.clear(tmp_path) == []
    assert os.path.exists(folder)
    assert not is_gone(int(pid))
    owner.kill()
    assert wait_until(lambda: is_gone(int(pid)) and not os.path.exists(folder))


@pytest.mark.parametrize("is_alive", [True, False])
def test_a_folder_without_a_lock_is_judged_by_the_number_in_its_name(tmp_path, is_alive):
    number = os.getpid()
    if not is_alive:
        ended = start("-c", "")
        ended.wait()
        number = ended.pid
    folder = tmp_path / f"{orphans.PREFIX}{number}-abc"
    folder.mkdir()
    assert orphans.clear(tmp_path) == ([] if is_alive else [folder])
    assert folder.exists() == is_alive


def test_folders_of_others_stay(tmp_path):
    for name in ("ray", f"{orphans.PREFIX}x-abc", "losstune"):
        (tmp_path / name).mkdir()
    assert orphans.clear(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 3
