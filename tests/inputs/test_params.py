"""Settings that are wrong: types, ranges, names, contradictions, and files that are no settings at all."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from tests.inputs.project import REMOVE, Project, assert_says

EPOCHS = "expected a whole number from 1 to 100000"
SEED = "expected a whole number from 0 to 9007199254740991"
RATE = "search_space.learning_rate"
OWN = "search_space.losses"
SETTINGS = "search_space.training"
WIDE = {"low": 0, "high": 2, "scale": "linear", "default": 1}
Changes = dict[str, Any]

VALUES: list[tuple[Changes, str]] = [
    # Types
    ({"training.epochs": "15"}, f"training.epochs: found '15', {EPOCHS}; remove the quotes"),
    ({"training.epochs": "fifteen"}, f"training.epochs: found 'fifteen', {EPOCHS}"),
    ({"training.epochs": 1.5}, f"training.epochs: found 1.5, {EPOCHS}"),
    ({"training.epochs": 15.0}, f"training.epochs: found 15.0, {EPOCHS}; write 15"),
    ({"training.epochs": True}, f"training.epochs: found true, {EPOCHS}"),
    ({"training.epochs": [15]}, f"training.epochs: found a list, {EPOCHS}"),
    ({"training.epochs": {"low": 1}}, f"training.epochs: found a section, {EPOCHS}"),
    ({"training.epochs": "${EPOCHS}"}, "training.epochs: found '${EPOCHS}', " + EPOCHS),
    ({"training.batch_size": None}, "training.batch_size: found nothing, expected a whole number from 1"),
    ({"training.augmentation": True}, "training.augmentation: found true, expected one of none, flip, crop"),
    ({"training.augmentation": None}, "training.augmentation: found nothing, expected one of none, flip"),
    ({"training.precision": 32}, "training.precision: found 32, expected one of auto, float32, bfloat16"),
    ({"data.root": None}, "data.root: found nothing, expected a path"),
    ({"data.root": ""}, "data.root: found '', expected a path"),
    ({"data": [1]}, "data: found a list, expected a section with keys name, root"),
    ({"model": "cnn"}, "model: found 'cnn', expected a section with keys name, width, depth"),
    ({"tracking.enabled": "false"}, "tracking.enabled: found 'false', expected true or false; write false"),
    ({"tracking.uri": 5}, "tracking.uri: found 5, expected null or an MLflow tracking URI"),
    ({"study.name": 7}, "study.name: found 7, expected at most 100 letters"),
    ({RATE: 0.001}, f"{RATE}: found 0.001, expected a section with keys low, high, scale, default"),
    ({RATE: [1e-5, 1e-1]}, f"{RATE}: found a list, expected a section with keys low, high"),
    ({"model.freeze": True}, "model.freeze: found true, expected none, backbone, or a list of names of layers"),
    ({"model.freeze": []}, "model.freeze: found an empty list, expected none, backbone, or a list of names of layers"),
    ({"model.freeze": "all"}, "model.freeze: found 'all', expected none, backbone, or a list of names of layers"),
    ({"model.weights": 3}, "model.weights: found 3, expected null, a file (.safetensors, .pt, .pth), or named weights"),
    ({"model.weights": "w.bin"}, "weights: found 'w.bin', expected a file that ends in .safetensors, .pt, .pth: only"),
    ({"model.weights": "DEFAULT"}, "only models of torchvision and timm have named weights, not 'mlp'"),
    ({"model.backbone_factor": 0}, "model.backbone_factor: found 0, expected a number in (0, 1]"),
    (
        {"model.backbone_factor": 0.1, "model.freeze": "backbone"},
        "backbone_factor: found 0.1, which has no effect with freeze: backbone; remove one of the two",
    ),
    # Not numbers, and numbers written for people
    ({"model.width": "16px"}, "model.width: found '16px', expected a whole number from 1 to 4096"),
    ({"model.width": math.inf}, "model.width: found inf, expected a whole number from 1 to 4096"),
    ({"training.warmup_fraction": math.nan}, "training.warmup_fraction: found nan, expected a number in"),
    ({"data.label_noise": -math.inf}, "data.label_noise: found -inf, expected a number in [0, 1)"),
    ({"report.rope": "0,005"}, "report.rope: found '0,005', expected a number >= 0.0; write 0.005"),
    ({"data.test_fraction": "20%"}, "data.test_fraction: found '20%', expected a number in (0, 1); write 0.2"),
    # Ranges
    ({"training.epochs": -3}, f"training.epochs: found -3, {EPOCHS}"),
    ({"training.batch_size": 0}, "training.batch_size: found 0, expected a whole number from 1 to 65536"),
    ({"data.test_fraction": 1.0}, "data.test_fraction: found 1.0, expected a number in (0, 1)"),
    ({"data.test_fraction": 20}, "data.test_fraction: found 20, expected a number in (0, 1)"),
    ({"report.alpha": 5}, "report.alpha: found 5, expected a number in (0, 0.5)"),
    ({"report.power": 1}, "report.power: found 1, expected a number in (0.5, 1)"),
    ({"tune.num_searches": 1}, "tune.num_searches: found 1, expected a whole number from 2 to 1000"),
    ({"study.seed": 2**70}, f"study.seed: found {2**70}, {SEED}"),
    ({"resources.trials_per_gpu": 65}, "resources.trials_per_gpu: found 65, expected auto or a whole number"),
    ({"resources.max_concurrent": -1}, "resources.max_concurrent: found -1, expected auto or a whole number"),
    # One of several words
    ({"resources.device": "gpu"}, "resources.device: found 'gpu' … did you mean 'cuda'?"),
    ({"resources.device": "cuda:0"}, "resources.device: found 'cuda:0' … did you mean 'cuda'?"),
    ({"resources.executor": "local"}, "resources.executor: found 'local', expected one of ray, inline"),
    ({"training.optimizer": "Adam"}, "training.optimizer: found 'Adam' … did you mean 'adam'?"),
    ({"training.precision": "bf16"}, "training.precision: found 'bf16' … did you mean 'bfloat16'?"),
    ({"training.schedule": "cosine_annealing"}, "training.schedule: found 'cosine_annealing', expected one of cosine"),
    ({"tune.metric": "acc"}, "tune.metric: found 'acc' … did you mean 'accuracy'?"),
    ({"tune.metric": "balanced accuracy"}, "did you mean 'balanced_accuracy'?"),
    # Keys
    ({"training->trainning": None}, "unknown key 'trainning'; did you mean 'training'?"),
    ({"training.learning_rate": 0.1}, "unknown key 'training.learning_rate'; did you mean 'search_space.l"),
    ({"tune.max_concurrent": 2}, "unknown key 'tune.max_concurrent'; did you mean 'resources.max_concurrent'?"),
    ({"training.batch_size->batch-size": None}, "unknown key 'training.batch-size'; did you mean 'batch_size'?"),
    ({"training.epochs->Epochs": None}, "unknown key 'training.Epochs'; did you mean 'epochs'?"),
    ({"tracking.uri->url": None}, "unknown key 'tracking.url'; did you mean 'uri'?"),
    ({"data.path": "x"}, "unknown key 'data.path' (allowed here: name, root, download"),
    ({f"{RATE}.scale": REMOVE}, f"key '{RATE}.scale' is missing, expected one of linear, log"),
    # Seeds: there is one, from which all others are derived, so that none can overlap
    ({"study.seed": [1, 1]}, f"study.seed: found a list, {SEED}"),
    ({"study.seeds": [1, 2]}, "unknown key 'study.seeds'; did you mean 'seed'?"),
    ({"confirm.seed": 20260}, "unknown key 'confirm.seed'; did you mean 'study.seed'?"),
    # Losses
    ({"losses": []}, "losses: found an empty list, expected a list of loss names, at least one"),
    ({"losses": None}, "losses: found nothing, expected a list of loss names, at least one"),
    ({"losses": "cross_entropy, focal"}, "losses: found 'cross_entropy, focal', expected a list of loss names"),
    ({"losses": [["cross_entropy"]]}, "losses[0]: found a list, expected the name of a loss"),
    ({"losses": ["cross_entropy", None]}, "losses[1]: found nothing, expected the name of a loss"),
    ({"losses": [{"focal": {"gamma": 2}}]}, "losses[0]: found a section, expected the name of a loss"),
    ({"losses": ["cross_entropy"] * 2}, "losses: 'cross_entropy' is named twice"),
    ({"losses": ["cross_entropy", "Cross_Entropy"]}, "unknown loss 'Cross_Entropy'; did you mean 'cross_entropy'?"),
    (
        {"losses": ["cross_entropy", "logit_adjusted", "balanced_softmax"]},
        "losses: 'balanced_softmax' is another name for 'logit_adjusted', tau: 1 (the same, tau = 1); expected "
        "'logit_adjusted', so that no loss is counted twice",
    ),
    ({"losses": ["cross_entropy", "cauchy_schwarz"]}, "losses: 'cauchy_schwarz' is another name for 'cross_entropy'"),
    ({"baseline": "focal"}, "baseline: found 'focal', expected one of losses (cross_entropy, kl_divergence)"),
    ({"baseline": "kl_divergance"}, "did you mean 'kl_divergence'?"),
    ({"baseline": ["cross_entropy"]}, "baseline: found a list, expected the name of a loss"),
    # Search spaces
    ({OWN: {"fokal": {}}}, f"{OWN}: unknown loss 'fokal'; did you mean 'focal'?"),
    ({OWN: {"balanced_softmax": {"tau": 1}}}, f"{OWN}: 'balanced_softmax' is another name for 'logit_adjusted'"),
    ({OWN: []}, f"{OWN}: found an empty list, expected loss names"),
    ({OWN: {"focal": {"gamma": [0, 3]}}}, "focal.gamma: found a list, expected a number, or {low: ..., high: ...}"),
    ({OWN: {"focal": {"gamma": {"low": 0, "high": math.inf}}}}, "focal.gamma.high: found inf, expected a finite"),
    (
        {OWN: {"focal": {"gamma": -1}}, "losses": ["cross_entropy", "focal"]},
        f"{OWN}.focal.gamma: found -1, expected a number >= 0",
    ),
    (
        {OWN: {"focal": {"alpha": 0.25}}, "losses": ["cross_entropy", "focal"]},
        f"{OWN}.focal: unknown hyperparameter 'alpha' (focal has gamma)",
    ),
    ({f"{RATE}.low": "1e-5"}, f"{RATE}.low: found '1e-5', expected a finite number; remove the quotes"),
    ({f"{RATE}.high": 1e-6}, f"{RATE}: low must be below high, found low 1e-05 and high 1e-06"),
    ({"search_space.weight_decay.low": 0}, "search_space.weight_decay: a log scale needs low above 0, found 0"),
    # Contradictions
    ({"tune.num_searches": 3}, "confirm.num_blocks: found 2, expected at least tune.num_searches (3)"),
    ({"tune.scheduler": "asha"}, "tune.asha.grace_epochs: found 3, expected less than training.epochs (1)"),
    ({"data.image_size": 32}, "data.image_size: found 32, expected null: npz is not resized"),
    (
        {"training.patience": 3, "training.loop": "mine.py:train"},
        "training.patience: found 3, which a training.loop of your own would not see; do it in the loop, and leave",
    ),
    (
        {"training.loop": "mine.py:train", SETTINGS: {"ema": WIDE | {"low": 0.5, "high": 0.9, "default": 0.8}}},
        "search_space.training.ema: found a range, which a training.loop of your own would not see; do it in the loop",
    ),
    (
        {"training.schedule": "step", "training.epochs": 5},
        "training.step_every: found 5, expected less than training.epochs (5), or the learning rate never falls",
    ),
    # Recipes
    ({"training.betas": 0.9}, "training.betas: found 0.9, expected a list of two numbers in [0, 1)"),
    ({"training.betas": [0.9]}, "key 'training.betas[1]' is missing, expected a number in [0, 1)"),
    ({"training.betas": [0.9, 1]}, "training.betas[1]: found 1, expected a number in [0, 1)"),
    ({"training.betas": [0.9, 0.9, 0.9]}, "training.betas: found a list, expected a list of two numbers"),
    ({"training.clip_norm": 0}, "training.clip_norm: found 0, expected a number > 0.0 or null"),
    ({"training.clip_norm": "none"}, "training.clip_norm: found 'none', expected a number > 0.0 or null"),
    ({"training.accumulation": 0}, "training.accumulation: found 0, expected a whole number from 1 to 65536"),
    ({"training.ema": 1.0}, "training.ema: found 1.0, expected a number in (0, 1) or null"),
    ({"training.patience": 0}, "training.patience: found 0, expected a whole number from 1 to 100000 or null"),
    ({"training.schedule": "onecycle"}, "training.schedule: found 'onecycle' … did you mean 'one_cycle'?"),
    ({"training.sampling": "weighted"}, "training.sampling: found 'weighted', expected one of uniform, balanced"),
    ({"training.optimizer": "lion"}, "training.optimizer: found 'lion', expected one of adamw, adam, rmsprop, muon"),
    ({SETTINGS: {"epochs": WIDE}}, f"{SETTINGS}: unknown setting 'epochs' (allowed here: momentum"),
    ({SETTINGS: {"momentum": WIDE}}, f"{SETTINGS}.momentum.high: found 2.0, expected a number in [0, 1)"),
    ({SETTINGS: {"momentum": 0.9}}, f"{SETTINGS}.momentum: found 0.9, expected a section with keys low, high"),
    ({SETTINGS: 3}, f"{SETTINGS}: found 3, expected numeric settings of training, each with a range, or {{}}"),
    # Names of data and models
    ({"data.name": "mnist"}, "data.name: found 'mnist' … did you mean 'MNIST'?"),
    ({"data.name": "csv"}, "data.name: found 'csv', expected digits, imagefolder, npz, table, huggingface, files,"),
    ({"model.name": "restnet"}, "model.name: unknown model 'restnet', expected linear, … did you mean 'resnet'?"),
    ({"model.name": "resnet18"}, "did you mean 'torchvision:resnet18'?"),
    ({"model.name": "torchvision:resnet81"}, "no classification model 'resnet81'; did you mean 'resnet18'?"),
    # Names that are no names
    ({"study.name": "../escape"}, "study.name: found '../escape', expected at most 100 letters"),
    ({"study.name": "a\nb"}, r"study.name: found 'a\nb', expected at most 100 letters"),
    ({"study.name": "\x1b[31mred"}, r"study.name: found '\x1b[31mred', expected at most 100 letters"),
    ({"model.name": "ml\np"}, r"model.name: unknown model 'ml\np', expected linear"),
    ({"a\nb": 3}, r"unknown key 'a\nb' (allowed here: study"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), VALUES, ids=[message[:50] for _, message in VALUES])
def test_a_value(project: Project, changes: Changes, message: str) -> None:
    project.write(changes)
    line = project.refused("check")
    assert line.startswith("params.yaml: ")
    assert_says(line, message)


def test_a_hyperparameter_of_a_loss_that_is_not_in_the_study(project: Project) -> None:
    project.write({OWN: {"focal": {"alpha": 0.25}}})
    assert "unknown hyperparameter 'alpha'" in project.refused("check")


def replaced(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def appended(text: str) -> Callable[[str], str]:
    return lambda before: f"{before}\n{text}\n"


def instead(text: str) -> Callable[[str], str]:
    return lambda _: text


SECTIONS = "expected sections such as 'data:' and 'model:'"
BOMB = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{below}'] * 9)}]\n" for below, name in zip("abcdefgh", "bcdefghi", strict=True)
)

FILES: dict[str, tuple[Callable[[str], str | bytes], str]] = {
    "nothing": (instead(""), f"found nothing, {SECTIONS}"),
    "comments": (instead("# nothing else\n"), f"found nothing, {SECTIONS}"),
    "a list": (instead("- study\n- data\n"), f"found a list, {SECTIONS}"),
    "a word": (instead("study\n"), f"found 'study', {SECTIONS}"),
    "null": (instead("null\n"), f"found nothing, {SECTIONS}"),
    "JSON cut off": (instead('{"study": {"name": "a"'), "line 1, column 23: not valid YAML"),
    "TOML": (instead("[study]\nname = 'a'\n"), "line 2, column 1: not valid YAML"),
    "not text": (lambda _: bytes(range(256)), "not text in UTF-8"),
    "Latin-1": (lambda text: text.replace("small", "sm\xe4ll").encode("latin-1"), "not text in UTF-8"),
    "UTF-16": (lambda text: text.encode("utf-16"), "not text in UTF-8"),
    "a null character": (replaced("small", "sm\0all"), "not valid YAML: unacceptable character #x0000"),
    "a tab": (replaced("  epochs: 1\n", "\tepochs: 1\n"), ": a tab; YAML is indented with spaces"),
    "wrong indentation": (replaced("  epochs: 1\n", "   epochs: 1\n"), "not valid YAML: mapping values are not"),
    "no end of a quote": (replaced("small", "'small"), "not valid YAML: found unexpected end of stream"),
    "no space": (replaced("epochs: 1\n", "epochs:1\n"), "not valid YAML: could not find expected ':'"),
    "a placeholder": (replaced("epochs: 1\n", "epochs: {{ epochs }}\n"), ": a section as a key; put quotes around"),
    "no such anchor": (replaced("epochs: 1\n", "epochs: *fast\n"), "not valid YAML: found undefined alias 'fast'"),
    "a key twice": (replaced("  epochs: 1\n", "  epochs: 1\n  epochs: 2\n"), "the key 'epochs' is given twice"),
    "a section twice": (appended("study:\n  name: b\n  seed: 2"), "the key 'study' is given twice"),
    "two documents": (lambda text: f"{text}\n---\n{text}", "not valid YAML: but found another document"),
    "a conflict": (
        replaced("  epochs: 1\n", "<<<<<<< HEAD\n  epochs: 1\n=======\n  epochs: 2\n>>>>>>> other\n"),
        "'<<<<<<<', a Git merge conflict; keep one of its two sides",
    ),
    "a date": (replaced("name: small", "name: 2024-01-01"), "study.name: found the date 2024-01-01, expected at"),
    "no date": (replaced("name: small", "name: 2024-13-45"), "not valid YAML: invalid value: month must be in"),
    "binary": (replaced("name: small", "name: !!binary aGVsbG8="), "study.name: found binary data, expected at"),
    "a set": (replaced("name: small", "name: !!set {a, b}"), "study.name: found a set, expected at most 100"),
    "a variable": (replaced("name: small", "name: !ENV $HOME"), ": found the tag '!ENV', expected none"),
    "code to call": (
        appended("x: !!python/object/apply:os.system ['touch RAN']"),
        ": found the tag '!!python/object/apply:os.system', expected none … and no code is run",
    ),
    "code to make": (appended("x: !!python/object/new:os.system ['touch RAN']"), "tag '!!python/object/new"),
    "code by name": (appended("x: !!python/name:os.system"), ": found the tag '!!python/name:os.system', expected"),
    "anchors that multiply": (lambda text: BOMB + text, "unknown key 'a' (allowed here: study"),
    "a list in itself": (appended("x: &x [*x]"), "unknown key 'x' (allowed here: study"),
    "brackets without end": (appended("x: " + "[" * 500), "nested too deeply"),
    "sections without end": (appended("x: " + "{a: " * 500), "nested too deeply"),
    "a number without end": (replaced("seed: 20260", "seed: " + "1" * 5000), "invalid value: Exceeds the limit"),
    "a list as a key": (appended("? [1, 2]\n: 3"), "unknown key '(1, 2)' (allowed here: study"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file(project: Project, name: str) -> None:
    change, message = FILES[name]
    path = project.folder / "params.yaml"
    content = change(path.read_text(encoding="utf-8"))
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    line = project.refused("check")
    assert line.startswith("params.yaml: ")
    assert_says(line, message)
    assert len(line) < 400


def test_no_file(project: Project) -> None:
    (project.folder / "params.yaml").unlink()
    assert project.refused("tune") == "params.yaml: no such file; run losstune in the folder of the study"


def test_a_folder_in_its_place(project: Project) -> None:
    (project.folder / "params.yaml").unlink()
    (project.folder / "params.yaml").mkdir()
    assert project.refused("check") == "params.yaml: cannot be read: Is a directory"


def test_a_link_to_itself(project: Project) -> None:
    (project.folder / "params.yaml").unlink()
    (project.folder / "params.yaml").symlink_to("params.yaml")
    assert project.refused("check") == "params.yaml: cannot be read: Too many levels of symbolic links"


MATRICES: list[tuple[str, str]] = [
    ("", "found nothing, expected the section 'matrix:'"),
    ("- a\n", "found a list, expected the section 'matrix:'"),
    ("x: 1\n", "unknown key 'x' (allowed here: matrix)"),
    ("matrix: {data: {}, model: {a: {}}}", "matrix.data: found an empty section, expected names of data sets"),
    ("matrix: {data: {a: {}}, models: {a: {}}}", "unknown key 'matrix.models'; did you mean 'model'?"),
    ("matrix: {data: {a: }, model: {b: {}}}", "matrix.data.a: found nothing, expected a section with keys models"),
    ("matrix: {data: {1: {}}, model: {b: {}}}", "matrix.data.1: found 1 as a name, expected text; put it in quotes"),
    ("matrix: {data: {../a: {}}, model: {b: {}}}", "found '../a', expected a name of letters, digits, _ and -"),
    (
        "matrix: {data: {a: {study: {seed: 3}}}, model: {b: {}}}",  # a seed of one's own could be another cell's
        "unknown key 'matrix.data.a.study' (allowed here: models, data, training, losses, search_space, budget, tune, "
        "confirm, report)",
    ),
    (
        "matrix: {data: {a: {training: {epochs: 1}}}, model: {b: {training: {epochs: 2}}}}",
        "matrix.data.a with matrix.model.b: both set training.epochs, expected only one of them to set it",
    ),
    ("matrix: {data: {a-b: {}, a: {}}, model: {c: {}, b-c: {}}}", "a second cell is named a-b-c, expected unique"),
    ("matrix: {data: {a: {training: {epohcs: 1}}}, model: {b: {}}}", "did you mean 'epochs'?"),
    ("matrix: {data: {a: {}}, model: {b: {model: {name: restnet}}}}", "a-b: model.name: unknown model 'restnet'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), MATRICES, ids=[message[:50] for _, message in MATRICES])
def test_a_matrix(project: Project, text: str, message: str) -> None:
    (project.folder / "matrix.yaml").write_text(text)
    line = project.refused("check")
    assert line.startswith("matrix.yaml: ")
    assert_says(line, message)


def test_debug_shows_the_traceback(project: Project) -> None:
    project.write({"training.epochs": 0})
    with pytest.raises(Exception, match=r"training\.epochs: found 0") as caught:
        project.run("--debug", "check")
    assert any(entry.name == "parse_params" for entry in caught.traceback)
