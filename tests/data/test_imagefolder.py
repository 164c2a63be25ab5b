import os

import numpy as np
import pytest
from PIL import Image

from losstune.core.errors import LosstuneError
from losstune.data import imagefolder


def put(path, value=0, size=(4, 4), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = value if mode == "L" else (value, value, 255 - value)
    Image.new(mode, size, colour).save(path)
    return path


def fill(root, classes=("ant", "bee"), num=3, first=0, mode="RGB"):
    for label, name in enumerate(classes):
        for index in range(num):
            put(root / name / f"{index:03}.png", first + 20 * label + index, mode=mode)
    return root


def load(root, image_size=None, **arguments):
    return imagefolder.load(root, image_size=image_size, **arguments)


def values(images):
    return images[:, 0, 0, 0].tolist()


def test_class_folders_alone_bring_no_test_split(tmp_path):
    raw = load(fill(tmp_path))
    assert raw.images.shape == (6, 3, 4, 4)
    assert raw.images.dtype == np.uint8
    assert raw.images.flags.c_contiguous
    assert raw.class_names == ("ant", "bee")
    assert raw.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert raw.labels.dtype == np.int64
    assert values(raw.images) == [0, 1, 2, 20, 21, 22]
    assert raw.test_images is None
    assert raw.test_labels is None


@pytest.mark.parametrize(
    ("train", "test"), [("train", "test"), ("Training", "TEST"), ("train", "val"), ("train", "validation")]
)
def test_a_second_folder_is_the_test_split(tmp_path, train, test):
    fill(tmp_path / train)
    fill(tmp_path / test, num=1, first=100)
    raw = load(tmp_path)
    assert values(raw.images) == [0, 1, 2, 20, 21, 22]
    assert values(raw.test_images) == [100, 120]
    assert raw.test_labels.tolist() == [0, 1]


def test_of_three_folders_val_joins_the_training_data(tmp_path):
    for index, name in enumerate(("train", "valid", "test")):
        fill(tmp_path / name, num=2, first=100 * index)
    raw = load(tmp_path)
    assert values(raw.images) == [0, 1, 20, 21, 100, 101, 120, 121]
    assert raw.labels.tolist() == [0, 0, 1, 1, 0, 0, 1, 1]
    assert values(raw.test_images) == [200, 201, 220, 221]


def test_a_train_folder_alone_is_split_later(tmp_path):
    fill(tmp_path / "train")
    assert load(tmp_path).class_names == ("ant", "bee")
    assert load(tmp_path).test_images is None


def test_train_may_be_a_class(tmp_path):
    # Locomotives: the folder holds images, not folders.
    fill(tmp_path, classes=("bus", "test", "train"))
    raw = load(tmp_path)
    assert raw.class_names == ("bus", "test", "train")
    assert len(raw.images) == 9


def test_hidden_files_and_other_files_are_passed_over(tmp_path):
    fill(tmp_path)
    for stray in (".DS_Store", "ant/._000.png", "ant/notes.txt", "ant/labels.csv", "README.md", ".git/x.png"):
        (tmp_path / stray).parent.mkdir(exist_ok=True)
        (tmp_path / stray).write_bytes(b"no image")
    (tmp_path / "__MACOSX/ant").mkdir(parents=True)
    (tmp_path / ".ipynb_checkpoints").mkdir()
    assert len(load(tmp_path).images) == 6


def test_endings_in_capitals_unicode_names_and_nested_folders(tmp_path):
    put(tmp_path / "œuvre/été 1.PNG", 1)
    put(tmp_path / "œuvre/sub/deeper/2.JpG", 2)
    put(tmp_path / "猫/猫.png", 3)
    raw = load(tmp_path)
    assert raw.class_names == ("œuvre", "猫")
    assert raw.labels.tolist() == [0, 0, 1]


def test_accents_spelt_in_two_ways_are_one_class(tmp_path):
    fill(tmp_path / "train", classes=("caf\u00e9", "tea"))
    fill(tmp_path / "test", classes=("cafe\u0301", "tea"))
    assert load(tmp_path).class_names == ("caf\u00e9", "tea")


def test_a_name_that_is_no_text_is_read(tmp_path):
    fill(tmp_path)
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    os.rename(tmp_path / "bee", odd)
    assert load(tmp_path, cache=tmp_path / ".cache").class_names == ("ant", "caf\ufffd")


def test_links_are_followed_and_never_in_circles(tmp_path):
    fill(tmp_path / "elsewhere", classes=("ant",))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/ant").symlink_to(tmp_path / "elsewhere/ant", target_is_directory=True)
    put(tmp_path / "data/bee/0.png", 7)
    (tmp_path / "data/bee/1.png").symlink_to(tmp_path / "elsewhere/ant/000.png")
    (tmp_path / "data/bee/loop").symlink_to(tmp_path / "data/bee", target_is_directory=True)
    raw = load(tmp_path / "data")
    assert values(raw.images) == [0, 1, 2, 7, 0]


def test_the_order_is_by_name_not_by_the_disk(tmp_path):
    for index in (5, 2, 9, 0):
        put(tmp_path / "one" / f"{index}.png", index)
        put(tmp_path / "two" / f"{index}.png", 100 + index)
    assert values(load(tmp_path).images) == [0, 2, 5, 9, 100, 102, 105, 109]


def test_greys_stay_one_channel_only_if_all_are(tmp_path):
    fill(tmp_path, mode="L")
    assert load(tmp_path).images.shape == (6, 1, 4, 4)
    put(tmp_path / "bee/999.png", 50)
    raw = load(tmp_path)
    assert raw.images.shape == (7, 3, 4, 4)
    assert raw.images[1].tolist() == np.full((3, 4, 4), 1).tolist()


@pytest.mark.parametrize("is_there", [False, True])
def test_a_split_beside_the_training_data_may_lack_a_class(tmp_path, is_there):
    root = tmp_path / "root"
    fill(root / "train", classes=("ant", "bee", "cow"))
    fill(root / "test", classes=("ant", "cow"))
    if is_there:
        (root / "test" / "bee").mkdir()
    raw = imagefolder.load(root, image_size=None)
    assert raw.class_names == ("ant", "bee", "cow")
    assert set(raw.labels.tolist()) == {0, 1, 2}
    assert set(raw.test_labels.tolist()) == {0, 2}


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (
            lambda root: (fill(root / "train"), (root / "test/ant").mkdir(parents=True), (root / "test/bee").mkdir()),
            "the class folders in {root}/test have no images",
        ),
        (lambda root: None, "found no class folders in"),
        (lambda root: put(root / "a.png"), "found no class folders in"),
        (lambda root: fill(root, classes=("ant",)), "found one class folder (ant)"),
        (lambda root: fill(root / "photos"), "did you mean {root}/photos?"),
        (lambda root: (fill(root), (root / "cow").mkdir()), "class folder {root}/cow has no images"),
        (lambda root: (fill(root), (root / "ant/9.jpg").touch()), "{root}/ant/9.jpg: not a readable image"),
        (
            lambda root: (fill(root), (root / "bee/zz.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")),
            "{root}/bee/zz.jpg: not a readable image",
        ),
        (
            lambda root: (fill(root / "train"), fill(root / "test", classes=("ant", "bee", "cow"))),
            "class 'cow' is in {root}/test and not in {root}/train",
        ),
        (
            lambda root: (fill(root / "train"), fill(root / "val", classes=("ant", "cow"))),
            "class 'cow' is in {root}/val and not in {root}/train",
        ),
        (lambda root: fill(root / "test"), "has test with class folders in it, but no train"),
        (lambda root: (fill(root / "train"), fill(root / "val"), fill(root / "valid")), "has both val and valid"),
        (lambda root: (fill(root), (root / "ant/0.png").symlink_to(root / "gone.png")), "ant/0.png"),
    ],
)
def test_what_is_amiss_is_named(tmp_path, prepare, message):
    root = tmp_path / "root"
    root.mkdir()
    prepare(root)
    with pytest.raises(LosstuneError) as caught:
        load(root)
    assert message.format(root=root) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_root_that_is_not_there_is_named_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LosstuneError, match=f"no folder {tmp_path}/nowhere"):
        load(imagefolder.Path("nowhere"))


