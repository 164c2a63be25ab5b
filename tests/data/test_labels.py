import numpy as np
import pytest
import torch

from losstune.core.errors import LosstuneError
from losstune.data.labels import read_labels, targets_from_votes

WANTED = [2, 0, 1, 0, 2]
HOT = np.eye(3)[WANTED]


@pytest.mark.parametrize(
    ("labels", "names", "note"),
    [
        (np.array(WANTED), ("0", "1", "2"), None),
        (np.array(WANTED, np.uint8), ("0", "1", "2"), None),
        (np.array(WANTED)[:, None], ("0", "1", "2"), None),
        (np.array(WANTED, np.float32), ("0", "1", "2"), None),
        (np.array(WANTED) + 1, ("1", "2", "3"), "Labels: 1 to 3 are read as classes 0 to 2."),
        (np.array(WANTED) + 1.0, ("1", "2", "3"), "Labels: 1 to 3 are read as classes 0 to 2."),
        (
            np.array(["c", "a", "b", "a", "c"]),
            ("a", "b", "c"),
            "Labels: class names are read as classes in alphabetical order: a is 0, b is 1, c is 2.",
        ),
        (
            np.array([b"\xc3\xbc", b"a", b"b", b"a", b"\xc3\xbc"]),
            ("a", "b", "ü"),
            "Labels: class names are read as classes in alphabetical order: a is 0, b is 1, ü is 2.",
        ),
        (
            np.array(["c", "a", "b", "a", "c"], dtype=object),
            ("a", "b", "c"),
            "Labels: class names are read as classes in alphabetical order: a is 0, b is 1, c is 2.",
        ),
        (
            np.array(["10", "2", "9", "2", "10"]),
            ("2", "9", "10"),
            "Labels: class names are read as classes by number: 2 is 0, 9 is 1, 10 is 2.",
        ),
        (HOT, ("0", "1", "2"), "Labels: one-hot rows of 3 columns are read as classes 0 to 2."),
        (HOT.astype(bool), ("0", "1", "2"), "Labels: one-hot rows of 3 columns are read as classes 0 to 2."),
        (HOT.astype(np.uint8), ("0", "1", "2"), "Labels: one-hot rows of 3 columns are read as classes 0 to 2."),
    ],
)
def test_labels_are_understood(labels, names, note):
    read = read_labels({"labels": labels})
    (indices,) = read.indices
    assert indices.dtype == np.int64
    assert indices.tolist() == WANTED
    assert read.class_names == names
    assert read.notes == (() if note is None else (note,))


@pytest.mark.parametrize(
    ("labels", "names", "note"),
    [
        (np.array([1, -1, 1]), ("-1", "+1"), "Labels: -1 is read as class 0, +1 as class 1."),
        (np.array([1.0, -1.0, 1.0]), ("-1", "+1"), "Labels: -1 is read as class 0, +1 as class 1."),
        (np.array([True, False, True]), ("False", "True"), "Labels: False is read as class 0, True as class 1."),
        (np.array([2, 1, 2]), ("1", "2"), "Labels: 1 to 2 are read as classes 0 to 1."),
    ],
)
def test_two_classes_are_understood(labels, names, note):
    read = read_labels({"labels": labels})
    assert read.indices[0].tolist() == [1, 0, 1]
    assert read.class_names == names
    assert read.notes == (note,)


def test_all_splits_share_one_mapping():
    read = read_labels({"train": np.array([1, 2, 3]), "test": np.array([2, 3])})
    assert [part.tolist() for part in read.indices] == [[0, 1, 2], [1, 2]]
    assert len(read.notes) == 1
    read = read_labels({"train": np.array(["b", "c", "a"]), "validation": np.array(["c"]), "test": np.array(["b"])})
    assert [part.tolist() for part in read.indices] == [[1, 2, 0], [2], [1]]
    # A split of its own would look like classes from 0.
    read = read_labels({"train": np.array([0, 1, 2]), "test": np.array([1, 2])})
    assert read.indices[1].tolist() == [1, 2]
    read = read_labels({"train": HOT, "test": np.array([0, 2])})
    assert read.indices[1].tolist() == [0, 2]


@pytest.mark.parametrize(
    ("labels", "expected"), [(np.array([0, 2]), [0, 2]), (np.array([1, 3]), [0, 2]), (np.array(["c", "a"]), [2, 0])]
)
def test_named_classes_give_the_mapping(labels, expected):
    read = read_labels({"labels": labels}, ("a", "b", "c"))
    assert read.indices[0].tolist() == expected
    assert read.class_names == ("a", "b", "c")


