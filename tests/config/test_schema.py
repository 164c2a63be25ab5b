import copy
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from losstune.config.load import load_params, parse_params
from losstune.config.messages import explain_validation_error
from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from losstune.core.local_code import EXPECTED
from tests.paths import REPOSITORY

SHIPPED = REPOSITORY / "params.yaml"
REMOVE = object()


def shipped_values() -> dict[str, Any]:
    return YAML(typ="safe", pure=True).load(SHIPPED.read_text(encoding="utf-8"))


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """Return the shipped values with each dotted path set, or removed, or its last key renamed (`old->new`)."""
    values = copy.deepcopy(shipped_values())
    for path, value in changes.items():
        *sections, key = path.split(".")
        target = values
        for section in sections:
            target = target[section]
        if value is REMOVE:
            del target[key]
        elif "->" in key:
            old, new = key.split("->")
            target[new] = target.pop(old)
        else:
            target[key] = value
    return values


def message_of(values: Any) -> str:
    with pytest.raises(LosstuneError) as caught:
        parse_params(values)
    return str(caught.value).removeprefix("params: ")


TOP_LEVEL = (
    "study, data, model, training, losses, baseline, search_space, protocol, budget, tune, confirm, report, resources, "
    "tracking"
)
NOISE = "expected a number in [0, 1), a section with pairs or a matrix, or the name of an array or column"
NAME = "at most 100 letters, digits, spaces and . _ -, the first a letter or digit"
SEED = "a whole number from 0 to 9007199254740991"
RATE = "search_space.learning_rate"
GAMMA = "search_space.losses.focal.gamma"
LOSSES = (
    "cross_entropy, kl_divergence, label_smoothing, logit_norm, sigmoid_bce, focal, poly1, gce, apl, js, "
    "tsallis_score, bi_tempered, entmax, square, squentropy"
)

