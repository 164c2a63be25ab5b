import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from losstune.data.long_tail import long_tail


def shuffled_labels(counts):
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))


def counts_of_cui(largest, num_classes, ratio):
    """The formula of the paper's code, with the imbalance factor 1 / ratio."""
    return [int(largest * (1 / ratio) ** (label / (num_classes - 1.0))) for label in range(num_classes)]


def test_the_numbers_are_those_of_cifar_10_lt():
    labels = shuffled_labels([5000] * 10)
    kept = long_tail(labels, 10, 100.0, seed=1)
    # Published for CIFAR-10 with imbalance factor 100: Cao et al. 2019, LDAM's repository.
    expected = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    assert np.bincount(labels[kept]).tolist() == expected == counts_of_cui(5000, 10, 100.0)
    assert (np.diff(kept) > 0).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=7), st.floats(1.01, 300.0), st.integers(0, 2**31))
def test_every_class_keeps_at_least_one_and_at_most_what_it_has(counts, ratio, seed):
    labels = shuffled_labels(counts)
    kept = np.bincount(labels[long_tail(labels, len(counts), ratio, seed)], minlength=len(counts))
    wanted = np.clip(counts_of_cui(max(counts), len(counts), ratio), 1, counts)
    assert np.abs(kept - wanted).max() <= 1  # the formula's rounding
    assert (kept >= 1).all()
    assert (kept <= counts).all()


def test_a_longer_tail_is_part_of_a_shorter_one_and_the_seed_decides():
    labels = shuffled_labels([50] * 4)
    short, long, other = (
        set(long_tail(labels, 4, ratio, seed).tolist()) for ratio, seed in ((5.0, 1), (20.0, 1), (5.0, 2))
    )
    assert long < short
    assert short != other