class TestCache:
    @pytest.fixture
    def opened(self, monkeypatch):
        opened = []
        original = Image.open
        monkeypatch.setattr(Image, "open", lambda path: opened.append(path) or original(path))
        return opened

    def test_a_second_reading_decodes_nothing(self, tmp_path, opened):
        fill(tmp_path / "data/train")
        fill(tmp_path / "data/test", first=100)
        plain = load(tmp_path / "data")
        first = load(tmp_path / "data", cache=tmp_path / "cache")
        opened.clear()
        reports = []
        second = load(tmp_path / "data", cache=tmp_path / "cache", progress=lambda *report: reports.append(report))
        assert opened == []
        assert reports == []
        for raw in (first, second):
            assert np.array_equal(raw.images, plain.images)
            assert np.array_equal(raw.test_images, plain.test_images)
            assert np.array_equal(raw.labels, plain.labels)
        assert len(list((tmp_path / "cache").iterdir())) == 1

    def test_a_moved_folder_is_known_again(self, tmp_path, opened):
        fill(tmp_path / "data")
        load(tmp_path / "data", cache=tmp_path / "cache")
        os.rename(tmp_path / "data", tmp_path / "moved")
        opened.clear()
        load(tmp_path / "moved", cache=tmp_path / "cache")
        assert opened == []

    @pytest.mark.parametrize(
        "change",
        [
            lambda root: put(root / "ant/000.png", 77, size=(4, 4)),
            lambda root: os.utime(root / "bee/000.png", (1, 1)),
            lambda root: os.rename(root / "ant/000.png", root / "ant/zzz.png"),
            lambda root: put(root / "bee/new.png", 9),
            lambda root: (root / "bee/001.png").unlink(),
            lambda root: os.rename(root / "ant/000.png", root / "bee/000b.png"),
        ],
    )
    def test_a_change_is_seen(self, tmp_path, change):
        fill(tmp_path / "data")
        load(tmp_path / "data", cache=tmp_path / "cache")
        change(tmp_path / "data")
        cached = load(tmp_path / "data", cache=tmp_path / "cache")
        plain = load(tmp_path / "data")
        assert np.array_equal(cached.images, plain.images)
        assert np.array_equal(cached.labels, plain.labels)
        assert len(list((tmp_path / "cache").iterdir())) == 2

    def test_another_image_size_is_another_entry(self, tmp_path):
        fill(tmp_path / "data")
        for size in (8, 6, 8):
            raw = load(tmp_path / "data", image_size=size, cache=tmp_path / "cache")
            assert raw.images.shape == (6, 3, size, size)
        assert len(list((tmp_path / "cache").iterdir())) == 2

    def test_a_damaged_entry_is_decoded_anew(self, tmp_path, opened):
        fill(tmp_path / "data")
        load(tmp_path / "data", cache=tmp_path / "cache")
        (entry,) = (tmp_path / "cache").iterdir()
        entry.write_bytes(entry.read_bytes()[:200])
        opened.clear()
        assert values(load(tmp_path / "data", cache=tmp_path / "cache").images) == [0, 1, 2, 20, 21, 22]
        assert len(opened) > 0

    def test_a_failure_leaves_no_entry(self, tmp_path):
        fill(tmp_path / "data", num=80)
        (tmp_path / "data/bee/079.png").write_bytes(b"broken")
        with pytest.raises(LosstuneError, match=r"079\.png"):
            load(tmp_path / "data", cache=tmp_path / "cache")
        assert not (tmp_path / "cache").exists()

    def test_greys_before_a_colour_are_kept_right(self, tmp_path):
        fill(tmp_path / "data", num=100, mode="L")
        put(tmp_path / "data/bee/zzz.png", 50)
        raw = load(tmp_path / "data", cache=tmp_path / "cache")
        assert raw.images.shape == (201, 3, 4, 4)
        assert np.array_equal(raw.images, load(tmp_path / "data").images)