MALFORMED: list[tuple[dict[str, Any], str]] = [
    # Types
    ({"study.seed": "3"}, f"study.seed: found '3', expected {SEED}; remove the quotes"),
    ({"study.seed": True}, f"study.seed: found true, expected {SEED}"),
    ({"study.seed": 1000.0}, f"study.seed: found 1000.0, expected {SEED}; write 1000"),
    ({"study.seed": 0.5}, f"study.seed: found 0.5, expected {SEED}"),
    ({"study.seed": None}, f"study.seed: found nothing, expected {SEED}"),
    ({"study.name": 5}, f"study.name: found 5, expected {NAME}"),
    ({"study.name": None}, f"study.name: found nothing, expected {NAME}"),
    ({"data.root": ["a"]}, "data.root: found a list, expected a path"),
    ({"data.name": {}}, "data.name: found an empty section, expected the name of a data set"),
    ({"data.download": "no"}, "data.download: found 'no', expected true or false; write false"),
    ({"data.download": "On"}, "data.download: found 'On', expected true or false; write true"),
    ({"data.download": 1}, "data.download: found 1, expected true or false"),
    ({"data.image_size": "big"}, "data.image_size: found 'big', expected a whole number from 4 to 1024 or null"),
    ({"training.momentum": "0.9"}, "training.momentum: found '0.9', expected a number in [0, 1); remove the quotes"),
    ({"training.momentum": False}, "training.momentum: found false, expected a number in [0, 1)"),
    ({"losses": "focal"}, "losses: found 'focal', expected a list of loss names, at least one"),
    ({"losses": {"focal": 1}}, "losses: found a section, expected a list of loss names, at least one"),
    ({"losses": ["cross_entropy", 5]}, "losses[1]: found 5, expected the name of a loss"),
    (
        {"data": None},
        "data: found nothing, expected a section with keys name, root, download, image_size, label, drop, "
        "validation_fraction, test_fraction, own_validation, groups, label_noise, noisy_splits, long_tail, storage, "
        "on_bad_image, options",
    ),
    ({"tune.asha": 3}, "tune.asha: found 3, expected a section with keys grace_epochs, reduction_factor"),
    ({"tracking.experiment": ["a"]}, "tracking.experiment: found a list, expected null or text"),
    ({"resources.ray_address": 8265}, "resources.ray_address: found 8265, expected null, auto or host:port"),
    # Ranges
    ({"study.seed": -1}, f"study.seed: found -1, expected {SEED}"),
    ({"study.seed": 2**53}, f"study.seed: found 9007199254740992, expected {SEED}"),
    ({"study.name": "a/b"}, f"study.name: found 'a/b', expected {NAME}"),
    ({"study.name": "n" * 101}, f"study.name: found '{'n' * 56}..., expected {NAME}"),
    ({"data.image_size": 3}, "data.image_size: found 3, expected a whole number from 4 to 1024 or null"),
    ({"data.validation_fraction": 0}, "data.validation_fraction: found 0, expected a number in (0, 1)"),
    ({"data.label_noise": 1}, f"data.label_noise: found 1, {NOISE}"),
    ({"data.label_noise": float("nan")}, f"data.label_noise: found nan, {NOISE}"),
    ({"model.width": 0}, "model.width: found 0, expected a whole number from 1 to 4096"),
    ({"model.depth": 21}, "model.depth: found 21, expected a whole number from 1 to 20"),
    ({"training.epochs": 0}, "training.epochs: found 0, expected a whole number from 1 to 100000"),
    ({"training.batch_size": 65537}, "training.batch_size: found 65537, expected a whole number from 1 to 65536"),
    ({"tune.trials_per_loss": 0}, "tune.trials_per_loss: found 0, expected a whole number from 1 to 100000"),
    ({"tune.asha.grace_epochs": 0}, "tune.asha.grace_epochs: found 0, expected a whole number >= 1"),
    ({"tune.asha.reduction_factor": 1}, "tune.asha.reduction_factor: found 1, expected a whole number from 2 to 16"),
    ({"confirm.num_blocks": 1}, "confirm.num_blocks: found 1, expected a whole number from 2 to 10000"),
    ({"report.alpha": 0.5}, "report.alpha: found 0.5, expected a number in (0, 0.5)"),
    ({"report.rope": -0.01}, "report.rope: found -0.01, expected a number >= 0.0"),
    ({"report.power": 0.5}, "report.power: found 0.5, expected a number in (0.5, 1)"),
    (
        {"report.class_groups": [100, 20]},
        "report: class_groups: found [100, 20], expected the smaller number first: [20, 100]",
    ),
    (
        {"resources.max_concurrent": 0},
        "resources.max_concurrent: found 0, expected auto or a whole number from 1 to 100000",
    ),
    (
        {"resources.trials_per_gpu": 0.5},
        "resources.trials_per_gpu: found 0.5, expected auto or a whole number from 1 to 64",
    ),
    ({f"{RATE}.high": float("inf")}, f"{RATE}.high: found inf, expected a finite number"),
    ({"losses": []}, "losses: found an empty list, expected a list of loss names, at least one"),
    ({"tracking.uri": ""}, "tracking.uri: found '', expected null or an MLflow tracking URI"),
    # One of several words
    (
        {"tune.sampler": "sobel"},
        "tune.sampler: found 'sobel', expected one of sobol, random, tpe; did you mean 'sobol'?",
    ),
    ({"tune.sampler": "grid"}, "tune.sampler: found 'grid', expected one of sobol, random, tpe"),
    ({"tune.sampler": None}, "tune.sampler: found nothing, expected one of sobol, random, tpe"),
    ({"tune.scheduler": "ASHA"}, "tune.scheduler: found 'ASHA', expected one of fifo, asha; did you mean 'asha'?"),
    (
        {"tune.metric": "f1"},
        "tune.metric: found 'f1', expected one of accuracy, balanced_accuracy, macro_f1, top_5_accuracy, nll, brier, "
        "auroc, average_precision, kappa, quadratic_kappa, mcc, expected_accuracy, soft_nll, {name: expected_cost, "
        "costs: ...}, or "
        f"{EXPECTED}; did you mean 'macro_f1'?",
    ),
    (
        {"training.optimizer": "AdamW"},
        "training.optimizer: found 'AdamW', expected one of adamw, adam, rmsprop, muon, sgd; did you mean 'adamw'?",
    ),
    (
        {"resources.max_concurrent": "au"},
        "resources.max_concurrent: found 'au', expected auto or a whole number from 1 to 100000; did you mean 'auto'?",
    ),
    (
        {"resources.max_concurrent": "4"},
        "resources.max_concurrent: found '4', expected auto or a whole number from 1 to 100000; remove the quotes",
    ),
    ({f"{RATE}.scale": "logarithmic"}, f"{RATE}.scale: found 'logarithmic', expected one of linear, log"),
    # Unknown keys and near misses
    (
        {"training.epochs->epoch": None},
        "unknown key 'training.epoch'; did you mean 'epochs'? (allowed here: epochs, batch_size, optimizer, momentum, "
        "betas, clip_norm, accumulation, schedule, warmup_fraction, step_every, step_factor, ema, patience, sampling, "
        "augmentation, mixup, cutmix, class_weights, soft_labels, precision, loop)",
    ),
    ({"tune->tuen": None}, f"unknown key 'tuen'; did you mean 'tune'? (allowed here: {TOP_LEVEL})"),
    ({"epochs": 3}, f"unknown key 'epochs'; did you mean 'training.epochs'? (allowed here: {TOP_LEVEL})"),
    ({"zzz": 3}, f"unknown key 'zzz' (allowed here: {TOP_LEVEL})"),
    ({"study.author": "me"}, "unknown key 'study.author' (allowed here: name, seed)"),
    (
        {"tune.asha.grace_epoch": 3},
        "unknown key 'tune.asha.grace_epoch'; did you mean 'grace_epochs'? "
        "(allowed here: grace_epochs, reduction_factor)",
    ),
    (
        {"search_space.losses": {"focal": {"gamma": {"low": 0, "hi": 3}}}},
        f"unknown key '{GAMMA}.hi'; did you mean 'high'? (allowed here: low, high)",
    ),
    # Missing keys: only a range has keys without a default
    ({f"{RATE}.default": REMOVE}, f"key '{RATE}.default' is missing, expected a finite number"),
    (
        {"search_space.losses": {"focal": {"gamma": {"low": 3}}}},
        f"key '{GAMMA}.high' is missing, expected a finite number",
    ),
    # A loss's own ranges
    (
        {"search_space.losses": None},
        "search_space.losses: found nothing, expected loss names, each with ranges or values for its hyperparameters, "
        "or {}",
    ),
    (
        {"search_space.losses": {"focal": 2}},
        "search_space.losses.focal: found 2, expected the loss's hyperparameters, each with a range or a value",
    ),
    (
        {"search_space.losses": {"focal": {"gamma": "high"}}},
        f"{GAMMA}: found 'high', expected a number, or {{low: ..., high: ...}}",
    ),
    (
        {"search_space.losses": {"focal": {"gamma": "2"}}},
        f"{GAMMA}: found '2', expected a number, or {{low: ..., high: ...}}; remove the quotes",
    ),
    (
        {"search_space.losses": {"focal": {"gamma": {"low": "0", "high": 1}}}},
        f"{GAMMA}.low: found '0', expected a finite number; remove the quotes",
    ),
    # Contradictions
    (
        {"search_space.losses": {"focal": {"gamma": {"low": 3, "high": 1}}}},
        f"{GAMMA}: low must be below high, found low 3 and high 1",
    ),
    ({f"{RATE}.low": 1}, f"{RATE}: low must be below high, found low 1 and high 0.1"),
    ({f"{RATE}.low": 0}, f"{RATE}: a log scale needs low above 0, found 0"),
    ({f"{RATE}.default": 5}, f"{RATE}: default must lie in [1e-05, 0.1], found 5"),
    ({f"{RATE}.low": -1, f"{RATE}.scale": "linear"}, "search_space: learning_rate.low must be above 0, found -1"),
    (
        {"search_space.weight_decay.low": -1, "search_space.weight_decay.scale": "linear"},
        "search_space: weight_decay.low must not be negative, found -1",
    ),
    ({"losses": ["cross_entropy", "focal", "focal"]}, "losses: 'focal' is named twice"),
    (
        {"baseline": "crossentropy"},
        f"baseline: found 'crossentropy', expected one of losses ({LOSSES}); did you mean 'cross_entropy'?",
    ),
    ({"losses": ["focal"]}, "baseline: found 'cross_entropy', expected one of losses (focal)"),
    (
        {"tune.scheduler": "asha", "tune.asha.grace_epochs": 15},
        "tune.asha.grace_epochs: found 15, expected less than training.epochs (15), or ASHA cannot stop any trial",
    ),
    # Several at once: the most telling first, the others by name
    (
        {"study.seed": -1, "training.epochs->epoch": None, "tune.sampler": "grid"},
        "unknown key 'training.epoch'; did you mean 'epochs'? (allowed here: epochs, batch_size, optimizer, momentum, "
        "betas, clip_norm, accumulation, schedule, warmup_fraction, step_every, step_factor, ema, patience, sampling, "
        "augmentation, mixup, cutmix, class_weights, soft_labels, precision, loop) "
        "(and 2 more: study.seed, tune.sampler)",
    ),
    (
        {"report.rope": -2, "report.alpha": 2},
        "report.alpha: found 2, expected a number in (0, 0.5) (and 1 more: report.rope)",
    ),
    (
        {"study.seed": -1, "model.width": 0, "model.depth": 0, "training.epochs": 0, "report.rope": -2},
        f"study.seed: found -1, expected {SEED} (and 4 more: model.width, model.depth, training.epochs, ...)",
    ),
]


