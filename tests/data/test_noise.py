import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from losstune.config.data import DataSettings, NoiseSettings
from losstune.core.errors import LosstuneError
from losstune.core.seeds import derive_seed
from losstune.data.noise import asymmetric, noisy_labels, symmetric, transition_matrix
from losstune.data.raw import RawData
from losstune.data.splits import Splits

NAMES = ("cat", "dog", "bird")
PAIRS = NoiseSettings(rate=0.25, pairs={"cat": "dog", "dog": "cat"})
MATRIX = ((0.5, 0.25, 0.25), (0.0, 1.0, 0.0), (0.1, 0.2, 0.7))


def shuffled_labels(counts, seed=0):
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 12), st.integers(1, 300), st.floats(0, 0.99), st.integers(0, 2**31))
def test_noise_changes_the_share_asked_for_and_never_to_the_same_class(num_classes, size, rate, seed):
    labels = np.random.default_rng(seed).integers(0, num_classes, size)
    before = labels.copy()
    noisy = symmetric(labels, num_classes, rate, seed)
    assert np.array_equal(labels, before)
    assert (noisy != labels).sum() == round(rate * size)
    assert noisy.min() >= 0
    assert noisy.max() < num_classes
    assert noisy.dtype == labels.dtype


def test_noise_is_uniform_over_the_other_classes():
    labels = np.zeros(60_000, dtype=np.int64)
    noisy = symmetric(labels, 5, 0.5, seed=3)
    counts = np.bincount(noisy, minlength=5)
    assert counts[0] == 30_000
    # Binomial(30,000, 1/4): standard deviation 75.
    assert np.abs(counts[1:] - 7_500).max() < 5 * 75


def test_noise_of_a_lower_rate_is_part_of_a_higher():
    labels = shuffled_labels([40] * 5)
    low = symmetric(labels, 5, 0.1, seed=7)
    high = symmetric(labels, 5, 0.4, seed=7)
    changed = low != labels
    assert np.array_equal(low[changed], high[changed])
    other = symmetric(labels, 5, 0.1, seed=8)
    assert not np.array_equal(low, other)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=2, max_size=6), st.integers(0, 2**31))
def test_each_class_gets_each_label_as_often_as_the_matrix_says(counts, seed):
    labels = shuffled_labels(counts)
    matrix = np.random.default_rng(seed).dirichlet(np.ones(len(counts)), len(counts))
    noisy = asymmetric(labels, matrix, seed)
    found = confusion_matrix(labels, noisy, labels=range(len(counts)))
    assert np.abs(found - np.array(counts)[:, None] * matrix).max() < 1
    assert found.sum(axis=1).tolist() == counts


def test_which_samples_of_a_class_change_is_random_and_grows_with_the_rate():
    labels = np.zeros(20_000, dtype=np.int64)
    low, high = (asymmetric(labels, np.array([[1 - rate, rate], [0, 1]]), 3) for rate in (0.1, 0.4))
    assert (low <= high).all()
    halves = high[:10_000].sum(), high[10_000:].sum()
    # Hypergeometric: standard deviation 35.
    assert abs(halves[0] - 4_000) < 5 * 35
    assert sum(halves) == 8_000


def test_pairs_are_a_transition_matrix():
    assert transition_matrix(PAIRS, NAMES).tolist() == [[0.75, 0.25, 0], [0.25, 0.75, 0], [0, 0, 1]]
    assert transition_matrix(NoiseSettings(matrix=MATRIX), NAMES).tolist() == [list(row) for row in MATRIX]


def test_a_class_or_a_size_that_the_data_does_not_have_is_one_line():
    with pytest.raises(LosstuneError, match=r"^data\.label_noise\.pairs: found class 'cut', .* did you mean 'cat'\?"):
        transition_matrix(NoiseSettings(rate=0.1, pairs={"cut": "dog"}), NAMES)
    with pytest.raises(LosstuneError, match=r"^data\.label_noise\.matrix: found 2 rows, expected 3, one for"):
        transition_matrix(NoiseSettings(matrix=((1.0, 0.0), (0.0, 1.0))), NAMES)


