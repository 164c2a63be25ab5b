"""Miniature data sets in the very formats that torchvision reads, through torchvision's own loaders."""

import bz2
import hashlib
import inspect
import pickle

import numpy as np
import pytest
import scipy.io
import torchvision.datasets
from PIL import Image

from losstune.core.errors import LosstuneError
from losstune.data import sources, torchvision_datasets

GENERATOR = np.random.default_rng(0)


def load(name, root, image_size=None, **arguments):
    return torchvision_datasets.load(name, root, download=False, image_size=image_size, **arguments)


def random_bytes(*shape):
    return GENERATOR.integers(0, 256, shape, dtype=np.uint8)


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_idx(path, array, type_code=8):
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(bytes([0, 0, type_code, array.ndim]) + sizes + array.tobytes())


def write_mnist(folder, num_classes=10, train="train", test="t10k", size=28):
    splits = {}
    for prefix, number in ((train, 3 * num_classes), (test, num_classes)):
        images, labels = random_bytes(number, size, size), np.arange(number, dtype=np.uint8) % num_classes
        write_idx(folder / f"{prefix}-images-idx3-ubyte", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", labels)
        splits[prefix] = images, labels
    return splits[train], splits[test]


def assert_matches(raw, train, test):
    assert np.array_equal(raw.images, train[0])
    assert np.array_equal(raw.labels, train[1])
    for images, labels in ((raw.images, raw.labels), (raw.test_images, raw.test_labels)):
        if images is not None:
            assert images.dtype == np.uint8
            assert images.flags.c_contiguous
            assert labels.dtype == np.int64
    if test is None:
        assert raw.test_images is None
        assert raw.test_labels is None
    else:
        assert np.array_equal(raw.test_images, test[0])
        assert np.array_equal(raw.test_labels, test[1])


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_idx_files(tmp_path, name):
    train, test = write_mnist(tmp_path / name / "raw")
    raw = load(name, tmp_path)
    assert_matches(raw, (train[0][:, None], train[1]), (test[0][:, None], test[1]))
    assert raw.class_names == tuple(getattr(torchvision.datasets, name).classes)


def test_emnist_is_its_balanced_split(tmp_path):
    folder = tmp_path / "EMNIST/raw"
    train, test = write_mnist(folder, 47, "emnist-balanced-train", "emnist-balanced-test")
    raw = load("EMNIST", tmp_path)
    assert_matches(raw, (train[0][:, None], train[1]), (test[0][:, None], test[1]))
    assert raw.class_names[:11] == (*"0123456789", "A")
    assert len(raw.class_names) == 47


def test_qmnist_labels_are_the_first_of_its_particulars(tmp_path):
    expected = []
    for split, number in (("train", 30), ("test", 20)):
        images = random_bytes(number, 28, 28)
        particulars = GENERATOR.integers(0, 99, (number, 8)).astype(">i4")
        particulars[:, 0] = np.arange(number) % 10
        write_idx(tmp_path / f"QMNIST/raw/qmnist-{split}-images-idx3-ubyte", images)
        write_idx(tmp_path / f"QMNIST/raw/qmnist-{split}-labels-idx2-int", particulars, type_code=12)
        expected.append((images[:, None], np.arange(number) % 10))
    assert_matches(load("QMNIST", tmp_path), *expected)


def write_cifar(root, monkeypatch, name):
    """Fabricate the pickles and tell torchvision their true checksums, which it then checks as ever."""
    cls = getattr(torchvision.datasets, name)
    folder = root / cls.base_folder
    folder.mkdir()
    label_key = "fine_labels" if name == "CIFAR100" else "labels"
    num_classes = 100 if name == "CIFAR100" else 10
    splits = []
    for attribute in ("train_list", "test_list"):
        files, images, labels = [], [], []
        for file, _ in getattr(cls, attribute):
            rows = random_bytes(num_classes, 3072)
            (folder / file).write_bytes(pickle.dumps({"data": rows, label_key: list(range(num_classes))}))
            files.append([file, md5(folder / file)])
            images.append(rows.reshape(-1, 3, 32, 32))
            labels.extend(range(num_classes))
        monkeypatch.setattr(cls, attribute, files)
        splits.append((np.concatenate(images), np.array(labels)))
    names = [f"class {index}" for index in range(num_classes)]
    meta = folder / cls.meta["filename"]
    meta.write_bytes(pickle.dumps({cls.meta["key"]: names}))
    monkeypatch.setattr(cls, "meta", cls.meta | {"md5": md5(meta)})
    return splits, tuple(names)


@pytest.mark.parametrize("name", ["CIFAR10", "CIFAR100"])
def test_cifar_pickles(tmp_path, monkeypatch, name):
    splits, names = write_cifar(tmp_path, monkeypatch, name)
    raw = load(name, tmp_path)
    assert_matches(raw, *splits)
    assert raw.class_names == names


def test_a_damaged_cifar_is_refused_before_it_is_unpickled(tmp_path, monkeypatch):
    write_cifar(tmp_path, monkeypatch, "CIFAR10")
    with (tmp_path / "cifar-10-batches-py/test_batch").open("ab") as file:
        file.write(b"x")
    with pytest.raises(LosstuneError, match=r"no complete CIFAR10 in .*corrupted"):
        load("CIFAR10", tmp_path)


def test_svhn_mat_files_with_ten_for_zero(tmp_path, monkeypatch):
    expected, files = [], dict(torchvision.datasets.SVHN.split_list)
    for split, number in (("train", 30), ("test", 20)):
        images, labels = random_bytes(number, 3, 32, 32), np.arange(number) % 10
        path = tmp_path / f"{split}_32x32.mat"
        stored = np.where(labels == 0, 10, labels)[:, None].astype(np.uint8)
        scipy.io.savemat(path, {"X": images.transpose(2, 3, 1, 0), "y": stored})
        files[split] = [files[split][0], path.name, md5(path)]
        expected.append((images, labels))
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", files)
    raw = load("SVHN", tmp_path)
    assert_matches(raw, *expected)
    assert raw.class_names == tuple("0123456789")


def test_stl10_columns_first(tmp_path, monkeypatch):
    cls = torchvision.datasets.STL10
    folder = tmp_path / cls.base_folder
    folder.mkdir()
    (folder / "class_names.txt").write_text("\n".join(f"class {index}" for index in range(10)))
    expected = []
    for split, number in (("train", 20), ("test", 10)):
        images, labels = random_bytes(number, 3, 96, 96), np.arange(number) % 10
        (folder / f"{split}_X.bin").write_bytes(images.transpose(0, 1, 3, 2).tobytes())
        (folder / f"{split}_y.bin").write_bytes((labels + 1).astype(np.uint8).tobytes())
        expected.append((images, labels))
    (folder / "unlabeled_X.bin").write_bytes(random_bytes(1, 3, 96, 96).tobytes())
    for attribute in ("train_list", "test_list"):
        files = [[file, md5(folder / file)] for file, _ in getattr(cls, attribute)]
        monkeypatch.setattr(cls, attribute, files)
    raw = load("STL10", tmp_path)
    assert_matches(raw, *expected)
    assert raw.class_names[0] == "class 0"


def test_usps_text(tmp_path):
    expected = []
    for file, number in (("usps.bz2", 20), ("usps.t.bz2", 10)):
        pixels, labels = GENERATOR.choice([-1.0, 0.0, 1.0], (number, 256)), np.arange(number) % 10
        lines = [
            f"{label + 1} " + " ".join(f"{index}:{value:g}" for index, value in enumerate(row, 1))
            for row, label in zip(pixels, labels, strict=True)
        ]
        (tmp_path / file).write_bytes(bz2.compress("\n".join(lines).encode()))
        expected.append((((pixels + 1) / 2 * 255).astype(np.uint8).reshape(-1, 1, 16, 16), labels))
    assert_matches(load("USPS", tmp_path), *expected)


def test_semeion_brings_no_test_split(tmp_path, monkeypatch):
    pixels, labels = GENERATOR.integers(0, 2, (20, 256)), np.arange(20) % 10
    path = tmp_path / "semeion.data"
    np.savetxt(path, np.hstack([pixels, np.eye(10)[labels]]), fmt="%.4f")
    monkeypatch.setattr(torchvision.datasets.SEMEION, "md5_checksum", md5(path))
    assert_matches(load("SEMEION", tmp_path), ((pixels * 255).reshape(-1, 1, 16, 16), labels), None)


def save_image(path, value, size=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 2, 3)).save(path)


