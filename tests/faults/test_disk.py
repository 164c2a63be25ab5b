"""A full disk, a read-only folder, two at once: one clear line, nothing harmed, and it goes on afterwards."""

import os
import shutil
import subprocess
import time
from contextlib import contextmanager

import pytest

from losstune.cli.main import main
from losstune.study import ledger
from tests.commands import losstune_process as losstune
from tests.faults.study import FEW, LOSSTUNE, RESULTS, SMALL, KilledStudy, environment, short_temp
from tests.test_dvc_repro import make_checkout
from tests.test_pipeline import write_params

KB = 1024


@pytest.fixture
def disk(tmp_path):
    """A file system of 16 MB with a study whose data is prepared."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        write_params(folder, SMALL | FEW)
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def filled(disk, left):
    """Leave so many bytes of the disk, for a while."""
    filler = disk / "filler"
    free = os.statvfs(disk)
    with filler.open("wb") as file:
        file.write(b"x" * (free.f_bavail * free.f_frsize - left))
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(disk):
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)


def refused(folder, *command):
    """Run a command that has to be refused; return its last line."""
    done = losstune(folder, *command, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("losstune: ")
    assert sum(other.startswith("losstune: ") for other in done.stderr.splitlines()) == 1
    return line


@pytest.mark.slow
def test_a_full_disk_is_told_and_the_study_goes_on_where_there_is_room(small_reference, disk):
    with filled(disk, 50 * KB):
        line = refused(disk, "prepare")
    assert "No space left on device" in line
    assert "data/prepared" in line
    assert not (disk / "data").exists()

    losstune(disk, "prepare")
    with filled(disk, 60 * KB):  # 24 files of one page each don't fit, whatever MLflow's thread takes
        line = refused(disk, "tune")
    assert "ledger" in line
    assert "No space left on device" in line
    kept = {path: path.read_bytes() for path in (disk / ".losstune/ledger").glob("??/*.json")}
    assert 0 < len(kept) < 24
    assert not list(disk.rglob(".*.part"))

    losstune(disk, "tune")
    assert {path: path.read_bytes() for path in kept} == kept
    (disk / RESULTS[0]).unlink()
    with filled(disk, 4 * KB):
        line = refused(disk, "tune")
    assert "No space left on device" in line
    assert not (disk / RESULTS[0]).exists()
    assert not list(disk.rglob(".*.part"))

    for stage in ("tune", "confirm"):
        losstune(disk, stage)
    with short_temp() as temp:
        study = KilledStudy(disk, temp)
        study.look_around("the disk was full")
        study.compare(small_reference, RESULTS)
    assert not any(study.tally.faults().values()), study.tally


@pytest.mark.slow
def test_a_read_only_folder_is_told(small_reference, disk):
    with read_only(disk):
        line = refused(disk, "prepare")
    assert "Read-only file system" in line
    assert "data" in line
    shutil.copytree(small_reference / "data", disk / "data", dirs_exist_ok=True)
    with read_only(disk):
        line = refused(disk, "tune")
    assert "Read-only file system" in line
    assert ".losstune" in line
    shutil.copytree(small_reference / ".losstune", disk / ".losstune")
    shutil.copytree(small_reference / "results", disk / "results")
    for stage in ("tune", "confirm", "report"):
        with read_only(disk):
            line = refused(disk, stage)
        assert "Read-only file system" in line
    for stage in ("tune", "confirm"):
        assert "to train 0" in losstune(disk, stage).stdout


def test_a_second_stage_is_told_who_is_at_work(small_reference, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(small_reference, tmp_path / "study")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(ledger, "LOCK_PATIENCE_SEC", 0.1)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with ledger.locked(folder, "tune"), pytest.raises(SystemExit) as ended:
        main(["confirm"])
    assert ended.value.code == 2
    waiting, told = capsys.readouterr().err.splitlines()
    who = f"losstune tune (process {os.getpid()}) is running on this study"
    assert waiting == f"waiting up to 0 s: {who}"
    assert told == f"losstune: {who}; wait for it to end, or stop it, and run again"
    after = {path: path.read_bytes() for path in before if path.exists()}
    assert after == before


@pytest.mark.slow
def test_a_second_repro_is_told_that_there_is_a_first(tmp_path):
    folder = make_checkout(tmp_path, SMALL | {"tune.trials_per_loss": 400, "training.epochs": 20})
    command = [*LOSSTUNE[:3], "-m", "dvc", "repro"]
    with short_temp() as temp:
        study = KilledStudy(folder, temp)
        where = {"cwd": folder, "env": environment(temp), "text": True}
        first = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True, **where)
        try:
            while len(study.ledger()) < 2:
                assert first.poll() is None
                time.sleep(0.05)
            second = subprocess.run(command, capture_output=True, timeout=120, **where)
            assert first.poll() is None
        finally:
            first.kill()
            first.wait()
    assert second.returncode != 0
    assert "Traceback" not in second.stderr
    assert "is busy, it is being blocked by" in second.stderr or "Unable to acquire lock" in second.stderr
