import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from losstune.core.errors import LosstuneError
from losstune.data.splits import require_every_class, split

CLASS_SIZES = st.lists(st.integers(3, 60), min_size=2, max_size=8)
FRACTIONS = st.floats(0.05, 0.6)


def shuffled_labels(class_sizes, seed=0):
    labels = np.repeat(np.arange(len(class_sizes)), class_sizes)
    return np.random.default_rng(seed).permutation(labels).astype(np.int64)


def split_by(labels, num_classes, validation=0.2, test=0.2, seed=0):
    names = [f"c{index}" for index in range(num_classes)]
    return split(labels, names, validation_fraction=validation, test_fraction=test, seed=seed)


@settings(max_examples=150, deadline=None)
@given(CLASS_SIZES, FRACTIONS, FRACTIONS, st.booleans(), st.integers(0, 2**63 - 1))
def test_splits_are_disjoint_complete_ascending_and_repeatable(sizes, validation, test, has_test, seed):
    labels = shuffled_labels(sizes)
    fraction = None if has_test else test
    parts = split_by(labels, len(sizes), validation, fraction, seed)
    arrays = [parts.train, parts.validation] + ([] if parts.test is None else [parts.test])
    assert (parts.test is None) == has_test
    assert np.array_equal(np.sort(np.concatenate(arrays)), np.arange(len(labels)))
    assert all((np.diff(array) > 0).all() for array in arrays)
    again = split_by(labels, len(sizes), validation, fraction, seed)
    assert np.array_equal(parts.train, again.train)
    assert np.array_equal(parts.validation, again.validation)


@settings(max_examples=150, deadline=None)
@given(CLASS_SIZES, FRACTIONS, FRACTIONS, st.integers(0, 2**31))
def test_every_class_has_its_share_within_one_and_at_least_one(sizes, validation, test, seed):
    labels = shuffled_labels(sizes)
    parts = split_by(labels, len(sizes), validation, test, seed)
    in_test = np.bincount(labels[parts.test], minlength=len(sizes))
    in_validation = np.bincount(labels[parts.validation], minlength=len(sizes))
    in_train = np.bincount(labels[parts.train], minlength=len(sizes))
    for size, num_test, num_validation, num_train in zip(sizes, in_test, in_validation, in_train, strict=True):
        # A class keeps two samples for the other two splits, and one for the last.
        assert abs(num_test - min(size * test, size - 2)) <= 1
        assert abs(num_validation - min((size - num_test) * validation, size - num_test - 1)) <= 1
        assert min(num_test, num_validation, num_train) >= 1


@pytest.mark.parametrize("fraction", [0.1, 0.2, 1 / 3, 0.5])
def test_whole_splits_have_their_share_not_only_each_class(fraction):
    # A hundred classes of seven: rounding each by itself would be off by dozens.
    labels = shuffled_labels([7] * 100)
    parts = split_by(labels, 100, fraction, fraction)
    num_test = len(parts.test)
    # A tenth of seven is less than one, and no class may go without: there the splits are larger.
    assert abs(num_test - max(700 * fraction, 100)) <= 1
    assert abs(len(parts.validation) - max((700 - num_test) * fraction, 100)) <= 1


@pytest.mark.parametrize("eighths", [1, 2, 3, 5])
def test_what_rounding_leaves_goes_to_the_largest_remainders(eighths):
    """Hamilton's apportionment, written plainly; eighths are exact in binary, so that no remainder is rounded."""
    sizes = [41, 27, 16, 35, 22, 30, 53, 44]
    fraction = Fraction(eighths, 8)
    expected = [math.floor(size * fraction) for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda index: -(sizes[index] * fraction % 1))
    for index in by_remainder[: round(sum(sizes) * fraction) - sum(expected)]:
        expected[index] += 1
    labels = shuffled_labels(sizes)
    parts = split_by(labels, len(sizes), validation=float(fraction), test=None)
    assert np.bincount(labels[parts.validation]).tolist() == expected


def test_seeds_and_draws_differ():
    labels = shuffled_labels([50] * 4)
    first, second = split_by(labels, 4, seed=1), split_by(labels, 4, seed=2)
    assert not np.array_equal(first.test, second.test)
    assert not np.array_equal(first.validation, second.validation)


def test_every_sample_is_as_likely_to_be_held_out():
    labels = load_digits().target.astype(np.int64)
    counts = np.zeros(len(labels))
    for seed in range(200):
        counts[split_by(labels, 10, seed=seed).test] += 1
    # Binomial(200, 0.2) has a standard deviation of 5.7; 1,797 draws stay within five of them.
    assert counts.min() > 40 - 5 * 5.7
    assert counts.max() < 40 + 5 * 5.7


def test_a_class_too_small_is_named():
    labels = np.array([0] * 9 + [1] * 2 + [2] * 9, dtype=np.int64)
    with pytest.raises(LosstuneError, match=r"class 'b' has 2 samples .* at least 3"):
        split(labels, ["a", "b", "c"], validation_fraction=0.2, test_fraction=0.2, seed=0)
    parts = split(labels, ["a", "b", "c"], validation_fraction=0.2, test_fraction=None, seed=0)
    assert set(labels[parts.train]) == set(labels[parts.validation]) == {0, 1, 2}
    with pytest.raises(LosstuneError, match=r"class 'd' has 0 samples in the test split.*at least 1$"):
        require_every_class(labels, ["a", "b", "c", "d"], minimum=1, where="test split")
