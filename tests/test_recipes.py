"""What the documents tell a reader to write or to type works, as it stands there, on a study that takes seconds.

A block that no rule below knows how to run fails, so that no new recipe goes unseen.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from losstune.cli import main as cli
from losstune.data import torchvision_datasets
from losstune.data.raw import RawData
from losstune.packs.loading import load_pack
from losstune.packs.run import check_cell
from tests.commands import DVC, run
from tests.paths import REPOSITORY
from tests.recipes import Command, Recipe, commands, expand_braces, recipes, settings
from tests.shared import made_once
from tests.test_dvc_repro import make_checkout
from tests.test_pipeline import write_params

RECIPES = list(recipes())
STAGES = ("prepare", "features", "tune", "confirm", "report")
SIDE, PER_CLASS = 32, 6
LOSSES = ["cross_entropy", "kl_divergence", "focal", "gce"]

SCALED = {
    "training": {"epochs": 1},
    "tune": {"num_searches": 2, "trials_per_loss": 1},
    "confirm": {"num_blocks": 2, "positive_control": False},
    "resources": {"executor": "inline", "device": "cpu"},
    "tracking": {"enabled": False},
}
"""Laid over the settings of a recipe: less of the same. Its model, data and losses stay."""

SMALL = {
    "model": {"name": "mlp", "width": 16, "depth": 1},
    "training.epochs": 2,
    "losses": LOSSES,
    "tune.trials_per_loss": 2,
    "confirm.num_blocks": 2,
    "confirm.positive_control": False,
    "resources.executor": "inline",
    "resources.device": "cpu",
    "tracking.enabled": False,
}
"""The study on which commands are run, in place of the default one."""

NOT_RUN = {
    r"(git clone <|cd )": "the address is a placeholder",
    r"pip install ": "needs a network",
    r"git (add|commit) ": "a commit of the reader's own files: tests/test_own_repository.py",
    r"dvc (push|pull)\b|.*\bs3\.example\.org": "needs a storage elsewhere: tests/test_s3.py, with a server of its own",
    r"ray start |RAY_ADDRESS=": "needs several machines: tests/cluster",
    r"losstune (init|advise) (shapes|photos)": "needs the images: tests/stages/test_init.py",
    r"mlflow (server|models serve) |curl |export \w+=.*(https?://|…)": "needs a server: tests/tracking/test_server.py",
    r"make study-real|CELL=digits": "trains for minutes: tests/test_real_study.py",
    r"losstune pack run ": "trains for minutes: tests/packs",
    r"(losstune|make) ui$": "serves until it is ended: tests/tracking/test_ui.py",
    r"dvc (queue |exp run --queue )": "starts workers that outlive it",
    r"dvc exp (apply |show .*--drop)": "takes what these workers made",
}
"""Commands that no test can run from the document, each with the reason and where else it is tested."""

SAID = re.compile(
    r"losstune: |waiting up to |(tune|confirm): kept |tune +kept |ledger: took |on the Ray cluster at |MLflow(, \w+:|"
    r" at )|Full comparison: "
)
"""How a block begins that shows what losstune says; such a block is no recipe."""


def is_slow(recipe: Recipe) -> bool:
    """DVC starts a process for each stage, the cost is measured, and a matrix is several studies."""
    words = [command.words for command in commands(recipe) if not reason_not_to_run(command)]
    is_matrix = recipe.kind == "yaml" and "matrix" in settings(recipe)[0]
    return is_matrix or any(word[0] == "dvc" or word == ("losstune", "cost") for word in words)


def marks(recipe: Recipe) -> tuple[pytest.MarkDecorator, ...]:
    if is_slow(recipe):
        return (pytest.mark.slow,)
    is_study = recipe.place.startswith("README") and recipe.kind == "yaml"
    loads_a_model = "mlflow.pyfunc.load_model" in recipe.text
    return (pytest.mark.integration,) if is_study or loads_a_model else ()


def reason_not_to_run(command: Command) -> str | None:
    return next((why for pattern, why in NOT_RUN.items() if re.match(pattern, command.line)), None)


def git(folder, *arguments):
    user = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", *user, *arguments], cwd=folder, check=True, capture_output=True)


def losstune(*words, code=0):
    ended = 0
    try:
        cli.main(list(words))
    except SystemExit as error:
        ended = error.code or 0
    assert ended == code, f"losstune {' '.join(words)}: exit code {ended}"


@pytest.fixture(autouse=True)
def _as_a_user(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("DVC_", "MLFLOW_", "RAY_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A study under Git, with four states: as it is, with label noise, with another seed, and as it was."""
    return made_once(tmp_path_factory, "lab", make_lab)


