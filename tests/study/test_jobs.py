"""A job's key depends on all that determines the result and on nothing else."""

import dataclasses
import hashlib
import json

import pytest

from losstune.config.metrics import CostSettings, MetricSettings
from losstune.config.settings import ModelSettings, OwnSettings, TrainingSettings
from losstune.core.records import Configuration
from losstune.core.sources import code_digest
from losstune.study import jobs as study_jobs
from losstune.study.jobs import entries_of, is_out_of_memory, loop_module, make_job, train_timed
from losstune.training.task import Task
from tests.small import digits_arrays, small_task

TRAINING = TrainingSettings(
    epochs=2,
    batch_size=32,
    optimizer="adamw",
    momentum=0.9,
    schedule="cosine",
    warmup_fraction=0.0,
    augmentation="none",
    precision="float32",
)
TASK = Task(
    configuration=Configuration(loss="focal", hyperparameters={"gamma": 2.0}, learning_rate=1e-3, weight_decay=0.0),
    seeds=(1,),
    model=ModelSettings(name="mlp", width=8, depth=1),
    training=TRAINING,
    device="cpu",
)


def key(task=TASK, stage="tune", role="trial", index=0, data="data", torch="2.15.0"):
    return make_job(task, stage, role, (index,), data, {"torch": torch}).keys[0]


CHANGES = {
    "loss": {"configuration": TASK.configuration.model_copy(update={"loss": "poly1"})},
    "hyperparameter": {"configuration": TASK.configuration.model_copy(update={"hyperparameters": {"gamma": 2.5}})},
    "learning rate": {"configuration": TASK.configuration.model_copy(update={"learning_rate": 2e-3})},
    "weight decay": {"configuration": TASK.configuration.model_copy(update={"weight_decay": 1e-9})},
    "seed": {"seeds": (2,)},
    "model": {"model": ModelSettings(name="mlp", width=9, depth=1)},
    "frozen layers": {"model": ModelSettings(name="mlp", width=8, depth=1, freeze="backbone")},
    "learning rate of the backbone": {"model": ModelSettings(name="mlp", width=8, depth=1, backbone_factor=0.1)},
    "epochs": {"training": TRAINING.model_copy(update={"epochs": 3})},
    "augmentation": {"training": TRAINING.model_copy(update={"augmentation": "flip"})},
    "precision": {"training": TRAINING.model_copy(update={"precision": "bfloat16"})},
    "device": {"device": "cuda"},
    "test": {"test": True},
    "early stopping": {"early_stopping": "asha"},
    "weights": {"keep_weights": True},
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_determines_the_outcome_changes_the_key(change):
    assert key(dataclasses.replace(TASK, **CHANGES[change])) != key()


def test_data_and_torch_change_the_key():
    assert len({key(), key(data="other data"), key(torch="2.11.0")}) == 3


def test_searched_settings_and_what_patience_watches_are_part_of_the_key():
    tuned = TASK.configuration.model_copy(update={"settings": {"momentum": 0.5}})
    assert key(dataclasses.replace(TASK, configuration=tuned)) != key()
    assert key(dataclasses.replace(TASK, score="macro_f1")) == key()
    patient = dataclasses.replace(TASK, training=TASK.training.model_copy(update={"patience": 3}))
    assert key(dataclasses.replace(patient, score="macro_f1")) != key(patient)


def test_the_metrics_that_a_study_names_are_part_of_the_key():
    own = MetricSettings(name="mine.py:cost", minimize=True)
    costs = CostSettings(name="expected_cost", costs=((0.0, 1.0), (5.0, 0.0)))
    others = CostSettings(name="expected_cost", costs=((0.0, 1.0), (6.0, 0.0)))
    named = [(), ("auroc",), ("mcc",), ("auroc", "mcc"), (costs,), (others,), (own,), ("auroc", own)]
    assert len({key(dataclasses.replace(TASK, metrics=metrics)) for metrics in named}) == len(named)


def test_which_of_the_metrics_selects_is_not():
    """Every training has all of them, so a study that judges by another one of them trains nothing again."""
    own = MetricSettings(name="mine.py:cost", minimize=True, percent=True)
    moved = MetricSettings(name="elsewhere.py:cost", minimize=True)
    by_auroc = dataclasses.replace(TASK, metrics=("auroc", "mcc", own), score="auroc")
    assert key(by_auroc) == key(dataclasses.replace(TASK, metrics=(moved, "auroc", "mcc"), score="cost"))


def test_stage_role_and_number_do_not():
    assert key(stage="confirm", role="control", index=7) == key()


def test_each_seed_of_a_unit_has_the_key_it_would_have_alone():
    both = make_job(dataclasses.replace(TASK, seeds=(1, 2)), "tune", "trial", (0, 1), "data", {"torch": "2.15.0"})
    assert both.keys == (key(), key(dataclasses.replace(TASK, seeds=(2,))))


def test_the_key_is_the_hash_of_what_is_written_out_here():
    """Whoever changes this invalidates every ledger: all that was trained would be trained again."""
    task = dataclasses.replace(TASK, seeds=(1, 7), test=True, keep_weights=True, early_stopping="asha")
    job = make_job(task, "tune", "trial", (3, 4), "the data", {"torch": "2.15.0"}, search=2)
    for seed, found in zip((1, 7), job.keys, strict=True):
        content = {
            "data": "the data",
            "configuration": {
                "loss": "focal", "hyperparameters": {"gamma": 2.0}, "learning_rate": 1e-3, "weight_decay": 0.0,
            },
            "model": {"name": "mlp", "width": 8, "depth": 1, "options": {}, "freeze": "none", "backbone_factor": 1.0},
            "training": task.training.model_dump(mode="json"),
            "device": "cpu",
            "test": True,
            "weights": True,
            "code": code_digest("losstune.training.loop", "losstune.losses.focal"),
            "own": {},
            "metric": None,
            "early_stopping": "asha",
            "versions": {"torch": "2.15.0"},
            "seed": seed,
        }  # fmt: skip
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert found == hashlib.sha256(text.encode()).hexdigest()
    assert (job.task, job.stage, job.role, job.search, job.indices) == (task, "tune", "trial", 2, (3, 4))


@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("trial", "focal #2.3+2.4"),
        ("block", "focal, block 2.3+2.4"),
        ("degraded", "focal degraded, block 2.3+2.4"),
        ("control", "focal, control"),
    ],
)
def test_a_job_is_named_by_what_it_is_for(role, name):
    task = dataclasses.replace(TASK, seeds=(1, 2))
    assert make_job(task, "confirm", role, (3, 4), "data", {}, search=2).name == name


