"""What was promised is kept, and whoever changes it is told so."""

import json
import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from losstune.config.load import load_params, parse_params
from losstune.core.errors import LosstuneError
from losstune.core.files import digest
from losstune.core.metric import METRICS
from losstune.losses.registry import get
from losstune.study.registration import (
    differences,
    read_registration,
    register,
    registration_of,
    share_registrations,
    take_registrations,
    write_registration,
)
from losstune.study.search import space_of
from losstune.study.selection import rule
from losstune.study.shared_ledger import SharedLedger
from tests.paths import REPOSITORY


def values():
    """The default study, limited by numbers of searches and blocks."""
    found = YAML(typ="safe", pure=True).load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    return found | {"budget": None}


def registration(changed=None, data_digest="abc"):
    params = parse_params(changed or values())
    spaces = {loss: space_of(get(loss), params.search_space) for loss in params.losses}
    return registration_of(params, data_digest, spaces)


def changed(section, key, value):
    found = values()
    (found[section] if section else found)[key] = value
    return found


def test_the_protocol_hash_is_the_same_in_every_process_and_place():
    code = "from tests.study.test_registration import registration; print(registration().protocol)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == registration().protocol
    assert load_params(REPOSITORY / "params.yaml").baseline == registration().terms["baseline"]


@pytest.mark.parametrize(
    ("section", "key", "value", "term"),
    [
        ("study", "seed", 1, "study.seed"),
        ("data", "label_noise", 0.1, "data.label_noise"),
        ("model", "width", 17, "model.width"),
        ("training", "epochs", 16, "training.epochs"),
        ("training", "precision", "float32", "training.precision"),
        ("tune", "trials_per_loss", 13, "tune.trials_per_loss"),
        ("tune", "metric", "macro_f1", "tune.metric"),
        ("confirm", "num_blocks", 11, "confirm.num_blocks"),
        ("report", "rope", 0.01, "report.rope"),
        ("report", "alpha", 0.01, "report.alpha"),
        (None, "baseline", "focal", "baseline"),
        ("search_space", "losses", {"focal": {"gamma": {"low": 0.0, "high": 3.0}}}, "spaces.focal.gamma"),
    ],
)
def test_the_terms_cover(section, key, value, term):
    later = registration(changed(section, key, value))
    assert later.protocol != registration().protocol
    (line,) = differences(registration().terms, later.terms)
    assert line.startswith(f"{term}: registered ")


NEW = {
    ("tune", "prior"): "advice",
    ("model", "freeze"): "backbone",
    ("model", "backbone_factor"): 0.5,
    ("training", "mixup"): 0.2,
    ("training", "cutmix"): 1.0,
    ("training", "class_weights"): "balanced",
    ("training", "betas"): [0.8, 0.9],
    ("training", "clip_norm"): 1.0,
    ("training", "accumulation"): 2,
    ("training", "step_every"): 3,
    ("training", "step_factor"): 0.5,
    ("training", "ema"): 0.9,
    ("training", "patience"): 3,
    ("training", "sampling"): "balanced",
    ("training", "soft_labels"): "mode",
}
"""Keys that the first studies did not have, each with a value that is not its default."""


@pytest.mark.parametrize(("section", "key"), NEW)
def test_a_new_key_is_a_term_only_where_it_is_used(section, key):
    """Or a study that does not use it would seem to have changed its rules."""
    assert f"{section}.{key}" not in registration().terms
    assert registration(changed(section, key, NEW[section, key])).terms[f"{section}.{key}"] == NEW[section, key]


DIGITS = "2ed73bda8b1beea6c17699b26094a3c4935830b93bc1951f15d3b5fdfa83e2ee"
"""Digest of the prepared digits."""


def replicated():
    """The default study as it was before searches were pooled."""
    found = values()
    found |= {"protocol": "replicated", "budget": None}
    found["tune"] |= {"num_searches": 2, "trials_per_loss": 12}
    found["confirm"] |= {"num_blocks": 16}
    return found


def test_a_study_of_replicated_searches_keeps_its_hash():
    found = registration(replicated(), DIGITS)
    assert found.protocol == "7837ffe65601be03e282648e528982515e292b1d8f802484c564b9b3e3577968"


