"""Which folders are splits and which are classes, as data sets name and nest them that people download."""

import os

import pytest

from losstune.core.errors import LosstuneError
from losstune.data import imagefolder
from losstune.data.folders import find_layout
from tests.data.test_imagefolder import fill, put, values

TRAIN = ("train", "Train", "TRAIN", "training", "train_set", "trainset", "train-images", "Training_Set", "images_train")
VALIDATION = ("val", "valid", "validation", "Validation", "val_set", "validation-set", "valset", "dev", "dev_set")
TEST = (
    "test",
    "tests",
    "testing",
    "TEST",
    "test_set",
    "testset",
    "Test-Images",
    "eval",
    "eval_set",
    "holdout",
    "hold_out",
)


def split_of(root):
    """Return the split of every image: its value tells the folder that `fill` was given it for."""
    raw = imagefolder.load(root, image_size=None)
    return values(raw.images), None if raw.test_images is None else values(raw.test_images)


@pytest.mark.parametrize("name", TRAIN)
def test_a_training_split_is_known_by_its_names(tmp_path, name):
    fill(tmp_path / name, num=1)
    fill(tmp_path / "test", num=1, first=100)
    assert split_of(tmp_path) == ([0, 20], [100, 120])
    assert find_layout(tmp_path).class_names == ("ant", "bee")


@pytest.mark.parametrize("name", VALIDATION + TEST)
def test_the_one_folder_beside_train_is_the_test_split(tmp_path, name):
    fill(tmp_path / "train_set", num=1)
    fill(tmp_path / name, num=1, first=100)
    assert split_of(tmp_path) == ([0, 20], [100, 120])
    assert find_layout(tmp_path).notes == (f"{name}/ is the test split.",)


@pytest.mark.parametrize(("val", "test"), [("dev", "test"), ("valid", "eval"), ("dev_set", "holdout")])
def test_of_three_folders_the_validation_split_joins_the_training_data(tmp_path, val, test):
    for first, name in ((0, "train"), (50, val), (100, test)):
        fill(tmp_path / name, num=1, first=first)
    assert split_of(tmp_path) == ([0, 20, 50, 70], [100, 120])
    assert find_layout(tmp_path).notes == (f"{test}/ is the test split, {val}/ joins train/.",)


@pytest.mark.parametrize("others", [("cat", "dog"), ("bus",), tuple(f"thing{n}" for n in range(40))])
@pytest.mark.parametrize("name", ["test", "training", "Train", "dev", "validation", "eval"])
def test_a_class_may_be_called_like_a_split_and_that_is_told(tmp_path, name, others):
    fill(tmp_path, classes=(*others, name), num=1)
    layout = find_layout(tmp_path)
    assert layout.class_names == tuple(sorted((*others, name)))
    assert not layout.has_test
    (note,) = layout.notes
    assert note.startswith(f"Read as a class, though named like a split: {name}.")


@pytest.mark.parametrize("names", [("train_station", "test_tube", "cat"), ("bullet_train", "dog"), ("seal", "value")])
def test_a_class_may_have_a_splits_word_in_its_name(tmp_path, names):
    fill(tmp_path, classes=names, num=1)
    layout = find_layout(tmp_path)
    assert layout.class_names == tuple(sorted(names))
    assert layout.notes == ()


def intel(root):
    """Lay folders out as Kaggle does for the scenes of Intel: each split in a folder of its own name."""
    for split in ("seg_train", "seg_test"):
        fill(root / split / split)
    put(root / "seg_pred/seg_pred/0.png")


def cars(root):
    put(root / "cars_train/0.png")
    put(root / "cars_test/0.png")
    (root / "devkit").mkdir()
    (root / "devkit/labels.mat").touch()


