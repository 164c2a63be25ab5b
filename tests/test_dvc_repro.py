"""``dvc repro`` as a user runs it, in a checkout of its own: to the verdict, to nothing to do, and after kill -9."""

import json
import shutil
import signal
import subprocess
import time

import psutil
import pytest
from ruamel.yaml import YAML

from tests.commands import DVC, LOSSTUNE, environment, run
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


def make_checkout(folder, changes, *, matrix=False):
    """Copy the repository's files into a Git repository, with changed settings; without `matrix`, one study alone."""
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )
    for name in files.stdout.decode().rstrip("\0").split("\0"):
        if name.startswith(("src/", ".dvc", "data/raw/", "mlruns/")) or name in (
            "dvc.yaml",
            "matrix.yaml",
            "params.yaml",
            ".gitignore",
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if (REPOSITORY / name).exists():
                shutil.copy(REPOSITORY / name, folder / name)
    (folder / "tests").mkdir()
    if not matrix:
        (folder / "matrix.yaml").unlink()
        leave_out_the_matrix(folder / "dvc.yaml")
    write_params(folder, changes)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    commit(folder, "A small study")
    return folder


def commit(folder, message):
    git = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.com"]
    for arguments in (["add", "-A"], ["commit", "-qm", message]):
        subprocess.run([*git, *arguments], cwd=folder, check=True)


def leave_out_the_matrix(dvc_yaml):
    yaml = YAML(typ="safe", pure=True)
    pipeline = yaml.load(dvc_yaml.read_text())
    del pipeline["vars"], pipeline["stages"]["study"], pipeline["stages"]["across"]
    with dvc_yaml.open("w") as file:
        yaml.dump(pipeline, file)


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


def test_one_repro_judges_every_study_and_compares_them(tmp_path):
    losses = ["cross_entropy", "kl_divergence", "label_smoothing", "gce"]
    folder = make_checkout(tmp_path, SMALL | {"losses": losses, "tracking.enabled": True}, matrix=True)
    said = " ".join(repro(folder).split())
    sentences = [
        json.loads((folder / study / "results.json").read_text())["verdict"]["sentence"]
        for study in (".", "studies/noisy_digits-cnn")
    ]
    assert all(sentence in said for sentence in sentences)
    assert "On digits (40% wrong labels) with the mlp" in sentences[1]
    page = (folder / "report/across/across.html").read_text()
    assert 'href="../report.html"' in page
    assert 'href="../../studies/noisy_digits-cnn/report/report.html"' in page
    assert [cell["name"] for cell in json.loads((folder / "report/across/across.json").read_text())["cells"]] == [
        "small",
        "noisy_digits-cnn",
    ]
    assert "Data and pipelines are up to date." in dvc(folder, "repro")
    assert {"metrics.json", "studies/noisy_digits-cnn/metrics.json"} <= json.loads(
        dvc(folder, "metrics", "show", "--json")
    )[""]["data"].keys()
    # Git has what a comparison of commits reads, of the second study, too.
    commit(folder, "Two verdicts")
    for study in (".", "studies/noisy_digits-cnn"):
        assert "HEAD is identical to the bit" in run(folder / study, *LOSSTUNE, "compare", "HEAD", "HEAD")


def test_a_killed_dvc_takes_its_stage_along_and_the_next_one_goes_on(checkout):
    write_params(checkout, {"protocol": "replicated", "tune.trials_per_loss": 30, "training.epochs": 10})
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
