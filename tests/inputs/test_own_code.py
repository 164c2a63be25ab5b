"""A mistake in the user's own model, loss, augmentation or data: one line, before anything trains."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import pytest

from tests.inputs.project import Project, assert_says

TORCH = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"
MODEL = f"{TORCH}def build(num_classes, input_shape, width=4):\n    "
NETWORK = "nn.Sequential(nn.Flatten(), nn.Linear(16, num_classes))"
LOSS = f"{TORCH}import losstune\nfrom losstune import FloatRange\n"
CE = "F.cross_entropy(logits, target, reduction='none')"
AUGMENT = f"{TORCH}def augment(images, generator):\n    "
DATA = "import numpy as np\nimport losstune\nx, y = np.random.rand(60, 5), np.arange(60) % 3\ndef load():\n    "


def body(text: str) -> str:
    """Return a model whose network has this forward."""
    return (
        f"{TORCH}class build(nn.Module):\n"
        "    def __init__(self, num_classes, input_shape):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Linear(16, num_classes)\n"
        "    def forward(self, x):\n"
        f"        {text}\n"
    )


MODELS: dict[str, tuple[str | None, dict[str, Any], str]] = {
    "no file": (None, {}, "model.name: found 'mine.py:build', but {folder}/mine.py does not exist"),
    "a file like it": (None, {"name": "min.py:build"}, "min.py does not exist"),
    "no module": (None, {"name": "mine:build"}, "but there is no module 'mine': neither {folder}/mine.py nor an"),
    "no name": (None, {"name": "mine.py:"}, "expected your own as path/to/file.py:name or module:name"),
    "two colons": (f"{MODEL}return {NETWORK}", {"name": "mine.py:build:x"}, "found 'mine.py:build:x', expected your"),
    "another name": (f"{MODEL}return {NETWORK}", {"name": "mine.py:biuld"}, "no 'biuld'; did you mean 'build'?"),
    "a number": ("build = 3", {}, "which is a int, expected a function or a class"),
    "no Python": ("def build(:\n", {}, "mine.py: line 1: not valid Python: invalid syntax"),
    "a library that is missing": (
        "import nothing_of_the_kind\ndef build(): ...",
        {},
        "which imports 'nothing_of_the_kind', but there is no such module here; install the library",
    ),
    "raises at import": ("raise ValueError('of\\ntwo lines')", {}, "raises when it is imported: ValueError: of two"),
    "a script": ("import sys\nsys.exit(0)", {}, "which ends the process when it is imported; put what it runs"),
    "no arguments": (
        f"{TORCH}def build():\n    return nn.Flatten()",
        {},
        "mine.py:build made a network without trainable weights",
    ),
    "an unknown argument": (
        f"{TORCH}def build(classes):\n    ...",
        {},
        "mine.py:build can't be called with no arguments: missing a required argument: 'classes'; expected build(",
    ),
    "an unknown option": (
        f"{MODEL}return {NETWORK}",
        {"options": {"widht": 3}},
        "can't be called with num_classes, input_shape, widht: got an unexpected keyword argument 'widht'",
    ),
    "options of a built-in model": (
        None,
        {"name": "mlp", "options": {"layers": 3}},
        "model: options are the arguments of a model of your own; 'mlp' takes width and depth",
    ),
    "returns nothing": (f"{MODEL}pass", {}, "mine.py:build returned nothing, expected a torch.nn.Module"),
    "returns its class": (f"{MODEL}return nn.Linear", {}, "returned a type, expected a torch.nn.Module"),
    "raises when called": (f"{MODEL}return {{}}['key']", {}, "raises when it is called: KeyError: 'key'"),
    "raises in the middle": (
        body("raise ValueError('not\\nyet')"),
        {},
        "'mine.py:build' can't take samples of 1x4x4: not yet",
    ),
    "another shape of input": (
        f"{MODEL}return nn.Sequential(nn.Flatten(), nn.Linear(10, num_classes))",
        {},
        "can't take samples of 1x4x4: … mat1 and mat2 shapes cannot be multiplied",
    ),
    "another number of classes": (
        f"{MODEL}return nn.Sequential(nn.Flatten(), nn.Linear(16, 7))",
        {},
        "returned shape (2, 7) for two samples of 1x4x4, expected logits of shape (2, 3)",
    ),
    "a pair": (body("return self.layer(x.flatten(1)), x"), {}, "returned a tuple for two samples"),
    "NaN": (body("return self.layer(x.flatten(1)) / 0 * 0"), {}, "returned NaN or infinite logits"),
    "no gradient": (body("return self.layer(x.flatten(1)).detach()"), {}, "no trainable weight has an effect on them"),
    "classes for logits": (body("return self.layer(x.flatten(1)).round().long()"), {}, "they are torch.int64"),
    "changes its input": (body("x += 1; return self.layer(x.flatten(1))"), {}, "changes its input in place"),
    "random numbers of NumPy": (
        f"import numpy as np\n{MODEL}n = {NETWORK}\n    n[1].bias.data.fill_(np.random.rand())\n    return n",
        {},
        "gives other weights when it is called again with the same seed; draw random numbers from torch's",
    ),
    "a state of the module": (
        f"calls = []\n{MODEL}calls.append(1)\n    n = {NETWORK}\n    n[1].bias.data.fill_(len(calls))\n    return n",
        {},
        "gives other weights when it is called again with the same seed",
    ),
}

LOSSES: dict[str, tuple[str, str]] = {
    "the mean": (f"def mine(logits, target):\n    return {CE}.mean()", "expected one value for each; don't take the"),
    "nothing": ("def mine(logits, target):\n    pass", "losses: mine.py:mine: returned nothing for 6 samples"),
    "one argument": ("def mine(logits):\n    ...", "mine.py:mine: takes (logits), expected (logits, target, ...)"),
    "no default": (
        f"def mine(logits, target, gamma):\n    return {CE}",
        "its argument 'gamma' has neither a default nor a range; expected one of them, such as @losstune.loss(gamma=",
    ),
    "a range without an argument": (
        f"@losstune.loss(gama=FloatRange(0, 1))\ndef mine(logits, target, gamma=0.5):\n    return {CE}",
        "declares a range for 'gama', which is no hyperparameter of it; did you mean 'gamma'? (it has gamma)",
    ),
    "a default out of its range": (
        f"@losstune.loss(gamma=FloatRange(0, 1))\ndef mine(logits, target, gamma=2.0):\n    return {CE}",
        "the default of gamma is 2, expected one in its range, 0 to 1",
    ),
    "a range that is none": (
        f"@losstune.loss(gamma=(0, 1))\ndef mine(logits, target, gamma=0.5):\n    return {CE}",
        "raises when it is imported: TypeError: gamma: found (0, 1), expected a FloatRange, IntRange or Choice",
    ),
    "the decorator without brackets": (
        f"@losstune.loss\ndef mine(logits, target):\n    return {CE}",
        "raises when it is imported: TypeError: loss",
    ),
    "NaN": (f"def mine(logits, target):\n    return ({CE} - 99).sqrt()", "values are NaN or infinite for ordinary"),
    "no gradient": (f"def mine(logits, target):\n    return {CE}.detach()", "its values have no gradient"),
    "whole numbers": (
        "def mine(logits, target):\n    return (logits.argmax(1) != target).long()",
        "its values have no gradient",
    ),
    "no target": (
        "def mine(logits, target):\n    return logits.logsumexp(1)",
        "the values do not depend on the target",
    ),
    "the batch": (f"def mine(logits, target):\n    return {CE} * {CE}.mean()", "depends on the other samples of the"),
    "a state": (
        f"n = []\ndef mine(logits, target):\n    n.append(1)\n    return len(n) * {CE}",
        "gives other values when it is called again; expected a function of logits and target alone",
    ),
    "its input": (
        f"def mine(logits, target):\n    target += 1\n    return {CE}",
        "changes its input in place; use a copy",
    ),
    "raises at an end": (
        "@losstune.loss(k=FloatRange(0, 1))\ndef mine(logits, target, k=0.5):\n"
        f"    assert k > 0, 'not 0'\n    return {CE}",
        "losses: mine.py:mine raises at k=0: AssertionError: not 0",
    ),
    "a link of another shape": (
        "@losstune.loss(link=lambda z: z.sum(1))\n" + f"def mine(logits, target):\n    return {CE}",
        "its link returned a tensor of shape (6,), expected probabilities of shape (N, C)",
    ),
    "a link that is no distribution": (
        "@losstune.loss(link=lambda z: z.sigmoid())\n" + f"def mine(logits, target):\n    return {CE}",
        "its link returned values below 0 or rows that do not sum to 1",
    ),
    "a module without target": (
        "class mine(nn.Module):\n    def forward(self, logits): ...",
        "mine.py:mine: forward takes (logits), expected (logits, target)",
    ),
    "an object": ("mine = nn.CrossEntropyLoss()", "losses: mine.py:mine: "),
}

AUGMENTATIONS: dict[str, tuple[str, str]] = {
    "another shape": (
        "return images[:, :, :2]",
        "returned float32 of shape (4, 1, 2, 4), expected float32 of shape (4, 1",
    ),
    "another type": ("return (255 * images).byte()", "returned uint8 of shape (4, 1, 4, 4), expected float32 of shape"),
    "nothing": ("images *= 2", "mine.py:augment returned nothing, expected float32 of shape (4, 1, 4, 4) as it was"),
    "raises": ("return images + images[0, 0, 0, 9]", "mine.py:augment raises: IndexError: index 9 is out of bounds"),
    "NaN": ("return images / 0 * 0", "returned NaN or infinite values, expected finite ones"),
    "global random numbers": ("return images + torch.rand(1)", "draws other numbers with the same generator"),
}

DATASETS: dict[str, tuple[str, str]] = {
    "no data set": ("return x, y", "data.name: mine.py:load returned a tuple, expected a losstune.Dataset(train=("),
    "unequal lengths": ("return losstune.Dataset(train=(x, y[1:]))", "train: found 60 samples and 59 labels, expected"),
    "no labels": ("return losstune.Dataset(train=x)", "train: found a ndarray, expected (samples, labels) or a map-"),
    "an unknown class": (
        "return losstune.Dataset(train=(x, ['ant', 'bee', 'cta'] * 20), class_names=['ant', 'bee', 'cat'])",
        "train: labels: found the class 'cta', expected one of ant, bee, cat; did you mean 'cat'?",
    ),
    "texts and numbers": (
        "return losstune.Dataset(train=(x, ['a', 1] * 30))",
        "train: labels: found texts and numbers, expected one of both; is a value missing?",
    ),
    "a missing name": (
        "return losstune.Dataset(train=(x, np.array(['a', None] * 30, dtype=object)))",
        "train: labels: found object of shape (60,), expected numbers, or texts as labels, and no missing value",
    ),
    "rows that sum to 2": (
        "return losstune.Dataset(train=(x, 0.8 * np.eye(3)[y] + 0.4))",
        "train: labels: found float64 of shape (60, 3), expected (N,), one class per sample, or soft labels",
    ),
    "NaN": ("return losstune.Dataset(train=(x / 0 * 0, y))", "train: samples: found NaN or infinite values"),
    "sizes": (
        "return losstune.Dataset(train=([np.ones((4, 4)), np.ones((5, 4))] * 30, y))",
        "train: samples: found 2 shapes, such as (4, 4) and (5, 4), expected one; resize them",
    ),
    "a class that validation lacks": (
        "return losstune.Dataset(train=(x, y), validation=(x[:2], y[:2]))",
        "class '2' has 0 samples in the validation split that the data brings, expected at least 1",
    ),
    "one class": ("return losstune.Dataset(train=(x, 0 * y))", "has only one class, expected two or more"),
    "raises": ("return open('nothing.csv')", "mine.py:load raises: FileNotFoundError: [Errno 2] No such file or"),
    "an argument": (
        "...\ndef load(path): ...",
        "can't be called with no arguments: missing a required argument: 'path'",
    ),
}


def check(project: Project, text: str | None, changes: Mapping[str, Any], message: str, *command: str) -> None:
    if text is not None:
        (project.folder / "mine.py").write_text(text, encoding="utf-8")
    project.write(changes)
    assert_says(project.refused(*(command or ("check",))), message.replace("{folder}", str(project.folder)))


@pytest.fixture(autouse=True)
def _no_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


@pytest.fixture
def prepared(project: Project) -> Project:
    """A study with prepared data, so that the shape of a sample is known."""
    assert project.run("prepare").code == 0
    return project


@pytest.mark.parametrize("case", MODELS)
def test_a_model(prepared, case):
    text, model, message = MODELS[case]
    check(prepared, text, {"model": {"name": "mine.py:build"} | model}, message)


@pytest.mark.parametrize("case", LOSSES)
def test_a_loss(project, case):
    text, message = LOSSES[case]
    check(project, LOSS + text, {"losses": ["cross_entropy", "mine.py:mine"]}, message)


@pytest.mark.parametrize("case", AUGMENTATIONS)
def test_an_augmentation(prepared, case):
    text, message = AUGMENTATIONS[case]
    changes = {"training.augmentation": "mine.py:augment"}
    check(prepared, AUGMENT + text, changes, f"training.augmentation: … {message}")


@pytest.mark.parametrize("case", DATASETS)
def test_data(project, case):
    text, message = DATASETS[case]
    check(project, DATA + text, {"data.name": "mine.py:load"}, message, "prepare")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"losses": ["cross_entropy", "mine.py:focal"]}, "the name 'focal' is taken by a loss of the catalogue"),
        ({"losses": ["cross_entropy", "mine.py:mine", "mine:mine"]}, "have the same name, 'mine'; rename one"),
        ({"losses": ["cross_entropy", "mine.py:mine", "mine.py:mine"]}, "losses: 'mine' is named twice"),
        (
            {"losses": ["cross_entropy", "mine.py:mine"], "search_space.losses": {"mine": {"gama": 1}}},
            "search_space.losses.mine: unknown hyperparameter 'gama'; did you mean 'gamma'? (mine has gamma)",
        ),
        ({"losses": ["mine.py:mine"], "baseline": "mien"}, "baseline: found 'mien', expected one of losses (mine)"),
        ({"data.options": {"a": 1}}, "data: options are the arguments of a data source of your own; 'npz' takes none"),
        ({"training.augmentation": {"options": {"a": 1}}}, "key 'training.augmentation.name' is missing"),
        ({"training.augmentation": "flipp"}, "expected one of none, flip, crop, flip_crop, your own as"),
    ],
)
def test_a_key(project, changes, message):
    own = (
        "@losstune.loss(gamma=FloatRange(0, 1))\ndef mine(logits, target, gamma=0.5):\n"
        f"    return {CE}\ndef focal(logits, target):\n    return {CE}"
    )
    check(project, LOSS + own, changes, message)


@pytest.mark.parametrize("name", ["random.py", "torch.py", "two words.py", "1st.py"])
def test_a_file_that_cannot_be_imported(project, name):
    (project.folder / name).write_text(f"{MODEL}return {NETWORK}", encoding="utf-8")
    project.write({"model": {"name": f"{name}:build"}})
    line = project.refused("check")
    assert f"model.name: found '{name}:build', but" in line
    assert "rename the file" in line or "expected a name of letters, digits and _" in line


def notes(project, text, changes):
    (project.folder / "mine.py").write_text(text, encoding="utf-8")
    project.write(changes)
    ended = project.run("check")
    assert ended.code == 0, ended.err
    return " ".join(line.removeprefix("your code").strip() for line in ended.out.splitlines())


def test_two_seeds_that_are_alike_are_no_mistake(prepared):
    said = notes(prepared, f"{MODEL}torch.manual_seed(1)\n    return {NETWORK}", {"model": {"name": "mine.py:build"}})
    assert "mine.py:build gives the same weights for every seed (pretrained, or it sets a seed itself)" in said


def test_an_augmentation_without_chance_is_no_mistake(prepared):
    said = notes(prepared, f"{AUGMENT}return images / 2", {"training.augmentation": "mine.py:augment"})
    assert "mine.py:augment gives the same images for every generator: it augments nothing at random" in said


def test_what_own_code_prints_does_not_show(prepared):
    text = f"{MODEL}print('hello')\n    return {NETWORK}"
    said = notes(prepared, text, {"model": {"name": "mine.py:build"}})
    assert "the study's own code prints, such as 'hello'" in said


def test_what_cannot_be_pickled_trains(prepared):
    # A worker imports the function by its name, so neither it nor the network is ever pickled.
    text = f"{TORCH}build = lambda num_classes, input_shape: nn.Sequential(nn.Flatten(), nn.Linear(16, num_classes))"
    (prepared.folder / "mine.py").write_text(text, encoding="utf-8")
    prepared.write({"model": {"name": "mine.py:build"}})
    ended = prepared.run("tune")
    assert ended.code == 0, ended.err
