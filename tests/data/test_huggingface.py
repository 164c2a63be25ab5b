import io
import json
import sys

import numpy as np
import pyarrow
import pytest
from PIL import Image

from losstune.config.data import DataSettings
from losstune.core.errors import LosstuneError
from losstune.data import huggingface

datasets = pytest.importorskip("datasets")

KINDS = {
    "image": datasets.Image(),
    "label": datasets.ClassLabel(names=["ant", "bee"]),
    "site": datasets.Value("string"),
}


@pytest.fixture(autouse=True)
def _no_progress():
    datasets.disable_progress_bars()


def png(value, mode="RGB", size=(5, 4)):
    file = io.BytesIO()
    Image.new(mode, size, value if mode == "L" else (value, 0, 9)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def images(values, sites="pq", **more):
    rows = {
        "image": [png(value) if isinstance(value, int) else value for value in values],
        "label": [index % 2 for index in range(len(values))],
        "site": [sites[index % len(sites)] for index in range(len(values))],
    }
    kinds = KINDS | {name: datasets.Value("int64") for name in more}
    return datasets.Dataset.from_dict(rows | more, features=datasets.Features(kinds))


def table(num=6, labels=None, kind=KINDS["label"], **columns):
    labels = [index % 2 for index in range(num)] if labels is None else labels
    found = datasets.Dataset.from_dict({"label": labels, **columns})
    return found.cast_column("label", kind) if kind else found


def save(folder, data=None, **splits):
    (data if data is not None else datasets.DatasetDict(splits)).save_to_disk(folder)
    return folder


def load(root, cache=None, **data):
    return huggingface.load(root, DataSettings(name="huggingface", **data), cache=cache)


def reds(pixels):
    return pixels[:, 0, 0, 0].tolist()


def test_images_and_the_names_of_classes(tmp_path):
    raw = load(save(tmp_path / "a", images([1, 2, 3, 4])))
    assert raw.images.shape == (4, 3, 4, 5)
    assert raw.images.dtype == np.uint8
    assert reds(raw.images) == [1, 2, 3, 4]
    assert raw.labels.tolist() == [0, 1, 0, 1]
    assert raw.class_names == ("ant", "bee")
    assert raw.test_images is None
    assert raw.notes == ("Not read, as there are images: site.",)


@pytest.mark.parametrize("own_validation", [False, True])
def test_the_splits_of_the_data_set(tmp_path, own_validation):
    root = save(tmp_path / "a", test=images([7, 8]), valid=images([5, 6]), train=images([1, 2, 3, 4]))
    raw = load(root, own_validation=own_validation, groups="site", image_size=4)
    assert reds(raw.images) == [1, 2, 3, 4, 5, 6]
    assert reds(raw.test_images) == [7, 8]
    assert raw.test_labels.tolist() == [0, 1]
    assert raw.groups.tolist() == [0, 1, 0, 1, 0, 1]
    assert raw.test_groups.tolist() == [0, 1]
    assert (raw.validation is not None) == own_validation
    assert raw.validation is None or raw.validation.tolist() == [4, 5]
    assert raw.images.shape[2:] == (4, 4)


def test_decoded_images_are_kept_and_mapped(tmp_path, monkeypatch):
    root = save(tmp_path / "a", train=images([1, 2, 3, 4]), test=images([7, 8]))
    first = load(root, cache=tmp_path / "cache")
    monkeypatch.setattr(Image, "open", None)
    again = load(root, cache=tmp_path / "cache")
    assert isinstance(again.images, np.memmap)
    assert np.array_equal(first.images, again.images)
    assert np.array_equal(first.test_images, again.test_images)
    monkeypatch.undo()
    save(tmp_path / "a2", train=images([9, 2, 3, 4]), test=images([7, 8]))
    assert reds(load(tmp_path / "a2", cache=tmp_path / "cache").images)[0] == 9


@pytest.mark.parametrize("cached", [False, True])
def test_images_that_cannot_be_read(tmp_path, cached):
    cache = tmp_path / "cache" if cached else None
    damaged = {"bytes": b"no image", "path": None}
    root = save(tmp_path / "a", train=images([1, damaged, 3, 4, 5, 6]), test=images([7, 8, damaged, 9, 10, 11]))
    with pytest.raises(LosstuneError, match=r"image 2: not a readable image .*data.on_bad_image: skip"):
        load(root, cache)
    for _ in range(2):
        raw = load(root, cache, on_bad_image="skip", groups="site")
        assert raw.skipped == ("image 2", "test: image 3")
        assert reds(raw.images) == [1, 3, 4, 5, 6]
        assert raw.labels.tolist() == [0, 0, 1, 0, 1]
        assert raw.groups.tolist() == [0, 0, 1, 0, 1]
        assert reds(raw.test_images) == [7, 8, 9, 10, 11]
        assert raw.test_labels.tolist() == [0, 1, 1, 0, 1]
    root = save(tmp_path / "b", images([1, damaged, 3, damaged]))
    with pytest.raises(LosstuneError, match="2 of 2 images of class 'bee' cannot be read, expected at most half"):
        load(root, on_bad_image="skip")


def test_the_file_that_a_path_names_is_not_read(tmp_path):
    Image.new("RGB", (5, 4)).save(tmp_path / "secret.png")
    root = save(tmp_path / "a", images([1, 2]))
    path = next(root.glob("*.arrow"))
    found = pyarrow.ipc.open_stream(path.read_bytes()).read_all()
    pointer = pyarrow.array(
        [{"bytes": None, "path": str(tmp_path / "secret.png")}] * 2, found.schema.field("image").type
    )
    changed = found.set_column(0, found.schema.field("image"), pointer)
    with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_stream(sink, changed.schema) as writer:
        writer.write_table(changed)
    with pytest.raises(LosstuneError, match=r"image 1: not a readable image \(the folder has no content of it\)"):
        load(root)


def test_other_columns_are_a_table(tmp_path):
    kinds = {"age": [1.0, None, 3, 4, 5, 6], "city": ["x", "y", "x", None, "y", "x"]}
    train = (
        table(**kinds)
        .add_column("kind", [0, 1, 2, 0, 1, 2])
        .cast_column("kind", datasets.ClassLabel(names=["k", "l", "m"]))
    )
    raw = load(save(tmp_path / "a", train=train, test=train.select(range(4)))).with_features(np.arange(6))
    assert raw.feature_names == ("age", "city=missing", "city=x", "city=y", "kind=k", "kind=l", "kind=m")
    assert raw.images[:, 0].tolist() == [1, 4, 3, 4, 5, 6]
    assert raw.images[:, 4:].argmax(1).tolist() == [0, 1, 2, 0, 1, 2]
    assert np.array_equal(raw.test_images, raw.images[:4])
    assert raw.class_names == ("ant", "bee")


def test_the_label_is_named_or_the_only_column_of_classes(tmp_path):
    train = table(a=[1, 2, 4, 4, 5, 7], b=list("uvuvuv")).rename_column("label", "species")
    root = save(tmp_path / "a", train)
    assert load(root).class_names == ("ant", "bee")
    assert load(root, label="b", drop=["species"]).class_names == ("u", "v")
    with pytest.raises(
        LosstuneError, match=r"data.label: found 'c', and .* has no such column; expected one of species"
    ):
        load(root, label="c")


def test_votes_and_noisy_labels(tmp_path):
    kind = KINDS["label"]
    train = table(a=[1, 2, 4, 4, 5, 7], other=[0, 0, 1, -1, 0, 1]).cast_column("other", kind)
    root = save(tmp_path / "a", train)
    raw = load(root, label=["label", "other"])
    assert raw.targets[:4].tolist() == [[1, 0], [0.5, 0.5], [0.5, 0.5], [0, 1]]
    with pytest.raises(LosstuneError, match="column other: found 1 of 6 rows without a label"):
        load(root, label_noise="other")
    raw = load(save(tmp_path / "b", train.select([0, 1, 2, 4, 5])), label_noise="other")
    assert raw.noisy_labels.tolist() == [0, 0, 1, 0, 1]
    swapped = train.select([0, 1, 2, 4, 5]).cast_column("other", datasets.ClassLabel(names=["bee", "ant"]))
    with pytest.raises(LosstuneError, match="label, other have different classes, expected the same"):
        load(save(tmp_path / "c", swapped), label_noise="other")


def test_a_test_split_without_labels_is_not_read(tmp_path):
    root = save(
        tmp_path / "a",
        train=images([1, 2, 3, 4]),
        test=table(2, labels=[-1, -1], image=[png(1)] * 2).cast_column("image", datasets.Image()),
    )
    raw = load(root)
    assert raw.test_labels is None
    assert "The test split has no labels and is not read; it is drawn." in raw.notes


@pytest.mark.parametrize(
    ("splits", "data", "message"),
    [
        ({"test": [1, 2]}, {}, "found the splits test, expected train among them"),
        ({"train": [1, 2], "dev": [1, 2], "val": [1, 2]}, {}, "found two splits for validation in train, dev, val"),
        (
            {"train": [1, 2]},
            {"own_validation": True},
            "data.own_validation: found true, and .* has no validation split",
        ),
        ({"train": [1, 2]}, {"groups": "patient"}, "data.groups: found 'patient'"),
        (
            {"train": [1, 2]},
            {"drop": ["image"], "image_size": 8},
            "data.image_size: found 8, expected null: .* no images",
        ),
    ],
)
def test_splits_and_columns_that_are_not_there(tmp_path, splits, data, message):
    root = save(tmp_path / "a", **{name: images(values) for name, values in splits.items()})
    with pytest.raises(LosstuneError, match=message):
        load(root, **data)
    if "image_size" not in data:
        with pytest.raises(LosstuneError, match=message):
            huggingface.inspect(root, DataSettings(name="huggingface", **data))


def test_other_types_of_columns_are_named(tmp_path):
    root = save(tmp_path / "a", table(a=[[1, 2]] * 6))
    with pytest.raises(
        LosstuneError, match=r"column a: found List, expected images, numbers or categories; `data.drop"
    ):
        load(root)
    two = images([1, 2]).add_column("second", [png(1), png(2)]).cast_column("second", datasets.Image())
    with pytest.raises(LosstuneError, match="found the columns of images image, second, expected one"):
        load(save(tmp_path / "b", two))
    assert load(tmp_path / "b", drop=["second"]).images.shape == (2, 3, 4, 5)


def test_folders_that_are_none(tmp_path):
    with pytest.raises(LosstuneError, match=r"data.root: no folder .*; expected a folder that save_to_disk"):
        load(tmp_path / "nowhere")
    with pytest.raises(LosstuneError, match=r"has neither dataset_dict.json nor state.json; expected a folder"):
        load(tmp_path)
    root = save(tmp_path / "a", images([1, 2]))
    (root / "state.json").write_text(json.dumps({"_data_files": 7}))
    with pytest.raises(LosstuneError, match=f"{root}: cannot be read: "):
        load(root)


def test_without_the_library_the_message_says_how_to_install_it(tmp_path, monkeypatch):
    root = save(tmp_path / "a", images([1, 2]))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(LosstuneError, match=r"needs the library datasets .*pip install 'losstune\[huggingface\]'"):
        load(root)


def test_a_format_of_the_data_set_changes_nothing(tmp_path):
    root = save(tmp_path / "a", images([1, 2]).with_format("numpy", columns=["label"]))
    assert reds(load(root).images) == [1, 2]
