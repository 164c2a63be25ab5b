import json
import math
import pickle

import pytest
from pydantic import ValidationError

from losstune.core.records import SCHEMA_VERSION, Configuration, Entry, Epoch, Execution, Record

CONFIGURATION = Configuration(
    loss="focal", hyperparameters={"gamma": 2.0, "order": 3}, learning_rate=1e-3, weight_decay=0.1 + 0.2
)


def record(**changed) -> Record:
    values = {
        "key": "0" * 64,
        "stage": "tune",
        "role": "trial",
        "index": 3,
        "seed": 2**63 - 1,
        "configuration": CONFIGURATION,
        "status": "finished",
        "num_parameters": 1234,
        "curve": (
            Epoch(epoch=1, learning_rate=1e-3, train_loss=2.302585092994046, validation={"accuracy": 0.1}),
            Epoch(epoch=2, learning_rate=5e-324, train_loss=1 / 3, validation={"accuracy": 1.0}),
        ),
        "validation": {"accuracy": 0.9},
    }
    return Record(**(values | changed))


def entry(**changed) -> Entry:
    execution = Execution(key="0" * 64, started_at=1.7e9, duration_sec=0.1, device="cpu", commit=None)
    return Entry(record=record(**changed), execution=execution)


def test_json_gives_the_same_entry_back_to_the_last_bit():
    before = entry(test={"accuracy": 0.5, "nll": 0.1 + 0.2}, confusion=((1, 0), (2, 3)))
    after = Entry.model_validate_json(before.model_dump_json())
    assert after == before
    assert after.record.configuration.weight_decay.hex() == (0.1 + 0.2).hex()
    assert after.record.seed == 2**63 - 1
    assert isinstance(after.record.confusion, tuple)
    assert isinstance(after.record.confusion[0], tuple)


def test_searched_settings_are_written_if_there_are_any():
    # Rows of studies that search none stay as they were.
    assert json.loads(CONFIGURATION.model_dump_json()).keys() == {
        "loss", "hyperparameters", "learning_rate", "weight_decay",
    }  # fmt: skip
    assert "settings" not in json.loads(record().model_dump_json())["configuration"]
    tuned = CONFIGURATION.model_copy(update={"settings": {"momentum": 0.1 + 0.2}})
    assert json.loads(tuned.model_dump_json())["settings"] == {"momentum": 0.1 + 0.2}
    for one in (CONFIGURATION, tuned):
        assert Configuration.model_validate_json(one.model_dump_json()) == one
    assert tuned.values == {"learning_rate": 1e-3, "weight_decay": 0.1 + 0.2, **tuned.further}
    assert tuned.further == {"momentum": 0.1 + 0.2, "gamma": 2.0, "order": 3}


def test_a_whole_number_stays_one():
    # Configurations are hashed: 3 and 3.0 would be two units of work.
    after = Configuration.model_validate_json(CONFIGURATION.model_dump_json())
    assert type(after.hyperparameters["order"]) is int
    assert type(after.hyperparameters["gamma"]) is float


@pytest.mark.parametrize("worst", [math.inf, -math.inf])
def test_json_keeps_infinities(worst):
    before = entry(status="diverged", cause="loss became infinite", validation={"nll": worst}, curve=())
    text = before.model_dump_json()
    assert json.loads(text)["record"]["validation"]["nll"] == ("Infinity" if worst > 0 else "-Infinity")
    assert Entry.model_validate_json(text) == before
    # What the ledger reads with the json module, strictly, is the same.
    assert Entry.model_validate(json.loads(text)) == before


def test_json_keeps_nan():
    text = record(curve=(Epoch(epoch=1, learning_rate=1, train_loss=math.nan, validation={}),)).model_dump_json()
    assert math.isnan(Record.model_validate_json(text).curve[0].train_loss)


def test_the_schema_version_is_written():
    assert json.loads(record().model_dump_json())["schema_version"] == SCHEMA_VERSION


@pytest.mark.parametrize("row", [record(), CONFIGURATION, record().curve[0], entry(), entry().execution])
def test_a_row_cannot_be_changed(row):
    for name in type(row).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(row, name, getattr(row, name))


@pytest.mark.parametrize(
    "changed",
    [{"status": "done"}, {"stage": "report"}, {"role": "winner"}, {"wall_sec": 1.0}, {"seed": "a"}, {"key": None}],
)
def test_a_wrong_value_is_an_error(changed):
    with pytest.raises(ValidationError, match=next(iter(changed))):
        record(**changed)


def test_a_missing_value_is_an_error():
    with pytest.raises(ValidationError, match="num_parameters"):
        Record.model_validate(
            {name: value for name, value in record().model_dump().items() if name != "num_parameters"}
        )


def test_workers_can_send_it():
    assert pickle.loads(pickle.dumps(entry())) == entry()


def test_a_record_holds_nothing_that_differs_between_two_runs():
    assert not {"started_at", "duration_sec", "device", "commit", "host"} & set(Record.model_fields)