def values(images):
    return images[:, 0, 0, 0].tolist()


def test_eurosat_folders(tmp_path):
    for label, name in enumerate(("AnnualCrop", "Forest")):
        for index in range(3):
            save_image(tmp_path / f"eurosat/2750/{name}/{name}_{index}.png", 10 * label + index)
    raw = load("EuroSAT", tmp_path)
    assert values(raw.images) == [0, 1, 2, 10, 11, 12]
    assert raw.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert raw.class_names == ("AnnualCrop", "Forest")
    assert raw.test_images is None


def test_gtsrb_of_many_sizes_is_resized_and_named_by_number(tmp_path):
    for label in range(2):
        for index in range(3):
            path = tmp_path / f"gtsrb/GTSRB/Training/0000{label}/{index}.ppm"
            save_image(path, 10 * label + index, size=(9 + index, 8))
    for index in range(2):
        save_image(tmp_path / f"gtsrb/GTSRB/Final_Test/Images/{index}.ppm", 100 + index)
    (tmp_path / "gtsrb/GT-final_test.csv").write_text("Filename;ClassId\n0.ppm;1\n1.ppm;0\n")
    reports = []
    raw = load("GTSRB", tmp_path, image_size=6, progress=lambda *report: reports.append(report))
    assert raw.images.shape == (6, 3, 6, 6)
    assert values(raw.images) == [0, 1, 2, 10, 11, 12]
    assert raw.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert values(raw.test_images) == [100, 101]
    assert raw.test_labels.tolist() == [1, 0]
    assert raw.class_names == ("0", "1")
    assert reports[-1] == (8, 8)
    with pytest.raises(LosstuneError, match=r"GTSRB: image 1 is 10x8 .* GTSRB: image 0 is 9x8;.*image_size"):
        load("GTSRB", tmp_path)


