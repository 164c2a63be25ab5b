"""Ray stays up from tune to confirm within one ``dvc repro``, and is gone soon, whoever is killed."""

import os
import signal
import subprocess
import time

import psutil
import pytest

from losstune.execution import orphans, warm
from tests.faults.study import DVC, FEW, RESULTS, SMALL, KilledStudy, environment, short_temp
from tests.test_dvc_repro import make_checkout

REPRO = [*DVC, "repro"]


@pytest.fixture
def temp():
    with short_temp() as folder:
        yield folder


@pytest.fixture
def study(tmp_path, temp):
    return KilledStudy(make_checkout(tmp_path, SMALL | FEW | {"resources.executor": "ray"}), temp)


def start(study, temp):
    return subprocess.Popen(
        REPRO,
        cwd=study.folder,
        env=environment(temp),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def keepers():
    return [process for process in psutil.process_iter() if warm.KEEPER in _command(process)]


def _command(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def watched(study, temp):
    """Run ``dvc repro`` to its good end; return the Rays that were there, and how often one was offered."""
    repro, rays, offers = start(study, temp), set(), 0
    while repro.poll() is None:
        rays |= {path.name for path in temp.glob(f"{orphans.PREFIX}*")}
        offers += bool(list(temp.glob(f"{orphans.PREFIX}*/{warm.OFFER}")))
        time.sleep(0.02)
    assert repro.returncode == 0
    study.look_around("a repro")
    return rays, offers


@pytest.mark.slow
def test_each_study_of_a_matrix_has_one_ray(tmp_path, temp):
    losses = ["cross_entropy", "kl_divergence", "focal", "gce"]
    folder = make_checkout(tmp_path, SMALL | FEW | {"losses": losses, "resources.executor": "ray"}, matrix=True)
    study = KilledStudy(folder, temp)
    rays, _ = watched(study, temp)
    assert len(rays) == 2
    assert not study.tally.orphans, study.tally


@pytest.mark.slow
def test_confirm_uses_the_ray_of_tune(small_reference, study, temp):
    rays, offers = watched(study, temp)
    assert len(rays) == 1
    assert offers > 0
    study.compare(small_reference, RESULTS)
    assert not any(study.tally.faults().values()), study.tally


@pytest.mark.slow
@pytest.mark.parametrize("who", ["dvc", "the group", "the keeper"])
@pytest.mark.parametrize("when", ["offered", "taken"])
def test_a_kill_between_or_during_the_stages_leaves_no_ray(small_reference, study, temp, who, when):
    repro = start(study, temp)

    def is_offered():
        return bool(list(temp.glob(f"{orphans.PREFIX}*/{warm.OFFER}")))

    while not is_offered():
        assert repro.poll() is None
        time.sleep(0.01)
    if when == "taken":
        while is_offered():
            assert repro.poll() is None
            time.sleep(0.001)
    if who == "dvc":
        repro.kill()
    elif who == "the group":
        os.killpg(repro.pid, signal.SIGKILL)
    else:
        mine = [process for process in keepers() if process.environ().get("TMPDIR") == str(temp)]
        assert len(mine) == 1
        mine[0].kill()
    repro.wait()
    study.look_around(f"{who} was killed")
    study.run("dvc", "repro")
    study.compare(small_reference, RESULTS)
    assert not any(study.tally.faults().values()), study.tally