REFUSED = {
    "bare splits": (
        lambda root: (put(root / "train/0.png"), put(root / "test/0.png"), (root / "train.csv").touch()),
        "train and test look like splits, not like classes; … put the images in train and test into a folder per class",
    ),
    "bare splits, longer names": (
        lambda root: (put(root / "train_set/0.png"), put(root / "test_set/0.png")),
        "train_set and test_set look like splits, not like classes",
    ),
    "bare splits among others": (
        lambda root: (put(root / "train_images/0.png"), put(root / "test_images/0.png"), put(root / "masks/0.png")),
        "train_images and test_images look like splits",
    ),
    "three bare splits": (
        lambda root: [put(root / name / "0.png") for name in ("TRAIN", "dev", "Holdout")],
        "TRAIN and Holdout and dev look like splits",
    ),
    "one bare split": (lambda root: put(root / "training/0.png"), "training looks like a split, not like a class"),
    "years": (
        lambda root: (put(root / "train2017/0.png"), put(root / "val2017/0.png")),
        "rename train2017 to train; rename val2017 to val",
    ),
    "splits of cars": (cars, "rename cars_train to train; rename cars_test to test"),
    "splits of birds": (
        lambda root: (fill(root / "birdsTrain"), fill(root / "birdsTest")),
        "rename birdsTrain to train; rename birdsTest to test",
    ),
    "splits of scenes": (intel, "rename seg_train to train; rename seg_test to test"),
    "splits with images beside the classes": (
        lambda root: [(fill(root / name), put(root / name / "sample.png")) for name in ("train", "test")],
        "move the images beside the folders in train and test away",
    ),
    "a training split with an image beside the classes": (
        lambda root: (fill(root / "train"), put(root / "train/sample.png"), fill(root / "test")),
        "has test with class folders in it, but no train; train holds images itself, expected only a folder per class",
    ),
    "a test split with an image beside the classes": (
        lambda root: (fill(root / "train"), fill(root / "val"), fill(root / "test"), put(root / "test/sample.png")),
        "test holds the same folders as train; … move the images beside its folders away",
    ),
    "a test split of a near name": (
        lambda root: (fill(root / "train"), fill(root / "final_test")),
        "final_test holds the same folders as train; rename it to test if it is a split, else move it out of",
    ),
    "a test split of a near name beside val": (
        lambda root: (fill(root / "train"), fill(root / "val"), fill(root / "test2")),
        "test2 holds the same folders as train; rename it to test",
    ),
    "a split of no known name": (
        lambda root: (fill(root / "train"), fill(root / "unseen")),
        "unseen holds the same folders as train; rename it to test if it is a split",
    ),
    "a class called train, and folders in all": (
        lambda root: [fill(root / name, ("flickr", "google")) for name in ("bus", "car", "train")],
        "bus holds the same folders as train; … if both are classes, rename train",
    ),
    "two of one split": (
        lambda root: (fill(root / "train"), fill(root / "test"), fill(root / "eval")),
        "has both eval and test; expected one",
    ),
    "no train": (
        lambda root: (fill(root / "dev"), fill(root / "eval")),
        "has dev and eval with class folders in it, but no train; expected train/",
    ),
    "a train of a near name": (
        lambda root: (fill(root / "my_train"), fill(root / "test")),
        "but no train; rename my_train to train",
    ),
    "a folder around all": (
        lambda root: (fill(root / "birds/train"), fill(root / "birds/test")),
        "one class folder (birds) … did you mean {root}/birds?",
    ),
    "two folders around all": (
        lambda root: fill(root / "archive/birds"),
        "one class folder (archive) … did you mean {root}/archive/birds?",
    ),
    "a folder around a lone train": (
        lambda root: fill(root / "birds/train"),
        "one class folder (birds) … did you mean {root}/birds?",
    ),
    "a folder around all, and documents": (
        lambda root: (fill(root / "images"), (root / "annotations").mkdir()),
        "one class folder (images) … did you mean {root}/images?",
    ),
    "a split within a split": (
        lambda root: (fill(root / "train/train"), fill(root / "test/test")),
        "one class folder (train) in {root}/train, … move what is in {root}/train/train up to {root}/train",
    ),
    "not unpacked": (lambda root: (root / "birds.zip").touch(), "no class folders … unpack birds.zip first"),
    "no folders": (lambda root: put(root / "0.png"), "no class folders … put its images into a folder per class"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_certain_is_refused_with_what_to_do(tmp_path, name):
    root = tmp_path / "root"
    root.mkdir()
    make, message = REFUSED[name]
    make(root)
    with pytest.raises(LosstuneError) as caught:
        imagefolder.load(root, image_size=None)
    text = str(caught.value)
    assert str(root) in text
    assert "\n" not in text
    for part in message.format(root=root).split(" … "):
        assert part in text
        text = text.partition(part)[2]


@pytest.mark.parametrize("name", ["test", "test_images", "final_test", "Val"])
def test_images_without_classes_beside_train_are_named_and_what_is_done_instead(tmp_path, name):
    fill(tmp_path / "train")
    put(tmp_path / name / "0.png")
    raw = imagefolder.load(tmp_path, image_size=None)
    assert raw.test_images is None
    assert raw.notes == (
        "The test split is drawn from train/, as there is no test/ or val/ with class folders beside it.",
        f"{name}/ is not read: it holds images without class folders, so their classes are unknown.",
        f"Not read in {tmp_path}: {name}/.",
    )


def test_what_is_passed_over_is_named(tmp_path):
    for name in ("train", "test"):
        fill(tmp_path / name)
    fill(tmp_path / "test_extra")
    fill(tmp_path / "train_augmented")
    for path in ("docs/a.txt", ".git/x", "__MACOSX/ant/._0.png", "labels.csv", ".DS_Store", "train/notes.md"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    for path in ("ant/a.heic", "ant/b.HEIC", "bee/deeper/c.txt", "bee/README"):
        (tmp_path / "train" / path).parent.mkdir(exist_ok=True)
        (tmp_path / "train" / path).touch()
    raw = imagefolder.load(tmp_path, image_size=None)
    assert len(raw.images) == len(raw.test_images) == 6
    assert raw.notes == (
        "test/ is the test split.",
        f"Not read in {tmp_path}: docs/, test_extra/, train_augmented/, labels.csv, train/notes.md, .git/, __MACOSX/.",
        "Not read in the class folders, as the extension is not an image's: 2 .heic, 1 without extension, 1 .txt.",
    )


def test_a_split_beside_the_root_is_named(tmp_path):
    fill(tmp_path / "train")
    fill(tmp_path / "test")
    assert find_layout(tmp_path / "train").notes == (
        f"Not read: {tmp_path}/test; with data.root {tmp_path} it would be used as a split.",
    )


def test_a_name_that_is_a_command_for_a_terminal_or_no_text_is_written_out(tmp_path):
    fill(tmp_path)
    (tmp_path / "\x1b[2J.csv").touch()
    os.close(os.open(os.fsencode(tmp_path) + b"/caf\xe9.csv", os.O_CREAT))
    (note,) = find_layout(tmp_path).notes
    assert note.isprintable()
    assert r"\x1b[2J.csv" in note
    note.encode()


def test_a_folder_that_may_not_be_read_is_passed_over_beside_train(tmp_path, monkeypatch):
    for name in ("train", "test", "lost+found"):
        fill(tmp_path / name)
    scandir = os.scandir

    def guarded(path):
        if os.path.basename(path) == "lost+found":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert find_layout(tmp_path).notes == ("test/ is the test split.", f"Not read in {tmp_path}: lost+found/.")
