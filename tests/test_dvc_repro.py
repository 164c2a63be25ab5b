"""``dvc repro`` as a user runs it, in a checkout of its own: to the verdict, to nothing to do, and after kill -9."""

import json
import shutil
import signal
import subprocess
import time

import psutil
import pytest

from tests.commands import DVC, environment, run
from tests.paths import REPOSITORY
from tests.shared import made_once
from tests.test_pipeline import SMALL, ledger, write_params

pytestmark = pytest.mark.integration


@pytest.fixture
def checkout(tmp_path):
    """The repository's files, as they are, in a Git repository with a small study."""
    return make_checkout(tmp_path, SMALL)


def reproduced(factory):
    """Return the folder of a study that ``dvc repro`` took to its verdict, for reading, and what was printed."""

    def make(folder):
        (folder / "study").mkdir()
        checkout = make_checkout(folder / "study", SMALL | {"tracking.enabled": True})
        (folder / "said").write_text(repro(checkout))

    folder = made_once(factory, "reproduced", make)
    return folder / "study", (folder / "said").read_text()


def repro(folder):
    """Run ``dvc repro``, which has to end well; return all that is printed, libraries' words among it."""
    done = subprocess.run(
        [*DVC, "repro"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def make_checkout(folder, changes):
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )
    for name in files.stdout.decode().rstrip("\0").split("\0"):
        if name.startswith(("src/", ".dvc", "data/raw/", "mlruns/")) or name in (
            "dvc.yaml",
            "params.yaml",
            ".gitignore",
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if (REPOSITORY / name).exists():
                shutil.copy(REPOSITORY / name, folder / name)
    (folder / "tests").mkdir()
    write_params(folder, changes)
    git = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.com"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "A small study"]):
        subprocess.run([*git, *arguments], cwd=folder, check=True)
    return folder


def dvc(folder, *arguments):
    return run(folder, *DVC, *arguments)


def test_repro_ends_in_a_verdict_and_then_has_nothing_to_do(tmp_path, tmp_path_factory):
    study, said = reproduced(tmp_path_factory)
    assert "keep cross_entropy" in " ".join(said.split())
    checkout = shutil.copytree(study, tmp_path / "study", symlinks=True)
    assert "Data and pipelines are up to date." in dvc(checkout, "repro")
    shown = json.loads(dvc(checkout, "metrics", "show", "--json"))
    assert shown[""]["data"]["metrics.json"]["data"]["winner"] == "cross_entropy"
    dvc(checkout, "plots", "show")
    page = (checkout / "dvc_plots/index.html").read_text()
    assert "differences.svg" in page
    assert page.count("vega-lite") >= 2

    fewer = dvc(checkout, "exp", "run", "-S", "tune.trials_per_loss=2", "-n", "fewer")
    assert "tune: kept 12, to train 0" in fewer
    assert "fewer" in dvc(checkout, "exp", "show", "--csv")


def test_a_killed_dvc_takes_its_stage_along_and_the_next_one_goes_on(checkout):
    write_params(checkout, {"tune.trials_per_loss": 30, "training.epochs": 10})
    with subprocess.Popen([*DVC, "repro"], cwd=checkout, env=environment(), stdout=subprocess.DEVNULL) as process:
        while len(ledger(checkout)) < 10:
            time.sleep(0.05)
        stages = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
    assert stages
    psutil.wait_procs(stages, timeout=30)
    assert not any(stage.is_running() for stage in stages)
    finished = ledger(checkout)
    assert 10 <= len(finished) < 180
    assert f"tune: kept {len(finished)}, to train {180 - len(finished)}" in dvc(checkout, "repro", "tune")
    after = ledger(checkout)
    assert {key: after[key] for key in finished} == finished
    assert len(after) == 180