def test_an_exception_in_a_loss_is_that_trials_outcome():
    task = small_task("focal", hyperparameters={"gamma": 2.0, "delta": 1.0})
    (timed,) = train_timed(task, digits_arrays(), ())
    (result,) = timed.results
    assert result.status == "failed"
    assert result.cause == "ValueError: focal has no hyperparameter 'delta'; it has gamma"
    assert result.validation["accuracy"] == 0.0
    assert not timed.out_of_memory


def test_memory_that_ran_out_is_told(monkeypatch):
    def full(*_):
        raise MemoryError("no room\nfor this")
        yield

    monkeypatch.setattr("losstune.study.jobs.train", full)
    (timed,) = train_timed(small_task(seeds=(1, 2)), digits_arrays(), ())
    assert timed.out_of_memory
    assert [result.cause for result in timed.results] == ["MemoryError: no room for this"] * 2


def test_the_time_of_several_seeds_is_shared_out(monkeypatch):
    clock = iter([100.0, 103.0, 109.0])
    monkeypatch.setattr("losstune.study.jobs.time.perf_counter", lambda: next(clock))
    monkeypatch.setattr("losstune.study.jobs.time.time", lambda: 1e9)
    monkeypatch.setattr("losstune.study.jobs.train", lambda task, arrays, loss, rungs: iter([[loss], [rungs]]))
    task = small_task("focal", seeds=(1, 2, 3), hyperparameters={"gamma": 1.5})
    first, last = train_timed(task, digits_arrays(), (4, 8))
    assert (first.started_at, first.duration_sec, first.device) == (1e9, 1.0, "cpu")
    assert (last.started_at, last.duration_sec, last.out_of_memory) == (1e9, 3.0, False)
    (bound,), (rungs,) = first.results, last.results
    assert (bound.spec.name, bound.hyperparameters, rungs) == ("focal", {"gamma": 1.5}, (4, 8))


def test_entries_carry_what_was_trained(monkeypatch):
    monkeypatch.setattr(study_jobs, "processor_name", {"cpu": "Xeon"}.get)
    task = small_task("focal", seeds=(4, 5), epochs=1, test=True, keep_weights=True)
    job = make_job(task, "confirm", "block", (0, 1), "data", {"torch": "2.15.0"}, search=3)
    (timed,) = train_timed(task, digits_arrays(), ())
    entries = entries_of(job, timed, "abc-dirty")
    assert len(entries) == 2
    for (entry, weights), key, index, seed, result in zip(
        entries, job.keys, (0, 1), (4, 5), timed.results, strict=True
    ):
        record, execution = entry.record, entry.execution
        assert (record.key, record.index, record.seed) == (key, index, seed)
        assert (record.stage, record.role, record.search) == ("confirm", "block", 3)
        assert record.configuration == task.configuration
        # Every other field is the training's.
        shared = {field.name for field in dataclasses.fields(result)} - {"weights"}
        assert {name: getattr(record, name) for name in shared} == {name: getattr(result, name) for name in shared}
        assert None not in {name: getattr(result, name) for name in shared - {"cause", "balanced_hits"}}.values()
        assert weights is result.weights is not None
        assert (execution.key, execution.commit, execution.device) == (key, "abc-dirty", "cpu")
        assert execution.processor == "Xeon"
        assert (execution.started_at, execution.duration_sec) == (timed.started_at, timed.duration_sec)
    assert entries[0][0].record.validation != entries[1][0].record.validation


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_says_that_memory_ran_out(error, expected):
    assert is_out_of_memory(error) is expected


def test_a_loop_of_ones_own_is_trained_by_other_code_and_may_return_the_studys_metric():
    own = TRAINING.model_copy(update={"loop": OwnSettings(name="mine.py:train")})
    task = dataclasses.replace(TASK, training=own)
    moved = own.model_copy(update={"loop": OwnSettings(name="below/mine.py:train")})
    optioned = own.model_copy(update={"loop": OwnSettings(name="mine.py:train", options={"size": 3})})
    assert key(task) == key(dataclasses.replace(task, training=moved))
    keys = [key(), key(task), key(dataclasses.replace(task, training=optioned))]
    assert len({*keys, key(dataclasses.replace(task, score="mean_iou"))}) == 4
    assert key(dataclasses.replace(TASK, score="mean_iou")) == key()  # losstune's loop computes every metric
    assert loop_module(own) == "losstune.training.own_loop"
    assert loop_module(TRAINING) == "losstune.training.loop"
