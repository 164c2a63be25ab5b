"""``tune.prior: advice`` in a small study: ranges, registration, control, report."""

import pytest

from losstune.advice import database
from losstune.config.load import load_params
from losstune.stages import fingerprint, prior
from losstune.stages.layout import REGISTRATION, REPORT, TRIALS, read_records
from losstune.study.registration import read_registration
from tests.advice.made_up import data, verdict, winner
from tests.commands import losstune
from tests.stages.pooled_study import POOLED
from tests.test_pipeline import write_params

RATES = {"cross_entropy": 2e-3, "kl_divergence": 2e-3, "focal": 4e-3}
PAST = [
    verdict(loss, f"study {number}", part=part, winner=winner(rate), data=data(f"set{number}", num_train=1150))
    for number in range(4)
    for loss, rate, part in (("cross_entropy", 2e-3, "baseline"), ("focal", 4e-3, "candidate"))
]
LOSSES = ["cross_entropy", "kl_divergence", "focal", "mae"]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prior")
    write_params(folder, POOLED | {"losses": LOSSES, "tune.prior": "advice", "budget": {"trainings": 150}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prior, "shipped", lambda: PAST)
        said = {stage: losstune(folder, stage).stderr for stage in ("prepare", "tune", "confirm", "report")}
        said["check"] = " ".join(losstune(folder, "check").stdout.split())
    return folder, said


@pytest.fixture(scope="module")
def terms(done):
    return read_registration(done[0] / REGISTRATION).terms


def test_the_ranges_are_registered(terms):
    assert terms["tune.prior"] == "advice"
    assert terms["spaces.cross_entropy.learning_rate"].startswith("0.000632 to 0.00632, log, first 0.001")
    assert terms["spaces.focal.learning_rate"].startswith("0.00126 to 0.0126, log")
    assert terms["spaces.mae.learning_rate"].startswith("1e-05 to 0.1, log")


def test_the_control_searches_as_the_baseline_does(terms):
    for name in ("learning_rate", "weight_decay"):
        assert terms[f"spaces.kl_divergence.{name}"] == terms[f"spaces.cross_entropy.{name}"]


def test_the_trials_lie_in_the_ranges(done):
    for record in read_records(done[0] / TRIALS):
        if record.index and record.role == "trial" and record.configuration.loss in RATES:
            rate = RATES[record.configuration.loss]
            assert rate / 3.2 < record.configuration.learning_rate < rate * 3.2


def test_the_user_is_told(done):
    folder, said = done
    page = (folder / REPORT).read_text()
    assert "cross_entropy: learning_rate 0.000632 to 0.00632 (4 studies)" in page
    assert "mae: learning_rate" not in page
    assert "prior cross_entropy: learning_rate 0.000632 to 0.00632 (4 studies)" in said["check"]
    assert "tune.prior: the winners of similar studies narrowed the ranges of 3 losses" in said["tune"]


def test_without_evidence_nothing_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(prior, "shipped", lambda: ())
    write_params(tmp_path, POOLED | {"tune.prior": "advice"})
    losstune(tmp_path, "prepare")
    assert "tune.prior: no range was narrowed" in losstune(tmp_path, "tune").stderr


def test_a_study_without_a_prior_is_registered_as_before(tmp_path):
    write_params(tmp_path, POOLED)
    for stage in ("prepare", "tune", "confirm"):
        losstune(tmp_path, stage)
    assert "tune.prior" not in read_registration(tmp_path / REGISTRATION).terms


def test_the_database_is_a_dependency_of_the_stages_that_use_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "verdicts.jsonl"
    copy.write_text(database.SHIPPED.read_text())
    monkeypatch.setattr(database, "SHIPPED", copy)

    def changed(prior):
        write_params(tmp_path, POOLED | {"tune.prior": prior})
        params = load_params(tmp_path / "params.yaml")
        before = fingerprint.fingerprints(params, tmp_path, with_data=False)
        copy.write_text(copy.read_text() + "\n")
        after = fingerprint.fingerprints(params, tmp_path, with_data=False)
        return {stage for stage in before if before[stage] != after[stage]}

    assert changed("none") == set()
    assert changed("advice") == {"tune", "confirm", "report"}