def make_lab(folder):
    make_checkout(folder, SMALL)
    shutil.copy(REPOSITORY / "examples/own/my_losses.py", folder)
    cached = [
        "data/prepared/*/",
        "data/features/",
        "results/*/*.jsonl",
        "report/",
        "mlflow.db",
        "mlruns/",
        ".losstune/",
    ]
    (folder / ".git/info/exclude").write_text("\n".join(cached))  # what DVC keeps, or nobody
    states = {
        "base": {},
        "noisy": {"data.label_noise": 0.3},
        "reseeded": {"data.label_noise": 0.0, "study.seed": 1},
        "again": {"study.seed": 20260, "tracking.enabled": True},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for tag, changes in states.items():
            write_params(folder, changes)
            for stage in STAGES:
                losstune(stage)
            git(folder, "add", "-A")
            git(folder, "commit", "-qm", tag)
            git(folder, "tag", tag)
        losstune("promote")


@pytest.fixture(scope="module")
def lab_of_dvc(lab, tmp_path_factory):
    """The same, with what DVC keeps of it."""
    folder = Path(shutil.copytree(lab, tmp_path_factory.mktemp("dvc") / "study"))
    for changes, tag in (({"data.label_noise": 0.3}, "noisy"), ({"data.label_noise": 0.0}, "base")):
        write_params(folder, changes)
        run(folder, *DVC, "repro")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", tag)
        git(folder, "tag", "-f", tag)
    return folder


@pytest.fixture
def in_lab(request, tmp_path, monkeypatch):
    """Give a copy of a laboratory that a recipe may change, and go there."""

    def enter(name):
        folder = Path(shutil.copytree(request.getfixturevalue(name), tmp_path / "study", dirs_exist_ok=True))
        monkeypatch.chdir(folder)
        return folder

    return enter


@pytest.mark.parametrize("recipe", [pytest.param(recipe, id=recipe.place, marks=marks(recipe)) for recipe in RECIPES])
def test_a_recipe_works(recipe, in_lab, tmp_path, monkeypatch, request):
    # The README's settings are trained each time; those of the other pages are checked, and trained with --full.
    is_trained = recipe.place.startswith("README") or request.config.getoption("--full")
    if recipe.kind in ("yaml", "yml"):
        for number, values in enumerate(settings(recipe)):
            folder = tmp_path / str(number)
            folder.mkdir()
            monkeypatch.chdir(folder)
            if "claims" in values:
                write("pack.yaml", values)
                pack = load_pack(str(folder))
                for cell in pack.cells.values():
                    check_cell(pack, cell)
            elif "matrix" in values:
                run_matrix(values, folder)
            else:
                monkeypatch.setattr(torchvision_datasets, "load", instead_of_a_download)
                run_settings(values, folder, STAGES if is_trained else STAGES[:1])
        return
    if recipe.kind in ("python", "py"):
        run_python(recipe.text, in_lab("lab"))
        return
    first = recipe.text.splitlines()[0]
    if found := commands(recipe):
        wanted = [command for command in found if reason_not_to_run(command) is None]
        if wanted:
            folder = in_lab("lab_of_dvc" if any(one.words[0] == "dvc" for one in wanted) else "lab")
            for command in wanted:
                run_command(command, folder, monkeypatch)
    elif first.startswith("tags.`"):
        run_filters(recipe.text, in_lab("lab"))
    elif re.match(r"[\w./{},-]+/\S+ {2,}", first):
        folder = in_lab("lab")
        for line in recipe.text.splitlines():
            assert all((folder / path).exists() for path in expand_braces(line.split()[0])), line
    else:
        assert SAID.match(first), f"{recipe.place}: no known way to run {first!r}; give it one in {__file__}"


def test_there_are_recipes_of_every_kind_and_no_reason_is_idle():
    kinds = {recipe.kind for recipe in RECIPES}
    assert {"yaml", "python", "command"} <= kinds
    lines = [command.line for recipe in RECIPES for command in commands(recipe)]
    assert {line.split()[0] for line in lines} >= {"losstune", "dvc", "make"}
    assert not [pattern for pattern in NOT_RUN if not any(re.match(pattern, line) for line in lines)]


def merged(base, changes):
    """Return settings with others laid over them, section by section."""
    return base | {
        key: base[key] | value if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in changes.items()
    }


def as_written(values):
    """The shipped settings with the recipe's laid over them, on data made for it, and scaled down."""
    params = merged(YAML(typ="safe", pure=True).load((REPOSITORY / "params.yaml").read_text()), values)
    params = merged(params, SCALED | {"data": made_for(params["data"])})
    if "losses" not in values:
        params["losses"] = ["cross_entropy", "kl_divergence"]
    params["budget"] = None
    if "budget" in values:  # a pooled study
        params["budget"] = {"trainings": 12 * len(params["losses"])}
        params["tune"]["trials_per_loss"] = 2
    if params["resources"]["ledger"]:
        params["resources"]["ledger"] = "shared"
    if params.get("model", {}).pop("weights", None):  # of others, which need a network: tests/models
        params["model"] = {key: value for key, value in params["model"].items() if key != "download"}
    return params


def made_for(data):
    """Make the data that a recipe names, in small; return where it is."""
    pixels = np.random.default_rng(0).integers(0, 256, (3 * PER_CLASS, SIDE, SIDE, 3), dtype=np.uint8)
    labels = np.arange(3 * PER_CLASS) % 3
    if data["name"] == "imagefolder":
        for split in ("train", "val", "test") if data.get("own_validation") else ("",):
            for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
                path = Path("birds", split, f"class{label}", f"patient{number % 9}_{number}.png").absolute()
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path)
        noise = {"rate": 0.4, "pairs": {"class0": "class1"}}  # of the classes that there are
        others = {"label_noise": noise} if isinstance(data.get("label_noise"), dict) else {}
        return {"root": str(Path("birds").absolute())} | others
    if data["name"] == "table":
        rows = [f"{i},{20 + i % 41},{'abc'[i % 3]},{i % 12},{('ill', 'well')[i % 2]}" for i in range(60)]
        Path("people.csv").write_text("\n".join(["id,age,city,hospital,diagnosis", *rows]), encoding="utf-8")
        return {"root": str(Path("people.csv").absolute())}
    if data["name"] == "huggingface":
        save_data_set(pixels, labels)
        return {"root": str(Path("saved").absolute())}
    if data["name"] == "npz" and data["root"] != "two.npz":
        np.savez("sensors.npz", x=pixels[:, 0, 0].astype(np.float32), y=labels)
        return {"root": str(Path("sensors.npz").absolute())}
    return {}