def test_a_validation_split_joins_the_training_data(tmp_path):
    for offset, split in enumerate(("train", "valid", "test")):
        for label, name in enumerate(("AD", "AE")):
            save_image(tmp_path / f"country211/{split}/{name}/0.png", 100 * offset + label)
    raw = load("Country211", tmp_path)
    assert values(raw.images) == [0, 1, 100, 101]
    assert raw.labels.tolist() == [0, 1, 0, 1]
    assert values(raw.test_images) == [200, 201]
    assert raw.validation is None
    raw = load("Country211", tmp_path, own_validation=True)
    assert values(raw.images) == [0, 1, 100, 101]
    assert raw.validation.tolist() == [2, 3]


def test_bad_images_are_left_out_by_choice(tmp_path):
    for offset, split in enumerate(("train", "valid", "test")):
        for label, name in enumerate(("AD", "AE")):
            for index in range(2):
                save_image(tmp_path / f"country211/{split}/{name}/{index}.png", 100 * offset + 10 * label + index)
    (tmp_path / "country211/train/AE/0.png").write_bytes(b"broken")
    (tmp_path / "country211/test/AD/1.png").write_bytes(b"broken")
    with pytest.raises(LosstuneError, match="Country211: image 2: not a readable image"):
        load("Country211", tmp_path)
    raw = load("Country211", tmp_path, own_validation=True, skip_bad=True)
    assert values(raw.images) == [0, 1, 11, 100, 101, 110, 111]
    assert raw.labels.tolist() == [0, 0, 1, 0, 0, 1, 1]
    assert raw.validation.tolist() == [3, 4, 5, 6]
    assert values(raw.test_images) == [200, 210, 211]
    assert raw.test_labels.tolist() == [0, 1, 1]
    assert raw.skipped == ("Country211: image 2", "Country211: image 1")


def test_a_validation_split_is_the_test_split_where_that_has_no_labels(tmp_path):
    wnids = sorted(torchvision.datasets.Imagenette._WNID_TO_CLASS)[:2]
    for offset, split in enumerate(("train", "val")):
        for label, wnid in enumerate(wnids):
            path = tmp_path / f"imagenette2/{split}/{wnid}/0.JPEG"
            path.parent.mkdir(parents=True)
            Image.new("RGB", (8, 8), (100 * offset + 50 * label,) * 3).save(path, "JPEG", quality=100)
            path.rename(path.with_suffix(".jpeg"))
    raw = load("Imagenette", tmp_path)
    assert values(raw.images) == [0, 50]
    assert values(raw.test_images) == [100, 150]
    assert raw.class_names == tuple(torchvision.datasets.Imagenette._WNID_TO_CLASS[w][0] for w in wnids)


