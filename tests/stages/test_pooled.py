"""A small pooled study from end to end, in this process."""

import json
from collections import Counter, defaultdict

import pytest

from losstune.core.seeds import derive_seed
from losstune.stages.layout import BLOCKS, TRIALS, read_records
from tests.commands import losstune
from tests.test_pipeline import write_params

SMALL = {
    "study.name": "pooled",
    "model": {"name": "mlp", "width": 16, "depth": 1},
    "training.epochs": 2,
    "losses": ["cross_entropy", "kl_divergence", "focal", "mae"],
    "protocol": "pooled",
    "budget": {"trainings": 130},
    "tune.trials_per_loss": 8,
    "resources.executor": "inline",
    "tracking.enabled": False,
}


def run(folder, *stages):
    return {stage: losstune(folder, stage) for stage in stages}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pooled")
    write_params(folder, SMALL)
    said = run(folder, "prepare", "features", "tune", "confirm", "report")
    return folder, said


@pytest.fixture(scope="module")
def results(done):
    return json.loads((done[0] / "results.json").read_text())


def test_tune_trains_the_first_search_of_every_loss_on_shared_points_and_seeds(done):
    records = read_records(done[0] / TRIALS)
    assert Counter(record.configuration.loss for record in records) == dict.fromkeys(SMALL["losses"], 8)
    by_place = defaultdict(dict)
    for record in records:
        by_place[record.index][record.configuration.loss] = record
    for losses in by_place.values():
        shared = [losses[loss] for loss in ("cross_entropy", "focal", "mae")]
        assert len({record.seed for record in shared}) == 1
        assert len({record.configuration.learning_rate for record in shared}) == 1
        # What equals the baseline is tuned by itself, or the noise floor would be zero.
        assert losses["kl_divergence"].seed != shared[0].seed


def test_blocks_share_their_seeds_over_the_losses(done):
    blocks = [record for record in read_records(done[0] / BLOCKS) if record.role == "block"]
    seeds = {(record.index, record.seed) for record in blocks}
    assert seeds == {(index, derive_seed(20260, "confirm", "pool", index)) for index, _ in seeds}
    per_loss = Counter(record.configuration.loss for record in blocks)
    assert per_loss["cross_entropy"] == max(per_loss.values()) == per_loss["kl_divergence"]


def test_the_budget_is_kept(done, results):
    trained = len(read_records(done[0] / TRIALS)) + len(read_records(done[0] / BLOCKS))
    assert trained == results["rounds"]["num_trainings"] <= results["rounds"]["budget"] == 130


def test_controls_hold_and_weights_add_up(results):
    assert results["control"]["identity"]["passed"]
    assert results["control"]["positive"]["detected"]
    assert results["control"]["noise_floor"] > 0
    for loss in results["losses"]:
        assert sum(row["weight"] for row in loss["searches"]) <= 1 + 1e-9
        assert sum(row["num_blocks"] for row in loss["searches"]) == len(loss["blocks"])
        assert loss["winner"] == loss["searches"][0]["winner"]


def test_mae_is_far_behind_and_an_identical_loss_is_no_candidate(results):
    found = {loss["loss"]: loss for loss in results["losses"]}
    assert found["kl_divergence"]["decision"] is None
    assert found["mae"]["difference"]["mean"] < 0


def test_a_second_run_trains_nothing_and_writes_the_same(done):
    folder, _ = done
    before = {name: (folder / name).read_bytes() for name in (TRIALS, BLOCKS, "results.json")}
    said = run(folder, "tune", "confirm", "report")
    assert "to train 0" in said["confirm"].stdout
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_other_trainings_than_the_rounds_ask_for_are_no_verdict(done, tmp_path):
    folder, _ = done
    text = (folder / BLOCKS).read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    last = max(
        row["index"] for row in rows if row["role"] == "block" and row["configuration"]["loss"] == "cross_entropy"
    )
    more = next(row for row in rows if row["index"] == last and row["configuration"]["loss"] == "cross_entropy")
    seed = derive_seed(20260, "confirm", "pool", last + 1)
    changes = {
        "missing": ("\n".join(text.splitlines()[1:]) + "\n", "finish `losstune confirm`"),
        "more": (text + json.dumps(more | {"index": last + 1, "seed": seed}) + "\n", "the rounds did not ask for it"),
        "seed": (text.replace(f'"seed":{more["seed"]}', '"seed":1'), "has another seed"),
    }
    try:
        for content, message in changes.values():
            (folder / BLOCKS).write_text(content)
            found = losstune(folder, "report", check=False)
            assert found.returncode == 2
            assert message in found.stderr
    finally:
        (folder / BLOCKS).write_text(text)


def test_a_larger_budget_keeps_what_is_trained_and_says_that_the_rules_changed(done, tmp_path_factory):
    folder, _ = done
    write_params(folder, {"budget": {"trainings": 160}})
    try:
        said = run(folder, "tune", "confirm", "report")
        assert "kept 32" in said["tune"].stdout
        assert "budget: registered 130 trainings, found 160 trainings" in said["confirm"].stdout
        grown = json.loads((folder / "results.json").read_text())
        assert 130 < grown["rounds"]["num_trainings"] <= 160
        assert len(grown["earlier"]) == 1
    finally:
        write_params(folder, {"budget": {"trainings": 130}})
