import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace

import pytest

from losstune.tracking import DatasetInput, bulk, locate
from losstune.tracking.bulk import BulkWriter
from losstune.tracking.runs import child_of, stage_tags
from losstune.tracking.store import Store
from tests.tracking.conftest import make_entry, make_run


def children(facts, run):
    entries = [
        make_entry(loss="focal", index=0, hyperparameters={"gamma": 2.0}, num_epochs=5),
        make_entry(loss="gce", index=1, status="diverged", curve=[0.5, 0.6]),
        make_entry(loss="gce", index=2, status="failed"),
        make_entry(loss="js", index=3, stage="confirm", search=1),
    ]
    return [child_of(entry, run, facts) for entry in entries]


def open_store(settings, root, run, facts):
    return Store(locate(settings, root), "digits cnn", run, stage_tags(run, facts), started_at=1.0)


def tables_of(root):
    """Every table's rows but for identities made up at random, which are replaced by the name of their run."""
    with closing(sqlite3.connect(root / "mlflow.db")) as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        names = dict(database.execute("select run_uuid, name from runs"))
        rows = {}
        for table in tables:
            cursor = database.execute(f'select * from "{table}"')
            columns = [column for column, *_ in cursor.description]
            skipped = {
                "input_uuid",
                "dataset_uuid",
                "source_id",
                "creation_time",
                "last_update_time",
                "artifact_location",
            }
            rows[table] = Counter(
                tuple(
                    named(str(value), names, root)
                    for column, value in zip(columns, row, strict=True)
                    if column not in skipped
                )
                for row in cursor
            )
    return rows


def named(value, names, root):
    value = value.replace(str(root), "<root>")
    for run_id, name in names.items():
        value = value.replace(run_id, f"<{name}>")
    return value


def written(store, *children):
    """Log trainings in one transaction; whether that was possible."""
    store.log_new(children)
    return all(child.key in store._known for child in children)


@pytest.mark.parametrize("with_data", [True, False])
def test_every_table_is_what_mlflows_client_makes_it(settings, root, facts, empty_database, with_data):
    run = make_run() if with_data else make_run(dataset=None)
    other = root.with_name("by client")
    other.mkdir()
    (other / "mlflow.db").write_bytes(empty_database.read_bytes())
    store = open_store(settings, root, run, facts)
    assert all(written(store, child) for child in list(children(facts, run))[:1]), "nothing was left to the client"
    assert written(store, *children(facts, run)), "nothing was left to the client"
    store.terminate("FINISHED", 9.0)
    client = open_store(settings, other, run, facts)
    client._bulk = None
    for child in children(facts, run):
        client.log_child(child)
    client.terminate("FINISHED", 9.0)
    ours, theirs = tables_of(root), tables_of(other)
    assert ours.keys() == theirs.keys()
    for table, rows in theirs.items():
        assert ours[table] == rows, table
    assert sum(theirs["metrics"].values()) > 40


@pytest.mark.parametrize(
    ("kind", "key", "value", "is_written"),
    [
        ("params", "k" * 250, "v", True),
        ("params", "k" * 251, "v", False),
        ("tags", "k" * 251, "v", False),
        ("params", "k", "v" * 5000, True),
        ("params", "k", "v" * 5001, False),
        ("tags", "k", "v" * 5000, True),
        ("tags", "k", "v" * 5001, False),
        ("params", "what?", "v", False),
    ],
)
def test_names_and_values_that_mlflow_might_change_are_left_to_the_client(
    settings, root, facts, kind, key, value, is_written
):
    run = make_run()
    store = open_store(settings, root, run, facts)
    (child, *_) = children(facts, run)
    child = replace(child, **{kind: {**getattr(child, kind), key: value}})
    assert written(store, child) == is_written
    with closing(sqlite3.connect(root / "mlflow.db")) as database:
        found = database.execute(f"select value from {kind} where key = ?", (key,)).fetchall()
    assert found == ([(value,)] if is_written else [])


@pytest.mark.parametrize(("length", "is_written"), [(250, True), (251, False)])
def test_metrics_with_long_names_are_left_to_the_client(settings, root, facts, length, is_written):
    run = make_run()
    store = open_store(settings, root, run, facts)
    (child, *_) = children(facts, run)
    child = replace(child, points=[*child.points, child.points[0]._replace(name="m" * length)])
    assert written(store, child) == is_written


def test_a_long_data_set_is_found_under_what_mlflow_keeps_of_its_name(settings, root, facts):
    run = make_run(dataset=DatasetInput(name="d" * 501, digest="e" * 64, source="s"))
    store = open_store(settings, root, run, facts)
    assert written(store, *children(facts, run))


def test_unknown_tables_are_left_to_the_client(settings, root, facts, monkeypatch):
    monkeypatch.setattr(bulk, "KNOWN_SCHEMAS", frozenset({"another"}))
    run = make_run()
    store = open_store(settings, root, run, facts)
    (child, *_) = children(facts, run)
    assert not written(store, child)
    assert store.log_child(child)
    assert store.log_child(child)
    with closing(sqlite3.connect(root / "mlflow.db")) as database:
        assert database.execute("select count(*) from runs where name like 'focal%'").fetchone() == (1,)


def test_what_goes_wrong_leaves_nothing_behind(settings, root, facts):
    run = make_run()
    store = open_store(settings, root, run, facts)
    before = tables_of(root)
    (child, *_) = children(facts, run)
    writer = BulkWriter(root / "mlflow.db", store._experiment.experiment_id, "somewhere")
    other = DatasetInput(name="unheard of", digest="d", source="s")
    assert writer.write([child], store.parent_id, other, 16) is None
    assert tables_of(root) == before


def test_a_database_on_request_is_written_by_the_client_alone(root, settings, facts):
    shared = settings.model_copy(update={"uri": f"sqlite:///{root}/mlflow.db"})
    assert open_store(shared, root, make_run(), facts)._bulk is None