class TestOwnValidation:
    def test_val_is_the_validation_split(self, tmp_path):
        for number, name in enumerate(("train", "val", "test")):
            fill(tmp_path / name, num=2, first=100 * number)
        raw = load(tmp_path, own_validation=True)
        assert values(raw.images) == [0, 1, 20, 21, 100, 101, 120, 121]
        assert raw.validation.tolist() == [4, 5, 6, 7]
        assert values(raw.test_images) == [200, 201, 220, 221]
        assert "val/ is the validation split, test/ is the test split." in raw.notes

    def test_without_test_the_test_split_is_drawn(self, tmp_path):
        fill(tmp_path / "train")
        fill(tmp_path / "valid", first=100, num=1)
        raw = load(tmp_path, own_validation=True)
        assert raw.test_images is None
        assert raw.validation.tolist() == [6, 7]
        assert "valid/ is the validation split, the test split is drawn from train/." in raw.notes
        assert load(tmp_path).test_labels.tolist() == [0, 1]

    @pytest.mark.parametrize("layout", ["", "train"])
    def test_without_val_it_is_an_error(self, tmp_path, layout):
        fill(tmp_path / layout)
        with pytest.raises(LosstuneError, match=r"data\.own_validation: found true, and .* has no val folder"):
            load(tmp_path, own_validation=True)


