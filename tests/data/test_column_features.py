import numpy as np
import pandas as pd
import pytest

from losstune.config.data import DataSettings
from losstune.core.errors import LosstuneError
from losstune.data.column_features import MOST_CATEGORIES, from_frames
from losstune.data.columns import Roles

N = 60
GENERATOR = np.random.default_rng(0)


def frame(num=N, **columns):
    return pd.DataFrame({"label": np.arange(num) % 2, **columns})


def read(found, **data):
    frames = found if isinstance(found, dict) else {"": found}
    own_validation = data.pop("own_validation", False)
    roles = Roles.of(DataSettings(name="table", **data), list(frames[""]), "t")
    return from_frames("t", frames, roles, own_validation=own_validation)


def test_medians_and_categories_are_those_of_the_training_samples():
    ages = GENERATOR.normal(40, 10, N).round(1)
    ages[::7] = np.nan
    cities = GENERATOR.choice(["Rome", "Oslo"], N).astype(object)
    cities[3::11] = None
    cities[-1] = "Lima"  # outside the training samples
    ages[-1] = 1e6
    data = frame(age=ages, city=cities)
    train = np.arange(N - 10)
    raw = read(data).with_features(train)
    expected = pd.concat(
        [
            data["age"].fillna(data["age"][train].median()),
            pd.get_dummies(data["city"].fillna("missing"))[["Oslo", "Rome", "missing"]],
        ],
        axis=1,
    )
    assert raw.feature_names == ("age", "city=Oslo", "city=Rome", "city=missing")
    np.testing.assert_allclose(raw.images, expected.to_numpy(dtype=np.float32))
    assert raw.images[-1, 1:].tolist() == [0, 0, 0]
    assert raw.make_features is None
    assert raw.images.flags.c_contiguous


def test_the_splits_of_the_data_keep_their_rows():
    frames = {
        "": frame(6, a=[1.0, 2, 3, 4, 5, np.nan], b=list("xyxyxy")),
        "validation": frame(2, a=[7.0, 8], b=["x", "z"]),
        "test": frame(3, a=[np.nan, 9, 10], b=["y", None, "z"]),
    }
    raw = read(frames, own_validation=True)
    assert raw.validation.tolist() == [6, 7]
    raw = raw.with_features(np.arange(6))
    assert raw.images.tolist() == [
        [1, 1, 0],
        [2, 0, 1],
        [3, 1, 0],
        [4, 0, 1],
        [5, 1, 0],
        [3, 0, 1],
        [7, 1, 0],
        [8, 0, 0],
    ]
    assert raw.test_images.tolist() == [[3, 0, 1], [9, 0, 0], [10, 0, 0]]
    assert read(frames).validation is None


def test_every_type_of_number():
    data = frame(
        truth=np.arange(N) % 3 == 0,
        nullable=pd.array([None if row % 5 == 0 else row // 2 for row in range(N)], dtype="Int64"),
        small=np.arange(N, dtype=np.uint8) // 2,
    )
    raw = read(data).with_features(np.arange(N))
    assert raw.feature_names == ("truth", "nullable", "small")
    assert raw.images[:3, 0].tolist() == [1, 0, 0]
    assert raw.images[0, 1] == np.median([row // 2 for row in range(N) if row % 5])
    assert raw.images[:4, 2].tolist() == [0, 0, 1, 1]


def test_a_column_of_one_value_is_left_out():
    raw = read(frame(a=np.arange(N) / 2, b="x", c=1, d=[None] * N, e=[1.0] + [np.nan] * (N - 1)))
    assert "Left out, as each row has the same value: b, c, d." in raw.notes
    raw = raw.with_features(np.arange(1, N))  # where no value of e is known
    assert raw.feature_names == ("a", "e")
    assert raw.images[:, 1].tolist() == [1] + [0] * (N - 1)
    with pytest.raises(LosstuneError, match="found only one value in each of b, c, expected features"):
        read(frame(b="x", c=1))


def test_what_numbers_the_rows_is_noted():
    numbers = np.arange(N)
    notes = read(frame(key=numbers + 7, shuffled=GENERATOR.permutation(numbers), half=numbers // 2)).notes
    assert [note.split()[0] for note in notes if "identifier" in note] == ["key", "shuffled"]


def test_what_may_be_made_of_the_label_is_noted():
    kinds = np.arange(N) % 4
    data = frame(name=np.array(["w", "x", "y", "z"])[kinds], code=kinds * 10, chance=np.arange(N) / 2, other=kinds // 2)
    (note,) = [note for note in read(data).notes if note.startswith("Each value of")]
    assert note.startswith("Each value of name, code goes with one class;")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([f"name {row}" for row in range(N)], "60 different texts in 60 rows, such as 'name 0', like an identifier or"),
        ([f"{row:03}" for row in range(N)], "such as '000', numbers stored as texts"),
        ([f"{row},5" for row in range(N)], "such as '0,5', numbers with a comma for the point"),
        ([*map(str, range(N - 1)), "none of it"], "numbers, and 'none of it' among them, which stands for a missing"),
        ([f"2024-01-{row % 28 + 1:02}T{row:02}" for row in range(N)], "dates such as '2024-01-01T00'"),
        (pd.date_range("2024-01-01", periods=N), "column x: found dates, expected numbers or categories"),
        ([[row] for row in range(N)], "column x: found lists, expected one number or category"),
        ([b"x", b"y"] * (N // 2), "column x: found bytes"),
        ([1.0, np.inf] * (N // 2), "column x: found infinite values or some too large for float32"),
        ([1.0, 1e300] * (N // 2), "column x: found infinite values or some too large for float32"),
    ],
)
def test_columns_that_are_no_features(column, message):
    with pytest.raises(LosstuneError, match=message) as caught:
        read(frame(x=column))
    assert "\n" not in str(caught.value)


def test_too_many_categories_are_an_error_and_few_rows_are_not():
    num = 4 * MOST_CATEGORIES
    with pytest.raises(LosstuneError, match=r"at most 1,000 categories of several rows; `data.drop: .x.` leaves"):
        read(frame(num, x=[f"c{row % (MOST_CATEGORIES + 1)}" for row in range(num)]))
    assert read(frame(8, x=list("abcdefgh"))).with_features(np.arange(8)).images.shape == (8, 8)