@pytest.mark.parametrize(
    ("changes", "terms"),
    [
        ({"protocol": "replicated"}, {"protocol"}),
        ({"budget": {"trainings": 500}}, {"budget"}),
        ({"budget": {"minutes": 30}}, {"budget"}),
        ({"tune.sampler": "tpe"}, {"protocol", "tune.sampler"}),
        ({"tune.scheduler": "asha"}, {"protocol", "tune.scheduler"}),
        ({"confirm.stopping": "anytime"}, {"protocol", "confirm.stopping"}),
    ],
)
def test_the_protocol_and_the_budget_are_terms(changes, terms):
    """The limits of a loss are terms only where no budget takes their place."""
    before = registration(values() | {"budget": {"trainings": 400}}).terms
    found = values() | {"budget": {"trainings": 400}}
    for key, value in changes.items():
        section, _, inner = key.partition(".")
        if inner:
            found[section][inner] = value
        else:
            found[section] = value
    if "budget" not in changes:
        found["budget"] = None
        terms = terms | {"budget"}
        if "protocol" in terms:
            before = {key: value for key, value in before.items() if key != "budget"}
            terms = terms - {"budget"}
    after = registration(found).terms
    limits = {"tune.num_searches", "confirm.num_blocks"}
    assert {line.partition(":")[0] for line in differences(before, after)} - limits == terms
    assert (limits <= after.keys()) == (found["budget"] is None)


def test_the_hash_of_the_default_study_is_that_of_its_registration():
    recorded = json.loads((REPOSITORY / "results/confirm/registration.json").read_text(encoding="utf-8"))
    params = load_params(REPOSITORY / "params.yaml")
    spaces = {loss: space_of(get(loss), params.search_space) for loss in params.losses}
    found = registration_of(params, recorded["terms"]["data.digest"], spaces)
    assert found.terms == recorded["terms"]


def test_the_terms_are_what_is_written_out_here():
    found = values()
    found["losses"] = ["focal", "cross_entropy"]
    found["search_space"]["losses"] = {"focal": {"gamma": 1.5}}
    found |= {"protocol": "replicated", "budget": None}
    params = parse_params(found)
    expected = {
        f"{section}.{key}": value
        for section in ("model", "training", "tune", "confirm", "report")
        for key, value in getattr(params, section).model_dump(mode="json").items()
        if (section, key) not in NEW and key not in {"download", "weights", "secondary_metrics", "class_groups"}
    }
    rate, decay = params.search_space.learning_rate, params.search_space.weight_decay
    for loss in ("focal", "cross_entropy"):
        expected[f"spaces.{loss}.learning_rate"] = (
            f"{rate.low:g} to {rate.high:g}, {rate.scale}, first {rate.default:g}"
        )
        expected[f"spaces.{loss}.weight_decay"] = (
            f"{decay.low:g} to {decay.high:g}, {decay.scale}, first {decay.default:g}"
        )
    assert registration(found, "the digest").terms == expected | {
        "study.seed": found["study"]["seed"],
        "data.name": found["data"]["name"],
        "data.label_noise": found["data"]["label_noise"],
        "data.digest": "the digest",
        "losses": ["cross_entropy", "focal"],
        "baseline": found["baseline"],
        "selection": rule(METRICS["accuracy"]),
        "spaces.focal.gamma": 1.5,
    }


def test_differences_are_sorted_and_tell_what_is_missing():
    before = {"b": 1, "losses": ["x", "y"], "same": 0.5, "gone": 2}
    after = {"new": 3, "b": 2, "losses": ["x"], "same": 0.5}
    assert differences(before, after) == [
        "b: registered 1, found 2",
        "gone: registered 2, found nothing",
        "losses: registered x, y, found x",
        "new: registered nothing, found 3",
    ]


def test_the_register_keeps_every_entry_in_order(tmp_path):
    plans = [registration(changed("report", "rope", rope)) for rope in (0.01, 0.02, 0.03)]
    found = [register(tmp_path, "s", plan, lambda keys: True, ["b", "a"]) for plan in plans]
    assert [[one.protocol for one in plan.earlier] for plan in found] == [
        [],
        [plans[0].protocol],
        [plans[0].protocol, plans[1].protocol],
    ]
    folder = tmp_path / ".losstune" / "registrations" / digest(["s", "abc"])[:16]
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{number:04d}-{plan.protocol[:12]}.json" for number, plan in enumerate(plans)
    ]
    entry = {"terms": plans[0].model_dump(mode="json")["terms"], "keys": ["a", "b"]}
    text = (folder / f"0000-{plans[0].protocol[:12]}.json").read_text()
    assert text == json.dumps(entry, sort_keys=True, indent=1) + "\n"
    # An entry that cannot be read counts for nothing, but keeps its number.
    (folder / f"0001-{plans[1].protocol[:12]}.json").write_text("{")
    last = register(tmp_path, "s", registration(), lambda keys: True, ["c"])
    assert [one.protocol for one in last.earlier] == [plans[0].protocol, plans[2].protocol]
    assert (folder / f"0003-{registration().protocol[:12]}.json").exists()