class TestGroups:
    def test_the_first_group_of_the_pattern_is_the_name(self, tmp_path):
        for split, number in (("train", 4), ("test", 2)):
            for name in ("ant", "bee"):
                for index in range(number):
                    put(tmp_path / split / name / f"p{index // 2}_{index}.png", index)
        raw = load(tmp_path, groups=r"(p\d+)_\d+\.png$")
        assert raw.groups.tolist() == [0, 0, 1, 1] * 2
        assert raw.test_groups.tolist() == [0, 0] * 2
        by_folder = load(tmp_path, groups=r"^(\w+/\w+)/")
        assert len(set(by_folder.groups.tolist())) == 2
        assert not set(by_folder.groups.tolist()) & set(by_folder.test_groups.tolist())

    def test_a_file_that_does_not_match_is_named(self, tmp_path):
        fill(tmp_path)
        with pytest.raises(LosstuneError, match=r"data\.groups: '\(p\.\)_' does not match 'ant/000\.png'"):
            load(tmp_path, groups="(p.)_")

    def test_a_pattern_without_a_group_is_an_error(self):
        imagefolder.require_pattern(r"(patient\d+)_")
        for pattern in ("patient", "(patient"):
            with pytest.raises(LosstuneError, match=r"data\.groups: found .*expected a regular expression"):
                imagefolder.require_pattern(pattern)