@pytest.mark.parametrize(("changes", "message"), MALFORMED, ids=[message[:60] for _, message in MALFORMED])
def test_one_clear_line(changes, message):
    assert message_of(changed(changes)) == message


def test_a_key_that_is_no_text():
    assert message_of(shipped_values() | {5: 3}) == f"unknown key '5' (allowed here: {TOP_LEVEL})"


@pytest.mark.parametrize("values", [None, [], 3, "text"])
def test_what_is_no_section_at_all(values):
    assert "expected a section with keys study, data" in message_of(values)


VALID: list[dict[str, Any]] = [
    {"study.seed": 0},
    {"study.seed": 2**53 - 1},
    {"data.image_size": 32},
    # The validation split is a share of what the test split leaves: something is always left to train on.
    {"data.validation_fraction": 0.6, "data.test_fraction": 0.5},
    {"data.label_noise": 0},
    {"report.class_groups": [20, 20]},
    {"data.label_noise": {"rate": 0.4, "pairs": {3: 8, "8": 3}}},
    {"training.momentum": 0},
    {"tune.scheduler": "asha"},
    {"tune.asha.grace_epochs": 15},
    {"resources.max_concurrent": 4},
    {"resources.trials_per_gpu": 1},
    {"tracking.uri": "http://127.0.0.1:5000"},
    {"search_space.losses": {"focal": {"gamma": {"low": 0, "high": 3}}, "gce": {"q": 0.7}}},
    {"search_space.weight_decay": {"low": 0, "high": 0.1, "scale": "linear", "default": 0}},
    {"losses": ["focal", "cross_entropy"], "baseline": "focal"},
]