def test_labels_that_start_elsewhere_keep_their_number_as_their_name(tmp_path):
    for split, counts in (("train", [3, 5, 3, 7]), ("val", [7, 3, 5])):
        folder = tmp_path / "clevr/CLEVR_v1.0"
        scenes = []
        for index, count in enumerate(counts):
            save_image(folder / f"images/{split}/{index}.png", 10 * count)
            scenes.append({"image_filename": f"{index}.png", "objects": [{}] * count})
        (folder / "scenes").mkdir(exist_ok=True)
        (folder / f"scenes/CLEVR_{split}_scenes.json").write_text(str({"scenes": scenes}).replace("'", '"'))
    raw = load("CLEVRClassification", tmp_path)
    assert raw.class_names == ("3", "5", "7")
    assert raw.labels.tolist() == [0, 1, 0, 2]
    assert raw.test_labels.tolist() == [2, 0, 1]
    assert values(raw.images) == [30, 50, 30, 70]


def test_image_size_resizes_what_is_in_memory_too(tmp_path):
    write_mnist(tmp_path / "MNIST/raw")
    plain = load("MNIST", tmp_path)
    raw = load("MNIST", tmp_path, image_size=32)
    assert raw.images.shape == (30, 1, 32, 32)
    assert raw.test_images.shape == (10, 1, 32, 32)
    assert np.array_equal(raw.labels, plain.labels)
    first = Image.fromarray(plain.images[0, 0]).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.array_equal(raw.images[0, 0], np.asarray(first))
    assert np.array_equal(load("MNIST", tmp_path, image_size=28).images, plain.images)


@pytest.mark.parametrize("name", sorted(torchvision_datasets.SOURCES))
def test_every_source_is_a_torchvision_class_and_says_what_it_misses(name, tmp_path):
    source = torchvision_datasets.SOURCES[name]
    with pytest.raises(LosstuneError) as caught:
        load(name, tmp_path)
    message = str(caught.value)
    for text in (name, str(tmp_path), source.wanted):
        assert text in message
    assert "\n" not in message
    # A misspelt argument or split would end up in the very same message.
    for word in ("unexpected keyword", "missing 1 required", "Unknown value", "invalid"):
        assert word not in message


def test_the_remedy_is_one_that_works(tmp_path, monkeypatch):
    def offline(*_args, **_kwargs):
        raise OSError("network is unreachable")

    with pytest.raises(LosstuneError, match=r"set data\.download to true, or copy the files there"):
        load("MNIST", tmp_path)
    with pytest.raises(LosstuneError, match="torchvision can't download it: copy the files there"):
        load("FER2013", tmp_path)
    monkeypatch.setattr("torchvision.datasets.svhn.download_url", offline)
    with pytest.raises(LosstuneError, match=r"the download failed \(network is unreachable\)"):
        torchvision_datasets.load("SVHN", tmp_path, download=True, image_size=None)


def test_nothing_is_downloaded_unasked(tmp_path, monkeypatch):
    def fail(*_args, **_kwargs):
        raise AssertionError("downloaded")

    monkeypatch.setattr("urllib.request.urlopen", fail)
    for name in torchvision_datasets.SOURCES:
        with pytest.raises(LosstuneError) as caught:
            load(name, tmp_path)
        assert "downloaded)" not in str(caught.value)


def test_no_classification_data_set_of_torchvision_is_left_out():
    # No classes: detection, segmentation, flow, stereo, captions, video, pairs, attributes, bases, and noise.
    others = """
        CarlaStereo CelebA Cityscapes CocoCaptions CocoDetection CREStereo DatasetFolder ETH3DStereo FakeData
        FallingThingsStereo Flickr30k Flickr8k FlyingChairs FlyingThings3D HD1K HMDB51 ImageFolder InStereo2k
        Kinetics Kitti Kitti2012Stereo Kitti2015Stereo KittiFlow LFWPairs LSUN LSUNClass Middlebury2014Stereo
        MovingMNIST PhotoTour SBDataset SBU SceneFlowStereo Sintel SintelStereo UCF101 VisionDataset
        VOCDetection VOCSegmentation WIDERFace
    """
    classes = {name for name in torchvision.datasets.__all__ if inspect.isclass(getattr(torchvision.datasets, name))}
    assert classes - set(others.split()) == set(torchvision_datasets.SOURCES)


def test_the_names_are_those_that_params_allow():
    assert set(torchvision_datasets.SOURCES) <= set(sources.NAMES)