def raw_data(**others):
    labels = shuffled_labels([40, 40, 40])
    return RawData(np.zeros((120, 2), np.float32), labels, NAMES, **others)


SPLITS = Splits(np.arange(60), np.arange(60, 90), np.arange(90, 120))


def test_training_labels_alone_are_wrong_unless_more_is_asked_for():
    raw = raw_data()
    assert noisy_labels(raw, SPLITS, DataSettings(), 7) is None
    found = noisy_labels(raw, SPLITS, DataSettings(label_noise=PAIRS), 7)
    true = raw.labels[SPLITS.train]
    assert found.labels["validation"].tolist() == raw.labels[60:90].tolist()
    assert found.labels["test"].tolist() == raw.labels[90:].tolist()
    assert found.facts.rates == {"train": np.mean(found.labels["train"] != true)}
    assert found.num_changed == (found.labels["train"] != true).sum() > 0
    assert found.facts.transitions == tuple(map(tuple, confusion_matrix(true, found.labels["train"]).tolist()))
    assert found.facts.setting == {"rate": 0.25, "pairs": {"cat": "dog", "dog": "cat"}, "matrix": None}

    settings = DataSettings(label_noise=0.5, noisy_splits=("validation", "test"))
    found = noisy_labels(raw, SPLITS, settings, 7)
    assert found.labels["train"].tolist() == true.tolist()
    assert found.facts.rates == {"validation": 0.5, "test": 0.5}
    assert (found.facts.transitions, found.num_changed) == (None, 0)


def test_symmetric_noise_of_the_training_split_is_that_of_earlier_versions():
    raw = raw_data()
    found = noisy_labels(raw, SPLITS, DataSettings(label_noise=0.3), 7)
    expected = symmetric(raw.labels[SPLITS.train], 3, 0.3, derive_seed(7, "label_noise"))
    assert np.array_equal(found.labels["train"], expected)


def test_second_labels_are_used_where_they_are_asked_for():
    second = shuffled_labels([40, 40, 40], seed=1)
    own_test = {"test_images": np.zeros((3, 2), np.float32), "test_labels": np.arange(3)}
    raw = raw_data(noisy_labels=second, **own_test)
    parts = Splits(np.arange(90), np.arange(90, 120), None)
    found = noisy_labels(raw, parts, DataSettings(label_noise="noisy_labels"), 7)
    assert np.array_equal(found.labels["train"], second[:90])
    assert np.array_equal(found.labels["validation"], raw.labels[90:])
    assert found.facts.rates == {"train": np.mean(second[:90] != raw.labels[:90])}
    both = DataSettings(label_noise="noisy_labels", noisy_splits=("train", "test"))
    with pytest.raises(LosstuneError, match=r"^data\.noisy_splits: found test, but the data's own test split has no"):
        noisy_labels(raw, parts, both, 7)
    raw = raw_data(noisy_labels=second, test_noisy_labels=np.array([0, 0, 0]), **own_test)
    found = noisy_labels(raw, parts, both, 7)
    assert found.labels["test"].tolist() == [0, 0, 0]
    assert found.facts.rates["test"] == pytest.approx(2 / 3)


def test_noise_that_the_data_cannot_have_is_one_line():
    with pytest.raises(LosstuneError, match=r"^data\.label_noise: found 'noisy', which names an array or column"):
        noisy_labels(raw_data(), SPLITS, DataSettings(label_noise="noisy"), 7)
    soft = raw_data(targets=np.full((120, 3), 1 / 3, np.float32))
    with pytest.raises(LosstuneError, match=r"^data\.label_noise: found 0\.1, expected 0: the data has soft labels$"):
        noisy_labels(soft, SPLITS, DataSettings(label_noise=0.1), 7)
