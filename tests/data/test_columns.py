import numpy as np
import pandas as pd
import pytest

from losstune.config.data import DataSettings
from losstune.core.errors import LosstuneError
from losstune.data.columns import Roles, labels_of

COLUMNS = ["age", "city", "label", "site", "given"]


def roles(columns=COLUMNS, **data):
    return Roles.of(DataSettings(name="table", **data), columns, "t")


def read(frame, splits=None, **data):
    frame = pd.DataFrame(frame)
    return labels_of("t", splits or {"": frame}, roles(list(frame), **data))


def test_a_column_with_a_role_is_no_feature():
    found = roles(drop=["city"], groups="site", label_noise="given")
    assert found == Roles(("label",), ("age",), "site", "given")
    assert roles(label=["age", "city"]).features == ("label", "site", "given")
    assert roles(drop=["site"], groups="site").groups == "site"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"label": "Label"}, "data.label: found 'Label', and t has no such column; .*did you mean 'label'"),
        ({"drop": ["nothing"]}, "data.drop: found 'nothing', and t has no such column; expected one of age, city,"),
        ({"groups": "sites"}, "data.groups: found 'sites'"),
        ({"label_noise": "x"}, "data.label_noise: found 'x'"),
        ({"groups": "label"}, "data.groups: found 'label', which is data.label, too; expected another column"),
        ({"drop": ["label"]}, "data.drop: found 'label', which is data.label, too"),
        ({"label": ["age", "age"]}, "data.label: found a column twice in age, age"),
        ({"drop": ["age", "city", "site", "given"]}, "t: found no column with features beside label, age, city, site"),
    ],
)
def test_roles_that_no_column_can_have(data, message):
    with pytest.raises(LosstuneError, match=message):
        roles(**data)


@pytest.mark.parametrize(
    ("column", "names", "indices"),
    [
        (["b", "a", "b"], ("a", "b"), [1, 0, 1]),
        ([1, 2, 1], ("1", "2"), [0, 1, 0]),
        ([1.0, 0.0, 1.0], ("0", "1"), [1, 0, 1]),
        ([True, False, True], ("False", "True"), [1, 0, 1]),
        ([30, 10, 200], ("10", "30", "200"), [1, 0, 2]),
        (pd.Series(["x", "y", "x"], dtype="category"), ("x", "y"), [0, 1, 0]),
        (pd.Series([2, 1, 2], dtype="Int64"), ("1", "2"), [1, 0, 1]),
        (pd.Series([-1, 1, -1], dtype="int8"), ("-1", "+1"), [0, 1, 0]),
    ],
)
def test_labels_of_every_type(column, names, indices):
    found = read({"a": [1, 2, 3], "label": column})
    assert found["class_names"] == names
    assert found["labels"].tolist() == indices
    assert found["test_labels"] is None
    assert found["targets"] is found["groups"] is found["noisy_labels"] is None


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["a", None, "b"], r"t: column label: found 1 of 3 rows without a label \(the first is row 2\)"),
        ([0.0, 1.0, np.nan], r"found 1 of 3 rows without a label \(the first is row 3\)"),
        ([0.5, 1, 2], "column label: found 0.5, expected whole numbers or names of classes"),
        (pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-01"]), "column label: found dates, expected classes"),
    ],
)
def test_labels_that_are_none(column, message):
    with pytest.raises(LosstuneError, match=message):
        read({"a": [1, 2, 3], "label": column})


def test_votes_of_several_annotators_are_shares():
    frame = {"x": range(4), "a": ["u", "v", None, "w"], "b": ["u", "u", "v", "w"], "c": [None, "v", "v", None]}
    found = read(frame, label=["a", "b", "c"])
    # Of the votes that a sample has: u u, v u v, v v, w w.
    expected = [[1, 0, 0], [1 / 3, 2 / 3, 0], [0, 1, 0], [0, 0, 1]]
    np.testing.assert_allclose(found["targets"], expected, rtol=1e-6)
    assert found["labels"].tolist() == [0, 1, 1, 2]
    with pytest.raises(LosstuneError, match=r"column a or b: found 1 of 2 rows without a label \(the first is row 2\)"):
        read({"x": [1, 2], "a": ["u", None], "b": ["v", None]}, label=["a", "b"])


def test_noisy_labels_have_the_mapping_of_the_true_ones():
    found = read({"x": range(3), "label": ["b", "c", "b"], "given": ["c", "c", "a"]}, label_noise="given")
    assert found["class_names"] == ("a", "b", "c")
    assert found["labels"].tolist() == [1, 2, 1]
    assert found["noisy_labels"].tolist() == [2, 2, 0]


def test_numbers_of_named_classes_may_leave_one_out():
    """They are no codes: the missing class is found by name where splits are drawn."""
    frame = pd.DataFrame({"x": range(4), "label": [0, 1, 3, 3]})
    found = labels_of("t", {"": frame}, Roles(("label",), ("x",), None, None), ("ant", "bee", "cow", "dog"))
    assert found["labels"].tolist() == [0, 1, 3, 3]
    assert found["class_names"] == ("ant", "bee", "cow", "dog")


def test_groups_of_all_splits_are_numbered_together():
    splits = {
        "": pd.DataFrame({"x": [1, 2], "label": [0, 1], "site": ["p", "q"]}),
        "validation": pd.DataFrame({"x": [1], "label": [0], "site": ["q"]}),
        "test": pd.DataFrame({"x": [1], "label": [0], "site": ["r"]}),
    }
    found = read(splits[""], splits, groups="site")
    assert found["groups"].tolist() == [0, 1, 1]
    assert found["test_groups"].tolist() == [2]
    assert found["labels"].tolist() == [0, 1, 0]
    assert found["test_labels"].tolist() == [0]
    splits["test"]["site"] = [None]
    with pytest.raises(LosstuneError, match="t: test: column site: found 1 of 1 rows without a group"):
        read(splits[""], splits, groups="site")
