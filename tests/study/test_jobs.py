"""A job's key depends on all that determines the result and on nothing else."""

import dataclasses

import pytest

from losstune.config.settings import ModelSettings, TrainingSettings
from losstune.core.records import Configuration
from losstune.study.jobs import entries_of, is_out_of_memory, make_job, train_timed
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
    configuration=Configuration(
        loss="focal", hyperparameters={"gamma": 2.0}, learning_rate=1e-3, weight_decay=0.0
    ),
    seeds=(1,),
    model=ModelSettings(name="mlp", width=8, depth=1),
    training=TRAINING,
    device="cpu",
)


def key(task=TASK, stage="tune", role="trial", index=0, data="data", torch="2.15.0"):
    return make_job(task, stage, role, (index,), data, {"torch": torch}).keys[0]


CHANGES = {
    "loss": {"configuration": TASK.configuration.model_copy(update={"loss": "poly1"})},
    "hyperparameter": {
        "configuration": TASK.configuration.model_copy(update={"hyperparameters": {"gamma": 2.5}})
    },
    "learning rate": {"configuration": TASK.configuration.model_copy(update={"learning_rate": 2e-3})},
    "weight decay": {"configuration": TASK.configuration.model_copy(update={"weight_decay": 1e-9})},
    "seed": {"seeds": (2,)},
    "model": {"model": ModelSettings(name="mlp", width=9, depth=1)},
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


def test_stage_role_and_number_do_not():
    assert key(stage="confirm", role="control", index=7) == key()


def test_each_seed_of_a_unit_has_the_key_it_would_have_alone():
    both = make_job(
        dataclasses.replace(TASK, seeds=(1, 2)), "tune", "trial", (0, 1), "data", {"torch": "2.15.0"}
    )
    assert both.keys == (key(), key(dataclasses.replace(TASK, seeds=(2,))))


def test_an_exception_in_a_loss_is_that_trials_outcome():
    task = small_task("focal", hyperparameters={"gamma": 2.0, "delta": 1.0})
    (timed,) = train_timed(task, digits_arrays(), ())
    (result,) = timed.results
    assert result.status == "failed"
    assert result.cause == "ValueError: focal has no hyperparameter 'delta'; it has gamma"
    assert result.validation["accuracy"] == 0.0


def test_entries_carry_what_was_trained():
    task = small_task("focal", seeds=(4, 5), epochs=1)
    job = make_job(task, "confirm", "block", (0, 1), "data", {"torch": "2.15.0"})
    (timed,) = train_timed(task, digits_arrays(), ())
    first, second = (entry for entry, _ in entries_of(job, timed, "abc-dirty"))
    assert (first.record.key, second.record.key) == job.keys
    assert (first.record.index, second.record.index) == (0, 1)
    assert (first.record.seed, second.record.seed) == (4, 5)
    assert first.record.validation != second.record.validation
    assert first.execution.commit == "abc-dirty"
    assert first.execution.duration_sec > 0


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
