"""Tables and saved data sets that are wrong, damaged or hostile, by the command line."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tests.inputs.project import Project, assert_says
from tests.inputs.test_data import MARK, Bomb

ROWS = "".join(f"{row},{'uvw'[row % 3]},{'ab'[row % 2]}\n" for row in range(24))
TABLES: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "no label": ("a,b,c\n" + ROWS, {}, "data.label: found null, … has no column label; expected … one of a, b, c"),
    "no such column": ("a,b,label\n" + ROWS, {"data.drop": ["d"]}, "data.drop: found 'd', and … no such column"),
    "a column twice": ("a,a,label\n" + ROWS, {}, "t.csv: found two columns 'a', expected different names"),
    "nothing": (b"", {}, "t.csv: cannot be read as a table: its first line is empty"),
    "no text": (bytes(100), {}, "t.csv: cannot be read as a table: it is no text"),
    "a pickle": (pickle.dumps(Bomb()), {}, "a pickle, which could run any code and is not opened"),
    "an array for groups": ("a,b,label\n" + ROWS, {"data.on_bad_image": "skip"}, 'data.on_bad_image: found "skip"'),
    "no features": ("label\n" + "a\nb\n" * 9, {}, "found no column with features beside label"),
}
ROWS_ONLY: dict[str, tuple[str, str]] = {
    "one class": ("a,label\n" + "1,x\n2,x\n" * 9, "has only one class, expected two or more"),
    "a class of one": ("a,label\n" + "1,x\n2,y\n" * 9 + "3,z\n", "class 'z' has 1 sample in the data to split 3 ways"),
    "a label is missing": ("a,label\n" + "1,x\n2,y\n" * 9 + "3,\n", "column label: found 1 of 19 rows without a label"),
    "a ragged row": ("a,label\n" + "1,x\n2,y\n" * 9 + "3,y,4,5,6\n", "t.csv: cannot be read as a table: "),
    "a date in each row": (
        "a,label\n" + "".join(f"2024-01-{row + 1:02},{'xy'[row % 2]}\n" for row in range(24)),
        "column a: found 24 different texts in 24 rows, dates such as '2024-01-01'",
    ),
}


@pytest.mark.parametrize(("content", "settings", "message"), TABLES.values(), ids=TABLES.keys())
def test_what_the_first_line_shows_is_found_by_check(
    project: Project, content: str | bytes, settings: dict[str, Any], message: str
) -> None:
    Path("t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    project.write({"data.name": "table", "data.root": "t.csv"} | settings)
    for command in ("check", "prepare"):
        assert_says(project.refused(command), message)
    assert not Path(MARK).exists()


@pytest.mark.parametrize(("content", "message"), ROWS_ONLY.values(), ids=ROWS_ONLY.keys())
def test_what_the_rows_show_is_found_by_prepare(project: Project, content: str, message: str) -> None:
    Path("t.csv").write_text(content)
    project.write({"data.name": "table", "data.root": "t.csv"})
    assert_says(project.refused("prepare"), message)


def test_a_pickle_in_the_schema_of_a_file_does_not_run(project: Project) -> None:
    marks = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": pickle.dumps(Bomb())}
    fields = [pyarrow.field("a", pyarrow.int64(), metadata=marks), pyarrow.field("label", pyarrow.int64())]
    table = pyarrow.table([list(range(0, 48, 2)), [0, 1] * 12], schema=pyarrow.schema(fields, metadata=marks))
    pyarrow.parquet.write_table(table, "t.parquet")
    project.write({"data.name": "table", "data.root": "t.parquet", "model": {"name": "mlp", "width": 4, "depth": 1}})
    project.run("prepare")
    assert not Path(MARK).exists()
    Path("saved").mkdir()
    file = "saved/data-00000-of-00001.arrow"
    with pyarrow.OSFile(file, "wb") as sink, pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    Path("saved/state.json").write_text(
        '{"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_fingerprint": "a", "_format_columns": null, '
        '"_format_kwargs": {}, "_format_type": null, "_output_all_columns": false, "_split": null}'
    )
    Path("saved/dataset_info.json").write_text("{}")
    project.write({"data.name": "huggingface", "data.root": "saved"})
    project.run("prepare")
    assert not Path(MARK).exists()
