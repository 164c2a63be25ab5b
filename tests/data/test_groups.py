import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from losstune.core.errors import LosstuneError
from losstune.data.groups import draw_groups, join_splits, num_groups, read_groups, require_apart
from losstune.data.raw import RawData
from losstune.data.splits import split


def made(seed, num_groups, num_classes, mixing=1.0):
    """Groups of random sizes, each with classes of its own frequency."""
    generator = np.random.default_rng(seed)
    sizes = generator.geometric(1 / 20, num_groups)
    groups = np.repeat(np.arange(num_groups), sizes)
    frequencies = generator.dirichlet(np.full(num_classes, mixing), num_groups)
    labels = np.array([generator.choice(num_classes, p=frequencies[group]) for group in groups])
    order = generator.permutation(len(groups))
    return labels[order], groups[order]


def by_groups(labels, groups, num_classes, seed=0, validation=None, test=0.2):
    names = [f"c{index}" for index in range(num_classes)]
    return split(
        labels, names, validation_fraction=0.2, test_fraction=test, seed=seed, groups=groups, validation=validation
    )


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(9, 60), st.integers(2, 4), st.sampled_from([None, 0.1, 0.2, 0.4]))
def test_no_group_is_in_two_splits_and_every_class_is_in_all(seed, number, num_classes, test):
    labels, groups = made(seed, number, num_classes, mixing=3.0)
    classes_of = [len(np.unique(groups[labels == label])) for label in range(num_classes)]
    assume(min(classes_of) >= 6)
    parts = by_groups(labels, groups, num_classes, test=test)
    arrays = [parts.train, parts.validation, *([] if parts.test is None else [parts.test])]
    assert np.array_equal(np.sort(np.concatenate(arrays)), np.arange(len(labels)))
    assert all((np.diff(array) > 0).all() for array in arrays)
    seen = [set(groups[array].tolist()) for array in arrays]
    assert sum(map(len, seen)) == len(set.union(*seen)) == len(np.unique(groups))
    assert all(set(labels[array].tolist()) == set(range(num_classes)) for array in arrays)


def distance(labels, drawn, num_classes, fraction):
    shares = np.bincount(labels[drawn], minlength=num_classes) / np.bincount(labels, minlength=num_classes)
    return np.square(shares - fraction).mean() + (len(drawn) / len(labels) - fraction) ** 2


def test_the_fractions_are_as_close_as_those_of_scikit_learn():
    ours, theirs = [], []
    for seed in range(20):
        num_classes = 2 + seed % 5
        labels, groups = made(seed, 60, num_classes)
        names = [str(index) for index in range(num_classes)]
        drawn = draw_groups(labels, groups, names, 0.2, num_left=2, generator=np.random.default_rng(seed))
        ours.append(distance(labels, drawn, num_classes, 0.2))
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(labels, labels, groups)
        theirs.append(np.mean([distance(labels, fold, num_classes, 0.2) for _, fold in folds]))
    assert np.mean(ours) < np.mean(theirs)
    assert max(ours) < 1e-3


def test_the_same_seed_gives_the_same_split_and_another_another():
    labels, groups = made(0, 50, 3)
    first, again, other = (by_groups(labels, groups, 3, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.test, again.test)
    assert np.array_equal(first.validation, again.validation)
    assert not np.array_equal(first.test, other.test)


def test_groups_of_one_sample_are_split_like_samples():
    labels = np.arange(200) % 4
    parts = by_groups(labels, np.arange(200), 4)
    for part, number in ((parts.test, 40), (parts.validation, 32), (parts.train, 128)):
        counts = np.bincount(labels[part])
        assert abs(counts - number / 4).max() <= 1


def test_a_class_in_too_few_groups_is_named():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    with pytest.raises(
        LosstuneError, match=r"class 'c1' is in 2 groups, expected at least 3, one for each of 3 splits"
    ):
        by_groups(labels, np.array([0, 1, 2, 3, 0, 0, 1, 1]), 2)
    with pytest.raises(LosstuneError, match="class 'c1' is in 1 group, expected at least 2"):
        by_groups(labels, np.array([0, 1, 2, 3, 0, 0, 0, 0]), 2, test=None)


def test_a_split_that_no_groups_can_give_is_an_error():
    # Each class is in two groups, but each pair of groups has a class of its own: one split lacks it.
    labels = np.array([0, 1, 0, 2, 1, 2])
    with pytest.raises(LosstuneError, match=r"no split by groups was found that has class 'c\d' in every split"):
        by_groups(labels, np.array([0, 0, 1, 1, 2, 2]), 3, test=None)


def test_a_validation_split_that_shares_groups_is_an_error():
    labels, groups = np.arange(24) % 2, np.repeat(np.arange(6), 4)
    validation = np.arange(20, 24)
    parts = by_groups(labels, groups, 2, validation=validation)
    assert np.array_equal(parts.validation, validation)
    assert not set(groups[parts.train]) & set(groups[parts.test])
    with pytest.raises(LosstuneError, match="1 of the 6 groups of the training data are in the validation split"):
        by_groups(labels, groups, 2, validation=np.arange(21, 24))


def test_the_number_of_shared_groups_is_told():
    require_apart(np.array([1, 2]), np.array([3]), "test split")
    with pytest.raises(LosstuneError, match="2 of the 3 groups of the training data are in the test split, too"):
        require_apart(np.array([1, 2, 2, 5]), np.array([5, 1, 7]), "test split")


def test_the_same_name_has_the_same_number_in_all_arrays():
    first, second = read_groups({"a": np.array(["x", "y", "x"]), "b": np.array(["z", "y"], dtype=object)})
    assert first[0] == first[2] != first[1] == second[1]
    assert second[0] not in first
    assert first.dtype == np.int64


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([np.array([1.0, np.nan, np.nan])], "a0: found 2 samples without a group"),
        ([np.zeros((3, 2))], r"a0: found float64 of shape \(3, 2\), expected one name or number for each sample"),
        ([np.array(["x"]), np.array([1])], "a0, a1: found names and numbers"),
        ([np.array(["x", None], dtype=object)], "a0: found object"),
    ],
)
def test_groups_that_are_none(arrays, message):
    with pytest.raises(LosstuneError, match=message):
        read_groups({f"a{number}": array for number, array in enumerate(arrays)})


def test_groups_are_counted_by_split():
    groups = np.array([0, 0, 1, 2, 2, 3])
    raw = RawData(np.zeros((6, 1)), np.zeros(6, int), ("a", "b"), groups=groups)
    train, validation = np.array([0, 1, 2]), np.array([3, 4])
    found = num_groups(raw, train, validation, np.array([5]))
    assert (found.train, found.validation, found.test) == (2, 1, 1)
    assert num_groups(raw, train, validation, None).test is None


def test_test_groups_stay_apart():
    assert join_splits({"train": np.array([1]), "validation": np.array([2]), "test": np.array([3])}).tolist() == [1, 2]
    assert join_splits({}) is None