@pytest.mark.parametrize("changes", VALID, ids=str)
def test_what_the_comments_allow_is_allowed(changes):
    parse_params(changed(changes))


def test_the_shipped_file_is_valid():
    params = load_params(SHIPPED)
    assert params.baseline in params.losses
    assert params.search_space.learning_rate.low == 1e-5


@pytest.mark.parametrize("changes", [{}, {"data": {"name": "npz"}}, {"losses": ["cross_entropy", "focal"]}], ids=str)
def test_a_key_that_is_left_out_has_its_default(changes):
    params, defaults = parse_params(changes), Params()
    for section in Params.model_fields:
        if section not in changes:
            assert getattr(params, section) == getattr(defaults, section)
    assert params.data.root == "data/raw"


def test_the_settings_cannot_be_changed():
    params = load_params(SHIPPED)
    with pytest.raises(ValidationError, match="frozen"):
        params.baseline = "focal"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        params.tune.asha.grace_epochs = 5  # type: ignore[misc]
    assert isinstance(params.losses, tuple)


def test_the_settings_survive_json():
    params = load_params(SHIPPED)
    assert Params.model_validate_json(params.model_dump_json()) == params


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "params.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


BROKEN_FILES: list[tuple[str | bytes, str]] = [
    ("", "found nothing, expected sections such as 'data:' and 'model:'"),
    ("# nothing but this\n", "found nothing, expected sections such as 'data:' and 'model:'"),
    ("- a\n- b\n", "found a list, expected sections such as 'data:' and 'model:'"),
    ("digits\n", "found 'digits', expected sections such as 'data:' and 'model:'"),
    ("study:\n  name: a\n  name: b\n", "line 3: the key 'name' is given twice"),
    ("study:\n\tname: a\n", "line 2: a tab; YAML is indented with spaces"),
    ("study: {\n", "line 2, column 1: not valid YAML: expected the node content, but found '<stream end>'"),
    ("study: a: b\n", "line 1, column 9: not valid YAML: mapping values are not allowed here"),
    (b"study: \xff\xfe\n", "not text in UTF-8"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN_FILES, ids=[message[:40] for _, message in BROKEN_FILES])
def test_a_file_that_is_not_a_mapping_in_yaml(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(LosstuneError) as caught:
        load_params(path)
    assert str(caught.value) == f"{path}: {message}"


def test_a_missing_file(tmp_path):
    with pytest.raises(LosstuneError, match="no such file; run losstune in the folder of the study"):
        load_params(tmp_path / "params.yaml")


def test_a_folder_in_its_place(tmp_path):
    with pytest.raises(LosstuneError, match="cannot be read: Is a directory"):
        load_params(tmp_path)


@pytest.mark.parametrize("number", ["1.0e-5", "1e-5", "1E-05", "0.00001"])
def test_every_way_to_write_a_small_number(tmp_path, number):
    # DVC writes 1e-05 when an experiment sets it; YAML 1.1 would read that as text.
    text = SHIPPED.read_text(encoding="utf-8").replace("low: 1.0e-5", f"low: {number}", 1)
    assert load_params(write(tmp_path, text)).search_space.learning_rate.low == 1e-5


def test_a_message_is_one_line_without_a_library_s_name():
    for changes, _ in MALFORMED:
        message = message_of(changed(changes))
        assert "\n" not in message
        assert not re.search(r"pydantic|Settings|Input|valid (string|dictionary|integer)", message)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"tune": {"metric": "m.py:cost"}},
            "report.rope: is missing, expected the smallest difference of cost that matters in practice, in the units "
            "of this metric; where it is a fraction, write `percent: true` in tune.metric",
        ),
        (
            {"tune": {"metric": {"name": "m.py:mean_iou", "percent": True}}, "report": {"rope": 1.0}},
            "report.rope: found 1, expected a number in [0, 1), because mean_iou is a fraction",
        ),
        ({"report": {"rope": 2}}, "report.rope: found 2, expected a number in [0, 1), because accuracy is a fraction"),
        (
            {"tune": {"metric": "m.py:macro_f1"}},
            "tune.metric: name: found 'm.py:macro_f1', but macro_f1 is a metric of losstune; rename the function",
        ),
        (
            {"tune": {"metric": {"name": "m.py:ece", "minimize": True}}},
            "tune.metric: name: found 'm.py:ece', but ece is a metric of losstune; rename the function",
        ),
        (
            {"tune": {"metric": {"name": "m.py:cost", "minimise": True}}},
            "unknown key 'tune.metric.minimise'; did you mean 'minimize'? (allowed here: name, options, minimize, "
            "percent)",
        ),
        (
            {"tune": {"metric": {"name": "m.py:cost", "minimize": "yes"}}},
            "tune.metric.minimize: found 'yes', expected true or false; write true",
        ),
        (
            {"tune": {"metric": {"name": "cost"}}},
            f"tune.metric.name: found 'cost', expected {EXPECTED}; other names need a training.loop that returns its "
            "scores",
        ),
        (
            {"tune": {"metric": {"minimize": True}}},
            f"key 'tune.metric.name' is missing, expected {EXPECTED}, or a name if training.loop returns its scores",
        ),
        (
            {"tune": {"metric": {"name": "m.py:cost", "options": [1]}}},
            "tune.metric.options: found a list, expected keyword arguments by name, or {}",
        ),
    ],
)
def test_a_mistake_in_a_metric_of_the_user_s_own(given, message):
    with pytest.raises(ValidationError) as caught:
        Params.model_validate(given)
    assert explain_validation_error(caught.value, Params) == message


