import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

import losstune
from losstune.core.errors import LosstuneError
from losstune.data import own
from losstune.data.own import load_own
from losstune.data.splits import split

X, Y = np.random.default_rng(0).random((12, 5)), np.arange(12) % 3
IMAGES = np.random.default_rng(0).integers(0, 255, (12, 6, 4, 3), dtype=np.uint8)


@pytest.fixture
def loaded(monkeypatch):
    def load(function, options=None, root="the root"):
        monkeypatch.setattr(own, "load", lambda reference, key: function)
        return load_own("mine:load", root, options or {})

    return load


def test_arrays(loaded):
    raw = loaded(lambda: losstune.Dataset(train=(IMAGES, Y)))
    assert raw.images.shape == (12, 3, 6, 4)
    assert raw.images.dtype == np.uint8
    np.testing.assert_array_equal(raw.images.transpose(0, 2, 3, 1), IMAGES)
    np.testing.assert_array_equal(raw.labels, Y)
    assert (raw.class_names, raw.validation, raw.test_labels) == (("0", "1", "2"), None, None)


@pytest.mark.parametrize(
    "train",
    [
        (torch.tensor(X), torch.tensor(Y)),
        (X.tolist(), Y.tolist()),
        ([torch.tensor(row) for row in X], list(Y)),
        TensorDataset(torch.tensor(X), torch.tensor(Y)),
        [(row, int(label)) for row, label in zip(X, Y, strict=True)],
    ],
    ids=["tensors", "lists", "lists of tensors", "a dataset", "pairs"],
)
def test_what_a_split_may_be(loaded, train):
    raw = loaded(lambda: losstune.Dataset(train=train))
    np.testing.assert_allclose(raw.images, X.astype(np.float32))
    np.testing.assert_array_equal(raw.labels, Y)


def test_labels_by_name(loaded):
    names = np.array(["cow", "ant", "bee"])
    raw = loaded(lambda: losstune.Dataset(train=(X, names[Y])))
    assert raw.class_names == ("ant", "bee", "cow")
    assert [raw.class_names[label] for label in raw.labels] == names[Y].tolist()
    raw = loaded(lambda: losstune.Dataset(train=(X, names[Y].tolist()), class_names=["cow", "bee", "ant"]))
    assert [raw.class_names[label] for label in raw.labels] == names[Y].tolist()


def test_splits_of_its_own(loaded):
    dataset = losstune.Dataset(train=(X, Y), validation=(X[:6] + 1, Y[:6]), test=(X[6:] + 2, Y[6:]))
    raw = loaded(lambda: dataset)
    assert raw.validation.tolist() == list(range(12, 18))
    np.testing.assert_allclose(raw.images[raw.validation], (X[:6] + 1).astype(np.float32))
    np.testing.assert_allclose(raw.test_images, (X[6:] + 2).astype(np.float32))
    assert raw.test_labels.tolist() == Y[6:].tolist()


def test_options_and_root(loaded):
    seen = []

    def load(root, factor=1, **more):
        seen.append((root, factor, more))
        return losstune.Dataset(train=(factor * X, Y))

    loaded(load, {"factor": 3, "name": "n"})
    loaded(load, {"root": "another"})
    assert seen == [("the root", 3, {"name": "n"}), ("another", 1, {})]


def test_two_splits_of_different_sizes(loaded):
    with pytest.raises(LosstuneError, match=r"test samples are float32 of shape \(12, 4\), train samples float32"):
        loaded(lambda: losstune.Dataset(train=(X, Y), test=(X[:, :4], Y)))


def test_a_validation_split_is_taken_as_it_is():
    labels = np.array([0, 1] * 20 + [0, 1, 1])
    given = np.array([42, 40, 41])
    parts = split(labels, ("a", "b"), validation_fraction=0.5, test_fraction=0.25, seed=3, validation=given)
    assert parts.validation.tolist() == [40, 41, 42]
    assert len(parts.test) == 10
    assert np.bincount(labels[parts.test]).tolist() == [5, 5]
    assert sorted([*parts.train, *parts.test]) == list(range(40))
    parts = split(labels, ("a", "b"), validation_fraction=0.5, test_fraction=None, seed=3, validation=given)
    assert parts.train.tolist() == list(range(40))
    assert parts.test is None


def test_groups_of_the_training_data(loaded):
    raw = loaded(lambda: losstune.Dataset(train=(X, Y), groups=[f"p{row // 2}" for row in range(12)]))
    assert raw.groups.tolist() == [row // 2 for row in range(12)]
    assert raw.test_groups is None


def test_the_groups_of_the_test_split_may_be_unknown(loaded):
    raw = loaded(lambda: losstune.Dataset(train=(X, Y), test=(X, Y), groups=np.arange(12)))
    assert raw.groups.tolist() == list(range(12))
    assert raw.test_groups is None
    with pytest.raises(
        LosstuneError, match="groups: found those of train, expected a dictionary with those of train, v"
    ):
        loaded(lambda: losstune.Dataset(train=(X, Y), validation=(X, Y), groups=np.arange(12)))


def test_groups_of_every_split(loaded):
    pair = (X, Y)
    groups = {"train": np.arange(12), "validation": torch.arange(12) + 5, "test": np.arange(12) + 50}
    raw = loaded(lambda: losstune.Dataset(train=pair, validation=pair, test=pair, groups=groups))
    expected = np.unique(np.concatenate([np.asarray(groups[name]) for name in groups]), return_inverse=True)[1]
    assert np.array_equal(np.concatenate([raw.groups, raw.test_groups]), expected)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"test": np.arange(12)}, "groups: found those of test, expected a dictionary with those of train, test"),
        (
            {"train": Y, "validation": Y},
            "groups: found those of train, validation, expected a dictionary with those of",
        ),
        ({"train": np.arange(11), "test": np.arange(12)}, "groups: train: found 11, expected 12, one for each sample"),
        ({"train": np.full(12, np.nan), "test": np.arange(12)}, "groups: train: found 12 samples without a group"),
    ],
)
def test_groups_that_do_not_fit(loaded, groups, message):
    with pytest.raises(LosstuneError, match=message):
        loaded(lambda: losstune.Dataset(train=(X, Y), test=(X, Y), groups=groups))