def test_a_register_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / ".losstune").write_text("in the way")
    with pytest.raises(LosstuneError, match=r"registrations/[0-9a-f]{16}: cannot register the study: Not a directory$"):
        register(tmp_path, "s", registration(), lambda keys: False, ["k"])


def test_the_terms_cover_losses_and_data():
    assert differences(registration().terms, registration(changed(None, "losses", ["cross_entropy", "focal"])).terms)
    assert differences(registration().terms, registration(data_digest="abd").terms) == [
        "data.digest: registered abc, found abd"
    ]


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("study", "name", "another name"),
        ("data", "root", "/elsewhere"),
        ("data", "download", True),
        ("resources", "executor", "inline"),
        ("tracking", "enabled", False),
        ("tune", "secondary_metrics", ["nll", "auroc"]),
    ],
)
def test_the_terms_do_not_depend_on(section, key, value):
    later = changed(section, key, value)
    later["losses"].reverse()
    assert registration(later).protocol == registration().protocol


def test_what_another_machine_has_read_was_read(tmp_path):
    first, second, shared = tmp_path / "first", tmp_path / "second", str(tmp_path / "shared")
    register(first, "s", registration(), lambda keys: False, ["a"])
    there = SharedLedger(shared, tmp_path)
    share_registrations(first, there)
    share_registrations(first, there)  # once is enough
    there.close(wait=True)
    here = SharedLedger(shared, tmp_path)
    assert len(here.registrations) == 1
    take_registrations(second, here)
    later = registration(changed("report", "rope", 0.02))
    found = register(second, "s", later, lambda keys: list(keys) == ["a"], ["b"])
    assert [one.differs for one in found.earlier] == [("report.rope: registered 0.005, found 0.02",)]


def test_a_plan_that_was_kept_has_no_earlier_one(tmp_path):
    first = register(tmp_path, "s", registration(), lambda keys: True, ["k"])
    assert first.earlier == ()
    assert register(tmp_path, "s", registration(), lambda keys: True, ["k"]) == first


def test_changing_the_rules_after_looking_is_told_and_going_back_is_not(tmp_path):
    later = registration(changed("report", "rope", 0.02))
    first = register(tmp_path, "s", registration(), lambda keys: False, ["k"])
    amended = register(tmp_path, "s", later, lambda keys: keys == ["k"], ["j"])
    assert [earlier.protocol for earlier in amended.earlier] == [first.protocol]
    assert amended.earlier[0].differs == ("report.rope: registered 0.005, found 0.02",)
    assert register(tmp_path, "s", registration(), lambda keys: True, ["k"]).earlier == ()


def test_changing_the_rules_before_looking_is_nobodys_business(tmp_path):
    register(tmp_path, "s", registration(), lambda keys: False, ["k"])
    later = registration(changed("report", "rope", 0.02))
    assert register(tmp_path, "s", later, lambda keys: False, ["j"]).earlier == ()
    assert register(tmp_path, "another study", later, lambda keys: True, ["j"]).earlier == ()


def test_a_registration_survives_its_file(tmp_path):
    path = tmp_path / "registration.json"
    write_registration(path, registration())
    assert read_registration(path) == registration()


def test_an_edited_registration_is_refused(tmp_path):
    path = tmp_path / "registration.json"
    write_registration(path, registration())
    content = json.loads(path.read_text())
    content["terms"]["report.rope"] = 0.02
    path.write_text(json.dumps(content))
    with pytest.raises(LosstuneError) as caught:
        read_registration(path)
    assert str(caught.value) == (
        f"{path}: its terms have the hash {digest(content['terms'])[:12]}, found "
        f"{registration().protocol[:12]}: it was edited afterwards, so there is no verdict; `dvc repro -f confirm` "
        "registers the settings in params.yaml"
    )


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"protocol": "x", "terms": 1}'])
def test_a_damaged_registration_is_one_line(tmp_path, content):
    path = tmp_path / "registration.json"
    path.write_text(content)
    with pytest.raises(LosstuneError, match="is damaged"):
        read_registration(path)
    with pytest.raises(LosstuneError, match="no such file"):
        read_registration(tmp_path / "absent.json")