def save_data_set(pixels, labels):
    datasets = pytest.importorskip("datasets")
    kinds = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["a", "b", "c"]))
    rows = {"image": [Image.fromarray(image) for image in pixels], "label": labels.tolist()}
    part = datasets.Dataset.from_dict(rows, features=kinds)
    datasets.DatasetDict(train=part, validation=part).save_to_disk("saved")


def instead_of_a_download(*_, **__):
    rng = np.random.default_rng(0)
    labels = np.arange(60, dtype=np.int64) % 10
    return RawData(
        images=rng.integers(0, 256, (60, 3, SIDE, SIDE), dtype=np.uint8), labels=labels, class_names=tuple("abcdefghij")
    )


def write(path, values):
    with Path(path).open("w") as file:
        YAML(typ="safe", pure=True).dump(values, file)


def bring_own_code(values, folder):
    """Put what a recipe of one's own code names into the folder: the examples, and data for them."""
    text = str(values)
    for path in (REPOSITORY / "examples/own").rglob("*.py"):
        if path.name in text:
            shutil.copy(path, folder)
    if "my_training.py" in text:
        page = (REPOSITORY / "docs/your-own.md").read_text(encoding="utf-8")
        block = page.partition("def train(job: Job)")
        imports = block[0].rpartition("```python\n")[2]
        Path("my_training.py").write_text(imports + block[1] + block[2].partition("```")[0], encoding="utf-8")
    if "shapes.npz" in text:
        subprocess.run([sys.executable, "segmentation.py"], cwd=folder, check=True)
    if "annotators.py" in text:
        page = (REPOSITORY / "docs/recipes.md").read_text(encoding="utf-8")
        block = page.partition("```python\n# annotators.py\n")[2].partition("```")[0]
        Path("annotators.py").write_text(block, encoding="utf-8")
    if "flowers.csv" in text:
        rows = [f"{number},{number % 7},{'abc'[number % 3]}" for number in range(60)]
        Path("flowers.csv").write_text("\n".join(["length,width,species", *rows]), encoding="utf-8")
    if "costs" in text:
        np.savez("two.npz", x=np.random.default_rng(0).random((60, 4)), y=np.arange(60) % 2)
        values |= {"data": {"name": "npz", "root": "two.npz"}}