class TestSkip:
    @pytest.fixture
    def root(self, tmp_path):
        for number, name in enumerate(("train", "val", "test")):
            fill(tmp_path / "data" / name, first=100 * number)
        (tmp_path / "data/train/ant/000.png").write_bytes(b"broken")
        (tmp_path / "data/val/bee/001.png").write_bytes(b"")
        (tmp_path / "data/test/ant/002.png").write_bytes(b"\xff\xd8\xff\xe0 broken")
        return tmp_path / "data"

    @pytest.mark.parametrize("cached", [False, True])
    def test_bad_images_are_left_out_and_listed(self, root, tmp_path, cached, monkeypatch):
        arguments = {"skip_bad": True, "own_validation": True, "groups": r"(\d+)\.png"}
        arguments["cache"] = tmp_path / "cache" if cached else None
        with pytest.raises(LosstuneError, match=r"data\.on_bad_image: skip leaves such images out"):
            load(root)
        raw = load(root, **arguments)
        if cached:
            monkeypatch.setattr(Image, "open", None)
            raw = load(root, **arguments)
            assert isinstance(raw.images.base, np.memmap)
        assert raw.skipped == ("train/ant/000.png", "val/bee/001.png", "test/ant/002.png")
        assert values(raw.images) == [1, 2, 20, 21, 22, 100, 101, 102, 120, 122]
        assert raw.labels.tolist() == [0, 0, 1, 1, 1, 0, 0, 0, 1, 1]
        assert raw.validation.tolist() == [5, 6, 7, 8, 9]
        assert raw.groups.tolist() == [1, 2, 0, 1, 2, 0, 1, 2, 0, 2]
        assert values(raw.test_images) == [200, 201, 220, 221, 222]
        assert raw.test_labels.tolist() == [0, 0, 1, 1, 1]
        assert raw.test_groups.tolist() == [0, 1, 0, 1, 2]

    def test_a_repaired_image_is_read(self, root, tmp_path):
        cache = tmp_path / "cache"
        assert len(load(root, skip_bad=True, cache=cache).skipped) == 3
        put(root / "train/ant/000.png", 7)
        raw = load(root, skip_bad=True, cache=cache)
        assert values(raw.images)[0] == 7
        assert len(raw.skipped) == 2

    def test_without_a_bad_image_nothing_changes(self, tmp_path):
        fill(tmp_path / "data")
        for _ in range(2):
            raw = load(tmp_path / "data", skip_bad=True, cache=tmp_path / "cache")
            assert raw.skipped == ()
            assert np.array_equal(raw.images, load(tmp_path / "data").images)

    def test_more_than_half_of_a_class_is_an_error(self, tmp_path):
        fill(tmp_path, num=4)
        for index in range(3):
            (tmp_path / "bee" / f"00{index}.png").write_bytes(b"broken")
        with pytest.raises(LosstuneError, match=r"3 of 4 images of class 'bee' cannot be read, expected at most half"):
            load(tmp_path, skip_bad=True)

    def test_no_image_at_all_is_an_error(self, tmp_path):
        for path in sorted(fill(tmp_path).rglob("*.png")):
            path.write_bytes(b"broken")
        with pytest.raises(LosstuneError, match="not a readable image"):
            load(tmp_path, skip_bad=True)

    def test_another_size_is_an_error_still(self, tmp_path):
        fill(tmp_path)
        (tmp_path / "ant/000.png").write_bytes(b"broken")
        put(tmp_path / "bee/002.png", size=(9, 9))
        with pytest.raises(LosstuneError, match=r"002\.png is 9x9 pixels and .*ant/001\.png is 4x4"):
            load(tmp_path, skip_bad=True)


class TestBeforeDecoding:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({}, "class 'bee' has 2 samples in the data to split 3 ways, expected at least 3"),
            ({"groups": r"(..)\.png"}, "class 'ant' is in 2 groups, expected at least 3, one for each of 3 splits"),
        ],
    )
    def test_what_cannot_be_split_is_found(self, tmp_path, monkeypatch, arguments, message):
        monkeypatch.setattr(Image, "open", None)
        for name in ["ant/1_aa", "ant/2_aa", "ant/3_bb", "bee/1_aa", "bee/2_bb"]:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / f"{name}.png").write_bytes(b"any")
        if arguments:
            (tmp_path / "bee/3_bb.png").write_bytes(b"any")
        with pytest.raises(LosstuneError, match=message):
            load(tmp_path, to_split=True, **arguments)

    def test_own_splits_need_less(self, tmp_path):
        for name, number in (("train", 1), ("val", 1), ("test", 1)):
            fill(tmp_path / name, num=number)
        assert len(load(tmp_path, to_split=True, own_validation=True).images) == 4
        (tmp_path / "test").rename(tmp_path / "unread")
        with pytest.raises(LosstuneError, match="class 'ant' has 1 sample in the data to split 2 ways"):
            load(tmp_path, to_split=True)
