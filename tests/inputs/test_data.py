"""Data that is wrong, damaged or hostile: arrays, images, torchvision's files, prepared data changed by hand."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.inputs.project import CLASSES, PER_CLASS, SIDE, Project, assert_says, changes_between, snapshot

NUM = CLASSES * PER_CLASS
LABELS = np.arange(NUM) % CLASSES
IMAGES = np.zeros((NUM, SIDE, SIDE), np.uint8)
MARK = "RAN"


class Bomb:
    """Leaves a file behind where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.mkdir, (MARK,)


BOMBS = np.array([Bomb() for _ in range(NUM)], dtype=object)


def test_the_bomb_goes_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Or the tests below would pass for the wrong reason.
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Bomb()))
    assert Path(MARK).exists()


# One file of arrays

ARRAYS: dict[str, tuple[dict[str, Any], str]] = {
    "no images": ({"images": None}, "found labels without images or x or X (arrays: labels)"),
    "no labels": ({"labels": None}, "found images without labels or y (arrays: images)"),
    "no arrays": ({"images": None, "labels": None}, "found no arrays, expected images, x or X for the"),
    "other names": (
        {"images": None, "labels": None, "data": IMAGES, "target": LABELS},
        "found data, target, expected images, x or X for the samples and labels or y",
    ),
    "fewer labels": ({"labels": LABELS[:30]}, "images has 36 samples, labels has 30"),
    "one class": ({"labels": LABELS * 0}, "has only one class, expected two or more"),
    "a gap": ({"labels": LABELS * 2}, "labels run from 0 to 4 but none is 1, expected every class from 0 to 4"),
    "from 2": ({"labels": LABELS + 2}, "labels: found labels from 2 to 4, expected classes from 0 or 1 on; if they"),
    "below 0": ({"labels": LABELS - 1}, "found labels from -1 to 1, expected 0 to C-1, 1 to C, or -1 and 1; if -1"),
    "255 for none": ({"labels": np.where(LABELS == 2, 255, LABELS)}, "labels run from 0 to 255 but none is 2"),
    "far out": ({"labels": LABELS * 2**40}, "labels: found labels from 0 to 2199023255552, expected 0 to C-1"),
    "past int64": ({"labels": np.full(NUM, 2**64 - 1, np.uint64)}, "labels: found labels from 18446744073709551615"),
    "fractions": ({"labels": LABELS / 2}, "labels: found 0.5, expected whole numbers or names of classes"),
    "NaN labels": ({"labels": np.full(NUM, np.nan)}, "labels: found NaN or infinite values, expected a class for each"),
    "counts of votes": (
        {"labels": np.eye(3, dtype=int)[LABELS] * 7 + 1},
        "labels: found int64 of shape (36, 3), expected (N,), one class per sample, … divide counts of votes by",
    ),
    "several classes": (
        {"labels": np.eye(3, dtype=int)[LABELS] | np.eye(3, dtype=int)[0]},
        "labels: found int64 of shape (36, 3) with 1 to 2 ones per row, expected one class … (multi-label)",
    ),
    "scores": ({"labels": np.eye(3)[LABELS] * 3}, "labels: found float64 of shape (36, 3), expected (N,), one class"),
    "an unknown name": (
        {"labels": np.array(["a", "b", "d"])[LABELS], "class_names": np.array(["a", "b", "c"])},
        "labels: found the class 'd', expected one of a, b, c",
    ),
    "names only in the test split": (
        {"test_images": IMAGES[:3], "test_labels": np.array(["a", "b", "c"])},
        "labels are numbers, … test_labels are text; expected the same kind of labels in every split",
    ),
    "dates": ({"labels": LABELS.astype("datetime64[D]")}, "labels: found type datetime64[D], expected whole numbers"),
    "one label": ({"labels": np.int64(3)}, "labels: found shape (), expected (N,)"),
    "a class of one": ({"labels": np.r_[LABELS[:-1] % 2, 2]}, "class '2' has 1 sample … expected at least 3"),
    "a class of two": ({"labels": np.r_[LABELS[:-2] % 2, 2, 2]}, "class '2' has 2 samples … expected at least 3"),
    "NaN": ({"images": np.full(IMAGES.shape, np.nan)}, "images: found NaN or infinite values, expected finite ones"),
    "infinity": ({"images": np.full(IMAGES.shape, np.inf)}, "images: found NaN or infinite values, expected finite"),
    "too large": ({"images": np.full(IMAGES.shape, 1e300)}, "images: found values too large for float32"),
    "complex": ({"images": IMAGES * 1j}, "images: found type complex128, expected whole or real numbers"),
    "letters": ({"images": np.full(IMAGES.shape, "a")}, "images: found type <U1, expected whole or real numbers"),
    "one number each": ({"images": np.zeros(NUM)}, "images: found shape (36,), expected (N, D), (N, H, W)"),
    "videos": ({"images": np.zeros((NUM, 2, 4, 4, 3))}, "images: found shape (36, 2, 4, 4, 3), expected (N, D)"),
    "no samples": ({"images": IMAGES[:0], "labels": LABELS[:0]}, "images: found shape (0, 4, 4), expected (N, D)"),
    "no rows": ({"images": IMAGES[:, :0]}, "images: found shape (36, 0, 4), expected (N, D)"),
    "channels in the middle": (
        {"images": np.zeros((NUM, 8, 4, 8), np.uint8)},
        "found shape (36, 8, 4, 8), expected the channels in the second or the last place",
    ),
    "a test split of another size": (
        {"test_images": np.zeros((9, 5, 5), np.uint8), "test_labels": LABELS[:9]},
        "test samples are uint8 of shape (9, 1, 5, 5), training samples uint8 of shape (36, 1, 4, 4)",
    ),
    "a test split without labels": ({"test_images": IMAGES}, "found test_images without test_labels"),
    "a test split of one class": (
        {"test_images": IMAGES[:9], "test_labels": LABELS[:9] * 0},
        "the test split that the data brings has samples of class '0' only, expected two classes or more",
    ),
    "a test split of other classes": (
        {"test_images": IMAGES[:9], "test_labels": LABELS[:9] * 0 + 5},
        "labels run from 0 to 5 but none is 3",
    ),
    "too few names": ({"class_names": np.array(["a", "b"])}, "labels: found 2, expected 0 to 1, the 2 classes named"),
    "a name twice": ({"class_names": np.array(["a", "a", "b"])}, "class_names: … expected different texts, one per"),
    "names in bytes": ({"class_names": np.array([b"a", b"b", b"c"])}, "class_names: found |S1 of shape (3,)"),
    "no name": ({"class_names": np.array(["", "b", "c"])}, "found the class name '', expected one that can be printed"),
    "a command for a terminal": (
        {"class_names": np.array(["a\x1b[2J", "b", "c"])},
        r"found the class name 'a\x1b[2J', expected one that can be printed",
    ),
    "pickled images": ({"images": BOMBS}, "it holds pickled Python objects, which could run any code and are not"),
    "pickled labels": ({"labels": BOMBS}, "it holds pickled Python objects, which could run any code and are not"),
    "pickled names": ({"class_names": BOMBS[:3]}, "it holds pickled Python objects, which could run any code"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(project: Project, name: str) -> None:
    arrays, message = ARRAYS[name]
    project.write_arrays(**arrays)
    line = project.refused("prepare")
    assert str(project.folder / "data.npz") in line
    assert_says(line, message)
    assert not Path(MARK).exists()


def npy(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00v\x00" + text.ljust(117).encode() + b"\n"


def archive(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        for name, content in {"images.npy": npy(IMAGES), "labels.npy": npy(LABELS), **members}.items():
            written.writestr(name, content)
    return file.getvalue()


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]


HUGE = header("{'descr': '|u1', 'fortran_order': False, 'shape': (36, 4000000000, 4000), }")
CALL = header(f"{{'descr': __import__('os').mkdir('{MARK}'), 'fortran_order': False, 'shape': (36, 4, 4), }}")

ARCHIVES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "cannot be read as .npz: found an empty file; expected an .npz file with images and labels"),
    "text": (b"images,labels\n", "cannot be read as .npz: found a table of text, such as CSV; expected an .npz file"),
    "a pickle": (pickle.dumps(Bomb()), "found a pickle, which could run any code and is not opened; expected"),
    "one array": (npy(IMAGES), "found one array, expected an .npz file with images and labels"),
    "cut off at the start": (archive()[:300], "cannot be read as .npz: found a ZIP archive that is truncated"),
    "cut off at the end": (archive()[:-40], "cannot be read as .npz: found a ZIP archive that is truncated"),
    "a byte changed": (flipped(archive(), 300), "cannot be read as .npz: Bad CRC-32 for file 'images.npy'"),
    "an array cut off": (archive(**{"images.npy": npy(IMAGES)[:300]}), "cannot be read as .npz: EOF: reading"),
    "no array inside": (archive(**{"images.npy": b"hello"}), "images: found no array; expected an array as numpy"),
    "larger than memory": (archive(**{"images.npy": HUGE}), "an array is larger than the memory: Unable to allocate"),
    "code in a header": (archive(**{"images.npy": CALL}), "cannot be read as .npz: malformed node or string"),
    "a pickle inside": (archive(**{"images.npy": npy(BOMBS)}), "it holds pickled Python objects"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive(project: Project, name: str) -> None:
    content, message = ARCHIVES[name]
    (project.folder / "data.npz").write_bytes(content)
    line = project.refused("prepare")
    assert line.startswith(f"{project.folder / 'data.npz'}: ")
    assert_says(line, message)
    assert not Path(MARK).exists()


@pytest.mark.parametrize("name", ["../../images", "/tmp/images", "a\nb"])
def test_a_member_that_leads_out_of_the_archive(project: Project, name: str) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        written.writestr(f"{name}.npy", npy(IMAGES))
        written.writestr("labels.npy", npy(LABELS))
    (project.folder / "data.npz").write_bytes(file.getvalue())
    before = snapshot(project.folder.parent)
    line = project.refused("prepare")
    assert line.endswith(f"found labels without images or x or X (arrays: {name!r}, labels)".replace("'", ""))
    assert changes_between(before, snapshot(project.folder.parent)) == []


def test_class_names_that_look_like_paths_are_only_names(project: Project) -> None:
    project.write_arrays(class_names=np.array(["../../a", "/etc/passwd", "c"]))
    before = snapshot(project.folder.parent)
    assert project.run("prepare").code == 0
    changed = changes_between(before, snapshot(project.folder.parent))
    assert changed
    assert all(name.startswith("study/data") for name in changed)


def test_no_file_of_arrays(project: Project) -> None:
    (project.folder / "data.npz").unlink()
    path = project.folder / "data.npz"
    assert project.refused("prepare") == f"data.root: no file {path}; expected an .npz file with images and labels"
    path.mkdir()
    assert_says(project.refused("prepare"), "data.npz is a folder; expected an .npz file with images and labels")


def test_a_root_with_a_null_character(project: Project) -> None:
    project.write({"data.root": "a\0b"})
    assert_says(project.refused("prepare"), r"a\x00b: cannot be read as .npz: embedded null byte")


# A folder of images

ROOT = Path("images")


def image(path: Path, size: tuple[int, int] = (SIDE, SIDE), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, 3).save(path)


def fill(root: Path = ROOT, classes: Sequence[str] = "ab", num: int = 4) -> None:
    for name in classes:
        for index in range(num):
            image(root / name / f"{index}.png")


def _bytes(path: str, change: Callable[[bytes], bytes]) -> Callable[[], None]:
    def damage() -> None:
        fill()
        file = ROOT / path
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(change(file.read_bytes() if file.exists() else b""))

    return damage


def _after(change: Callable[[], object]) -> Callable[[], None]:
    def damage() -> None:
        fill()
        change()

    return damage


def _splits(*names: str, test_classes: str = "ab") -> Callable[[], None]:
    def make() -> None:
        for name in names:
            fill(ROOT / name, "ab" if name == "train" else test_classes)

    return make


def _bomb_image(content: bytes) -> bytes:
    # A header that promises 60,000 by 60,000 pixels, and nothing behind it.
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return content[:8] + struct.pack(">I", 13) + ihdr + struct.pack(">I", zlib.crc32(ihdr)) + content[33:]


UNREADABLE = "images/a/0.png: not a readable image ("
FOLDERS: dict[str, tuple[Callable[[], object], str]] = {
    "no folder": (lambda: None, "data.root: no folder … images; expected one with a folder per class, or with train/"),
    "a file": (lambda: ROOT.write_text("x"), "data.root: no folder … images; expected one with a folder per class"),
    "nothing in it": (ROOT.mkdir, "data.root: found no class folders in … images, expected two or more"),
    "no class folders": (lambda: image(ROOT / "0.png"), "data.root: found no class folders in"),
    "one class": (lambda: fill(classes="a"), "data.root: found one class folder (a) in … expected two or more"),
    "one level too high": (lambda: fill(ROOT / "birds"), "one class folder (birds) … did you mean … images/birds?"),
    "a class of one image": (_after(lambda: image(ROOT / "c/0.png")), "data.root: … images: class 'c' has 1 sample in"),
    "a class without images": (_after(lambda: (ROOT / "c").mkdir()), "images/c has no images (files with .png"),
    "a class of text": (
        _bytes("c/a.txt", lambda _: b"x"),
        "images/c has no images (files with .png",
    ),
    "no bytes": (_bytes("a/0.png", lambda _: b""), f"{UNREADABLE}the file is empty)"),
    "cut off": (_bytes("a/0.png", lambda content: content[:50]), UNREADABLE),
    "only a header": (_bytes("a/0.png", lambda content: content[:8]), UNREADABLE),
    "bytes changed": (_bytes("a/0.png", lambda content: flipped(content, 45)), UNREADABLE),
    "a web page": (_bytes("a/0.png", lambda _: b"<html>404</html>"), f"{UNREADABLE}cannot identify image file"),
    "a pickle": (_bytes("a/0.png", lambda _: pickle.dumps(Bomb())), f"{UNREADABLE}cannot identify image file"),
    "3.6 billion pixels": (_bytes("a/0.png", _bomb_image), f"{UNREADABLE}Image size (3600000000 pixels) exceeds limit"),
    "real numbers": (_after(lambda: image(ROOT / "a/f.tiff", mode="F")), "f.tiff: not a readable image (32-bit pixels"),
    "32-bit channels": (_after(lambda: image(ROOT / "a/i.tiff", mode="I")), "i.tiff: not a readable image (32-bit"),
    "mixed sizes": (
        _after(lambda: image(ROOT / "b/9.png", (5, 4))),
        "images/b/9.png is 5x4 pixels and … images/a/0.png is 4x4; set data.image_size to resize all to one size",
    ),
    "a test split alone": (_splits("test"), "data.root: … images has test with class folders in it, but no train"),
    "two test splits": (_splits("train", "test", "testing"), "images has both test and testing; expected one"),
    "other classes to test": (
        _splits("train", "test", test_classes="ac"),
        "data.root: class 'c' is in … images/test and not in … images/train, expected every class in the training data",
    ),
    "two spellings of a name": (
        _after(lambda: fill(ROOT, ["\u00e9", "e\u0301"])),
        "have the same name in Unicode",
    ),
    "a name of two lines": (_after((ROOT / "c\nd").mkdir), r"found the class name 'c\nd', expected"),
    "a command for a terminal": (_after((ROOT / "c\x1b[2J").mkdir), r"found the class name 'c\x1b[2J', expected"),
    "a link to nothing": (_after(lambda: (ROOT / "a/l.png").symlink_to("/nowhere/x.png")), "data.root: cannot be read"),
    "a link to itself": (_after(lambda: (ROOT / "a/l.png").symlink_to("l.png")), "Too many levels of symbolic links"),
    "a link to a device": (_after(lambda: (ROOT / "a/l.png").symlink_to("/dev/zero")), "a/l.png: not a readable image"),
    "a link to a secret": (
        _after(lambda: (ROOT / "a/l.png").symlink_to("/etc/passwd")),
        "a/l.png: not a readable image (cannot identify image file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_images(project: Project, name: str) -> None:
    make, message = FOLDERS[name]
    project.write({"data.name": "imagefolder", "data.root": str(ROOT)})
    make()
    line = project.refused("prepare")
    assert str(project.folder) in line
    assert "root:x" not in line
    assert_says(line, message)


def test_a_link_out_of_the_folder_is_read_and_never_written(project: Project) -> None:
    # DVC's cache and lists of links put whole data sets behind links, so they are followed; what is no image is told.
    project.write({"data.name": "imagefolder", "data.root": str(ROOT)})
    outside = project.folder.parent / "outside"
    fill(outside, "c")
    fill()
    (ROOT / "c").symlink_to(outside / "c")
    (ROOT / "a/up").symlink_to("../..")
    before = snapshot(outside)
    ended = project.run("prepare")
    assert ended.code == 0
    assert "3 classes" in ended.out
    assert changes_between(before, snapshot(outside)) == []


# torchvision's files

MNIST = Path("raw/MNIST/raw")
IMAGE_FILE, LABEL_FILE = MNIST / "train-images-idx3-ubyte", MNIST / "train-labels-idx1-ubyte"


def idx(array: np.ndarray[Any, Any], shape: tuple[int, ...] | None = None) -> bytes:
    shape = shape or array.shape
    return struct.pack(f">I{len(shape)}I", 0x800 + len(shape), *shape) + array.astype(np.uint8).tobytes()


def write_mnist() -> None:
    MNIST.mkdir(parents=True)
    for split, num in (("train", 60), ("t10k", 20)):
        (MNIST / f"{split}-images-idx3-ubyte").write_bytes(idx(np.zeros((num, 28, 28))))
        (MNIST / f"{split}-labels-idx1-ubyte").write_bytes(idx(np.arange(num) % 10))


INCOMPLETE = "data.root: no complete MNIST in … expected MNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte"
IDX: dict[str, tuple[Path, bytes | None, str]] = {
    "no labels": (LABEL_FILE, None, f"{INCOMPLETE} … set data.download to true, or copy the files there"),
    "nothing": (IMAGE_FILE, b"", INCOMPLETE),
    "cut off": (IMAGE_FILE, idx(np.zeros((60, 28, 28)))[:500], INCOMPLETE),
    "another magic number": (IMAGE_FILE, b"\0\0\x42\3" + idx(np.zeros((60, 28, 28)))[4:], INCOMPLETE),
    "a size that isn't there": (IMAGE_FILE, idx(np.zeros((60, 28, 28)), (60, 28, 2**31 - 1)), INCOMPLETE),
    "a pickle": (IMAGE_FILE, pickle.dumps(Bomb()), INCOMPLETE),
    "images as labels": (LABEL_FILE, idx(np.zeros((60, 28, 28))), INCOMPLETE),
    "fewer labels": (LABEL_FILE, idx(np.arange(40) % 10), "MNIST … has 60 images and 40 labels, expected equal"),
    "one class": (LABEL_FILE, idx(np.zeros(60)), "data.root: … class '1 - one' has 0 samples … (and 8 more"),
    "labels out of range": (LABEL_FILE, idx(np.arange(60) % 11), "data.root: … found the label 10, expected 0 to 9"),
}  # fmt: skip


@pytest.mark.parametrize("name", IDX)
def test_idx_files(project: Project, name: str) -> None:
    path, content, message = IDX[name]
    project.write({"data.name": "MNIST", "data.root": "raw"})
    write_mnist()
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert_says(project.refused("prepare"), message)
    assert not Path(MARK).exists()


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("CIFAR10", [*(f"cifar-10-batches-py/data_batch_{n}" for n in range(1, 6)), "cifar-10-batches-py/test_batch"]),
        ("CIFAR100", ["cifar-100-python/train", "cifar-100-python/test", "cifar-100-python/meta"]),
        ("ImageNet", ["meta.bin", "train/n1/x.JPEG", "val/n1/x.JPEG"]),
    ],
)  # fmt: skip
def test_data_sets_that_come_as_pickles_are_not_unpickled_unless_they_are_the_published_ones(
    project: Project, name: str, files: list[str]
) -> None:
    project.write({"data.name": name, "data.root": "raw"})
    for file in files:
        path = Path("raw", file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(Bomb()))
    line = project.refused("prepare")
    assert_says(line, f"data.root: no complete {name} in")
    assert len(line) < 600
    assert not Path(MARK).exists()


# Prepared data, changed by hand behind DVC's back

DEVELOPMENT, TEST = Path("data/prepared/development"), Path("data/prepared/test")
MANIFEST = Path("data/prepared/manifest.json")


def _resaved(path: Path, change: Callable[[Any], Any]) -> Callable[[], None]:
    return lambda: np.save(path, change(np.load(path)))


def _other(array: Any) -> Any:
    array[0] = 255 - array[0]
    return array


PREPARED: dict[str, tuple[str, Callable[[], object], str]] = {
    "a pixel": ("tune", _resaved(DEVELOPMENT / "train_images.npy", _other), "development: contents have digest"),
    "two labels": (
        "confirm",
        _resaved(DEVELOPMENT / "train_labels.npy", lambda labels: labels[::-1].copy()),
        "development: contents have digest … the manifest says … `losstune prepare` writes them anew",
    ),
    "a label out of range": (
        "confirm",
        _resaved(DEVELOPMENT / "train_labels.npy", lambda labels: np.r_[99, labels[1:]]),
        "train_labels.npy: the labels do not match the counts in the manifest",
    ),
    "fewer images": (
        "confirm",
        _resaved(DEVELOPMENT / "train_images.npy", lambda images: images[:-1]),
        "train_images.npy: found uint8 of shape … the manifest says uint8 of shape",
    ),
    "another type": (
        "confirm",
        _resaved(DEVELOPMENT / "train_images.npy", lambda images: images.astype(np.float64)),
        "train_images.npy: found float64 of shape",
    ),
    "a pickle": (
        "confirm",
        lambda: np.save(DEVELOPMENT / "train_labels.npy", BOMBS, allow_pickle=True),
        "train_labels.npy: damaged (",
    ),
    "a file cut off": (
        "confirm",
        lambda: os.truncate(DEVELOPMENT / "validation_images.npy", 200),
        "validation_images.npy: damaged (",
    ),
    "a file removed": (
        "confirm",
        (DEVELOPMENT / "validation_labels.npy").unlink,
        "validation_labels.npy: no such file; `losstune prepare` writes it",
    ),
    "no manifest": ("confirm", MANIFEST.unlink, "manifest.json: no such file; `losstune prepare` writes it"),
    "a manifest cut off": ("confirm", lambda: os.truncate(MANIFEST, 30), "manifest.json: damaged ("),
    "another manifest": (
        "confirm",
        lambda: MANIFEST.write_text(MANIFEST.read_text().replace('"name": "npz"', '"name": "digits"')),
        "data/prepared: was prepared with data.name 'digits', but params.yaml has 'npz'; `dvc repro` or",
    ),
    "the test split": ("confirm", _resaved(TEST / "images.npy", _other), "test: contents have digest"),
    "the test labels": (
        "confirm",
        _resaved(TEST / "labels.npy", lambda labels: labels[::-1].copy()),
        "test: contents have digest",
    ),
    "no test split": ("confirm", lambda: shutil.rmtree(TEST), "images.npy: no such file; `losstune prepare`"),
}


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A place to keep a study that was trained, so that only the first test trains it."""
    return {"folder": tmp_path_factory.mktemp("confirmed") / "study"}


def train_or_copy(project: Project, confirmed: dict[str, Path]) -> None:
    if confirmed["folder"].exists():
        shutil.copytree(confirmed["folder"], project.folder, dirs_exist_ok=True)
    else:
        for stage in ("prepare", "tune", "confirm"):
            assert project.run(stage).code == 0
        shutil.copytree(project.folder, confirmed["folder"])


@pytest.mark.parametrize("name", PREPARED)
def test_prepared_data_that_was_changed(project: Project, confirmed: dict[str, Path], name: str) -> None:
    stage, damage, message = PREPARED[name]
    train_or_copy(project, confirmed)
    shutil.rmtree(".losstune/ledger")  # or nothing would be trained, and no data read
    damage()
    assert_says(project.refused(stage, under_way=True), message)
    assert not Path(MARK).exists()


def test_prepared_data_that_was_changed_is_told_before_progress(project: Project, confirmed: dict[str, Path]) -> None:
    train_or_copy(project, confirmed)
    shutil.rmtree(".losstune/ledger")
    os.truncate(DEVELOPMENT / "train_images.npy", 200)
    project.refused("tune")


TRIALS, BLOCKS = Path("results/tune/trials.jsonl"), Path("results/confirm/blocks.jsonl")
RECORDS: dict[str, tuple[Path, Callable[[str], str], str]] = {
    "trials cut off": (TRIALS, lambda text: text[: len(text) // 3], "trials.jsonl: line … is damaged ("),
    "blocks cut off": (BLOCKS, lambda text: text[: len(text) // 2], "blocks.jsonl: line … is damaged ("),
    "another key": (TRIALS, lambda text: text.replace('"search"', '"sreach"', 1), "line 1 is damaged ("),
    "no trials": (TRIALS, lambda _: "", "search 0 of cross_entropy has 0 trials, expected 1"),
    "no blocks": (BLOCKS, lambda _: "", "cross_entropy has no test scores for block 0.0"),
    "not JSON": (BLOCKS, lambda _: "<html>\n", "blocks.jsonl: line 1 is damaged ("),
}


@pytest.mark.parametrize("name", RECORDS)
def test_records_that_were_changed(project: Project, confirmed: dict[str, Path], name: str) -> None:
    path, change, message = RECORDS[name]
    train_or_copy(project, confirmed)
    path.write_text(change(path.read_text()))
    assert_says(project.refused("report"), message)