def run_settings(values, folder, stages):
    bring_own_code(values, folder)
    write("params.yaml", as_written(values))
    losstune("check")
    for stage in stages:
        losstune(stage)
    assert stages != STAGES or "verdict" in (folder / "results.json").read_text()


def run_matrix(values, folder):
    for entry in values["matrix"]["data"].values():
        if "data" in entry:
            entry["data"] |= made_for(entry["data"])
        entry.get("training", {}).pop("epochs", None)
    write("params.yaml", as_written({"losses": LOSSES}))
    write("matrix.yaml", values)
    losstune("check")
    for data in values["matrix"]["data"]:
        for model in values["matrix"]["model"]:
            losstune("study", "--data", data, "--model", model)
    losstune("across")
    assert (folder / "across/across.html").exists()


AT_HAND = """
import numpy as np
import torch
images, labels = (np.load(f"data/prepared/test/{name}.npy") for name in ("images", "labels"))
logits, target, class_weights = torch.randn(6, 3), torch.arange(6) % 3, torch.tensor([1.0, 2.0, 3.0])
def build(num_classes, input_shape):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, num_classes))
def my_loss(logits, target):
    return torch.nn.functional.cross_entropy(logits, target, reduction="none") ** 2
"""


def run_python(text, folder):
    """As a script of the reader's own, who has data, a model and a loss at hand."""
    run(folder, sys.executable, "-W", "ignore", "-c", AT_HAND + text)


def run_filters(text, folder):
    """Each line filters runs in MLflow."""
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiments = [found.experiment_id for found in client.search_experiments()]
    for line in text.splitlines():
        client.search_runs(experiments, filter_string=line)
    assert client.search_runs(experiments, filter_string=text.splitlines()[0])


def run_command(command, folder, monkeypatch):
    words = command.words
    if words[0] == "losstune":
        if words[1] in ("study", "across"):
            prepare_matrix(folder, words)
            words = tuple(word for word in words if word not in ("FOLDER", "..."))
        if words[1:3] == ("losses", "check"):
            spec = (REPOSITORY / "src/losstune/losses/nce.py").read_text()
            (folder / words[3]).write_text(spec.replace('name="nce"', 'name="my_loss"'))
        losstune(*words[1:], code=2 if command.shown.startswith("losstune: ") else 0)
    elif words[0] == "dvc":
        if words[1] == "repro" and len(words) > 2:
            shrink_example(folder, Path(words[2]).parent)
        run(folder, *DVC, *words[1:])
    elif words[0] == "make":
        run(REPOSITORY, "make", "--dry-run", *words[1:])  # it would install, and run these tests
    elif words[0] == "python":
        check_script(words[1:])
    elif words[0] == "export":
        monkeypatch.setenv(*words[1].split("=", 1))
    else:
        assert words == (".ci/run",), f"no known way to run {command.line!r}; give it one in {__file__}"
        run(REPOSITORY, "sh", "-n", words[0])


def shrink_example(folder, name):
    """Take one of the repository's own pipelines along, scaled down."""
    names = run(REPOSITORY, "git", "ls-files", "-z", name.as_posix()).rstrip("\0").split("\0")
    for path in names:
        if not path.endswith("dvc.lock"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / path, folder / path)
    params = YAML(typ="safe", pure=True).load((folder / name / "params.yaml").read_text())
    write(folder / name / "params.yaml", merged(params, SCALED))


def prepare_matrix(folder, words):
    """The data sets and models that the words name, as a matrix of small studies; finished where they are compared."""
    named = dict(pairwise(words))
    data, model = named.get("--data", "digits"), named.get("--model", "mlp")
    write(folder / "params.yaml", as_written({"losses": LOSSES}))
    np.savez(folder / "rows.npz", x=np.random.default_rng(0).normal(size=(30, 4)), y=np.arange(30) % 3)
    small = {"name": "mlp", "width": 4, "depth": 1}
    datasets = {data: {}, "rows": {"data": {"name": "npz", "root": str(folder / "rows.npz")}}}
    write(folder / "matrix.yaml", {"matrix": {"data": datasets, "model": {model: {"model": small}}}})
    if words[1] == "across":
        for name in datasets:
            losstune("study", "--data", name, "--model", model)


def check_script(words):
    """Long ones: the file is there, and so are the options."""
    if words[:2] == ("-m", "pytest"):
        assert all((REPOSITORY / word).exists() for word in words[2:] if word.startswith("tests/")), words
        return
    path = REPOSITORY / (words[1].replace(".", "/") + ".py" if words[0] == "-m" else words[0])
    text = path.read_text(encoding="utf-8")
    assert all(f'"{word}"' in text for word in words if word.startswith("--")), words
