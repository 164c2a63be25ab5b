import gzip

import numpy as np
import pandas as pd
import pytest

from losstune.config.data import DataSettings
from losstune.core.errors import LosstuneError
from losstune.data import table

CSV = "age,city,label\n" + "".join(f"{20 + row},{'Rome' if row % 3 else 'Oslo'},{'ab'[row % 2]}\n" for row in range(12))


def settings(**data):
    return DataSettings(name="table", **data)


@pytest.fixture
def read(tmp_path):
    def load(text=CSV, name="t.csv", **data):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        raw = table.load(path, settings(**data))
        return raw.with_features(np.arange(len(raw.labels)))

    return load


def test_numbers_and_categories_become_features(read):
    raw = read()
    assert raw.feature_names == ("age", "city=Oslo", "city=Rome")
    assert raw.images.dtype == np.float32
    assert raw.images[:, 0].tolist() == list(range(20, 32))
    assert raw.images[:, 1].tolist() == [float(row % 3 == 0) for row in range(12)]
    assert raw.class_names == ("a", "b")
    assert raw.labels.tolist() == [0, 1] * 6


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters_and_spaces(read, delimiter):
    assert np.array_equal(read(CSV.replace(",", delimiter)).images, read().images)
    assert np.array_equal(read(CSV.replace(",", f"{delimiter} ")).images, read().images)


def test_what_pandas_writes_is_read(tmp_path, read):
    frame = pd.read_csv(tmp_path / "t.csv") if read() is not None else None
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "u.csv", index=False, encoding="utf-8-sig")
    frame.to_csv(tmp_path / "v.csv.gz", index=False)
    for name in ("t.parquet", "u.csv", "v.csv.gz"):
        raw = table.load(tmp_path / name, settings()).with_features(np.arange(8))
        assert np.array_equal(raw.images, read().images)
        assert raw.feature_names == read().feature_names


def test_text_in_quotes_and_over_lines(read):
    raw = read('"a,1","b\nc",label\n1,2,x\n3,4,y\n5,6,x\n')
    assert raw.feature_names == ("a,1", "b\nc")
    assert raw.images.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_question_marks_and_empty_cells_are_missing(read):
    raw = read("a,b,label\n1,x,0\n?,?,1\n5,,0\n7,y,1\n")
    assert raw.images[:, 0].tolist() == [1, 5, 5, 7]  # the median of 1, 5 and 7
    assert raw.feature_names == ("a", "b=missing", "b=x", "b=y")
    assert any(note == "Missing values, of 4 rows: a in 1, b in 2." for note in raw.notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as a table: its first line is empty .*; expected a table: CSV"),
        ("\n1,2\n", "cannot be read as a table: its first line is empty"),
        ("a,a,label\n1,2,0\n", "found two columns 'a', expected different names"),
        ("a,label\n", "found no row, expected samples"),
        ("a,b\n1,2\n", "data.label: found null, and .*t.csv has no column label; .* one of a, b"),
        ("label\n0\n1\n", "found no column with features beside label"),
        (b"caf\xe9,label\n1,0\n", r"expected a table: CSV .* in UTF-8"),
        (gzip.compress(CSV.encode(), mtime=0), "compressed by gzip"),
        (b"PK\x03\x04" + bytes(100), "a ZIP archive"),
        ("a,label\n1,0\n2,3,4,5\n", "cannot be read as a table: .*line 3"),
    ],
)
def test_files_that_are_no_table(read, text, message):
    with pytest.raises(LosstuneError, match=message) as caught:
        read(text)
    assert "\n" not in str(caught.value)


def test_a_file_of_another_kind_under_that_name(tmp_path):
    np.save(tmp_path / "t.parquet", np.zeros(3), allow_pickle=False)
    (tmp_path / "t.parquet.npy").rename(tmp_path / "t.parquet")
    with pytest.raises(LosstuneError, match=r"cannot be read as a table: .* one NumPy array"):
        table.load(tmp_path / "t.parquet", settings())
    with pytest.raises(LosstuneError, match=r"data.root: no file .*nowhere.csv; expected a table"):
        table.load(tmp_path / "nowhere.csv", settings())
    with pytest.raises(LosstuneError, match="is a folder; expected a table"):
        table.load(tmp_path, settings())


def test_names_are_checked_without_reading_a_row(tmp_path):
    (tmp_path / "t.csv").write_text("age,kind,label\n" + "damaged\0\n")
    assert table.inspect(tmp_path / "t.csv", settings()) == ("Label: column label.",)
    with pytest.raises(LosstuneError, match=r"data.label: found 'kin', .* no such column; .*did you mean 'kind'"):
        table.inspect(tmp_path / "t.csv", settings(label="kin"))
    assert table.inspect(tmp_path / "t.csv", settings(label=["kind", "label"])) == ("Votes: kind, label.",)


def test_an_index_of_pandas_is_a_column_of_parquet(tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2, 4], "label": [0, 1, 0]}, index=pd.Index([3, 4, 7], name="key"))
    frame.to_parquet(tmp_path / "t.parquet")
    raw = table.load(tmp_path / "t.parquet", settings(drop=["key"])).with_features(np.arange(3))
    assert raw.images.tolist() == [[1], [2], [4]]