def test_two_named_classes_may_be_minus_and_plus_one():
    read = read_labels({"labels": np.array([1, -1])}, ("no", "yes"))
    assert read.indices[0].tolist() == [1, 0]
    assert read.class_names == ("no", "yes")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (HOT + np.eye(3)[[0] * 5] * 0.0 + np.array([1.0, 0, 0]) * (HOT[:, :1] == 0), "multi-label"),
        (HOT * 0, r"with 0 to 0 ones per row"),
        (
            HOT * 2,
            r"found float64 of shape \(5, 3\), expected \(N,\), .* or soft labels \(N, C\), rows that sum to 1; row 0",
        ),
        (np.array([[0.5, 0.5], [0.5, 0.25]]), r"rows that sum to 1; row 1 sums to 0\.75$"),
        (np.array([[0.5, 0.5], [1.25, -0.25]]), r"rows that sum to 1; row 1 sums to 1, with a negative value$"),
        (np.array([[0.5, 0.5], [np.nan, 0.25]]), r"rows that sum to 1; row 1 sums to nan$"),
        ((HOT * 3).astype(int) + 1, r"rows that sum to 1; divide counts of votes by their sum$"),
        (np.array([[1.5, -0.5], [0.5, 0.5]]), r"found float64 of shape \(2, 2\), expected"),
        (np.zeros((5, 4, 4)), r"found shape \(5, 4, 4\), expected \(N,\)"),
        (np.array(3), r"found shape \(\), expected \(N,\)"),
        (np.array([0.5, 1.0]), r"found 0\.5, expected whole numbers"),
        (np.array([0, np.nan]), r"found NaN or infinite"),
        (np.array([0, 1, 3]), r"labels run from 0 to 3 but none is 2"),
        (np.array([1, 2, 4]), r"labels run from 1 to 4 but none is 3"),
        (np.array([10, 20]), r"found labels from 10 to 20, expected classes from 0 or 1 on; if they are codes"),
        (np.array([-1, 0, 1]), r"found labels from -1 to 1.*if -1 marks samples without a label, drop them"),
        (np.array([-2, 0]), r"found labels from -2 to 0, expected 0 to C-1, 1 to C, or -1 and 1$"),
        (np.array([0, 2**40]), r"found labels from 0 to 1099511627776"),
        (np.array([0.0, 1e300]), r"found labels from 0.0 to 1e\+300"),
        (np.array([1j]), r"found type complex128"),
        (np.array([b"\xff"]), r"text that is not UTF-8"),
        (np.array([["a", "b"]]), r"found shape \(1, 2\)"),
    ],
)
def test_what_is_not_understood_is_one_line(labels, message):
    with pytest.raises(LosstuneError, match=message) as caught:
        read_labels({"labels": labels})
    assert str(caught.value).startswith("labels: ")
    assert "\n" not in str(caught.value)


def test_the_split_with_the_mistake_is_named():
    with pytest.raises(LosstuneError, match=r"^test: found 7, expected 0 to 2, the 3 classes named$"):
        read_labels({"train": np.array([0, 1, 2]), "test": np.array([7])}, ("a", "b", "c"))
    with pytest.raises(LosstuneError, match=r"^test: found the class 'd', expected one of a, b, c"):
        read_labels({"train": np.array(["a"]), "test": np.array(["d"])}, ("a", "b", "c"))


def test_labels_agree_with_torch():
    # torch and losstune read the same one-hot rows as the same classes.
    target = torch.randint(5, (50,), generator=torch.Generator().manual_seed(0))
    rows = torch.nn.functional.one_hot(target, 5)
    assert read_labels({"labels": rows.numpy()}).indices[0].tolist() == target.tolist()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_soft_labels_are_kept_beside_their_modes(dtype):
    soft = (HOT * 0.7 + 0.1).astype(dtype)
    read = read_labels({"train": soft, "test": soft[:2]})
    assert [part.tolist() for part in read.indices] == [WANTED, WANTED[:2]]
    assert read.class_names == ("0", "1", "2")
    assert read.notes == ("Labels: a distribution over 3 classes for each sample (soft labels).",)
    train, test = read.targets
    assert train.dtype == np.float32
    np.testing.assert_allclose(train, HOT * 0.7 + 0.1, atol=1e-3)
    np.testing.assert_allclose(train.sum(axis=1), 1.0, atol=1e-6)
    assert np.array_equal(test, train[:2])


def test_of_several_likeliest_classes_the_first_is_the_mode():
    assert read_labels({"labels": np.array([[0.2, 0.4, 0.4], [1 / 3] * 3])}).indices[0].tolist() == [1, 0]


def test_a_split_with_one_class_per_sample_beside_soft_labels_has_one_hot_rows():
    soft = HOT * 0.7 + 0.1
    for hard in (np.array([2, 0]), np.eye(3)[[2, 0]], np.array(["c", "a"])):
        read = read_labels({"train": soft, "test": hard}, ("a", "b", "c"))
        assert read.indices[1].tolist() == [2, 0]
        assert read.targets[1].tolist() == [[0, 0, 1], [1, 0, 0]]
        assert read.class_names == ("a", "b", "c")


def test_soft_labels_of_other_classes_are_one_line():
    soft = HOT * 0.7 + 0.1
    with pytest.raises(LosstuneError, match=r"^train: found soft labels over 3 classes, expected 2, the classes"):
        read_labels({"train": soft}, ("a", "b"))
    with pytest.raises(LosstuneError, match=r"^test: found soft labels over 2 classes, train has 3$"):
        read_labels({"train": soft, "test": np.full((4, 2), 0.5)})
    with pytest.raises(LosstuneError, match=r"^test: found 3, expected 0 to 2"):
        read_labels({"train": soft, "test": np.array([0, 3])})


def test_votes_of_annotators_become_shares():
    votes = np.array([[0, 0, 1], [2, -1, -1], [1, 2, -1]])
    assert targets_from_votes(votes, 3).tolist() == [
        pytest.approx([2 / 3, 1 / 3, 0]),
        pytest.approx([0, 0, 1]),
        pytest.approx([0, 0.5, 0.5]),
    ]