def test_a_metric_of_the_user_s_own_is_a_reference_or_a_section():
    plain = Params.model_validate({"tune": {"metric": "m.py:cost"}, "report": {"rope": 250}})
    assert (plain.tune.measure.name, plain.tune.measure.minimize, plain.report.rope) == ("cost", False, 250.0)
    section = {"name": "m.py:cost", "minimize": True, "options": {"costs": [[0, 1], [5, 0]]}}
    whole = Params.model_validate({"tune": {"metric": section}, "report": {"rope": 0.1}})
    assert (whole.tune.measure.minimize, whole.tune.metric.options) == (True, section["options"])
    fraction = Params.model_validate({"tune": {"metric": {"name": "m.py:mean_iou", "percent": True}}})
    assert (fraction.tune.measure.percent, fraction.report.rope) == (True, 0.005)
    assert Params().tune.own_metrics == {}
    assert Params().tune.measure.name == "accuracy"


@pytest.mark.parametrize(
    ("noise", "data"),
    [
        (0.0, "digits"),
        (0.4, "digits (40% wrong labels)"),
        (0.125, "digits (12.5% wrong labels)"),
        ("noisy", "digits (noisy labels)"),
        ({"rate": 0.4, "pairs": {"1": "7"}}, "digits (noisy labels)"),
    ],
)
def test_the_verdict_names_label_noise(noise, data):
    assert parse_params(changed({"data.label_noise": noise})).place("digits") == f"{data} with the cnn"
