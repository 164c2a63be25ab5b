"""Every classification data set of torchvision that has integer labels, by its class name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from losstune.core.errors import LosstuneError, in_one_line
from losstune.data.decoded import Decode, decoded
from losstune.data.decoding import decode
from losstune.data.raw import Array, Labels, RawData, ReportProgress

Arguments = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """The files and constructor arguments of a torchvision data set.

    Attributes:
        wanted: The files that it reads below the root.
        train: Constructor arguments of each part of the training data; the parts are concatenated.
        test: Constructor arguments of the test split; None if it has none.
    """

    wanted: str
    train: tuple[Arguments, ...] = field(default=({"train": True},))
    test: Arguments | None = field(default_factory=lambda: {"train": False})


def _by_split(wanted: str, *train: str, test: str = "test") -> Source:
    return Source(wanted, tuple({"split": name} for name in train), {"split": test})


def _unsplit(wanted: str) -> Source:
    return Source(wanted, ({},), None)


def _idx(folder: str) -> Source:
    return Source(f"{folder}/raw/{{train,t10k}}-{{images-idx3,labels-idx1}}-ubyte, not compressed")


# A second part of the training data is the validation split: it joins the training data, of which
# data.validation_fraction is held out, or is used as such with data.own_validation. If the test labels are not public,
# the validation split serves as the test split.
SOURCES: dict[str, Source] = {
    "CIFAR10": Source("cifar-10-batches-py/{data_batch_1..5,test_batch,batches.meta}"),
    "CIFAR100": Source("cifar-100-python/{train,test,meta}"),
    "CLEVRClassification": _by_split("clevr/CLEVR_v1.0/{images,scenes}", "train", test="val"),
    "Caltech101": _unsplit("caltech101/101_ObjectCategories"),
    "Caltech256": _unsplit("caltech256/256_ObjectCategories"),
    "Country211": _by_split("country211/{train,valid,test}", "train", "valid"),
    "DTD": _by_split("dtd/dtd/{images,labels}", "train", "val"),
    "EMNIST": Source(
        "EMNIST/raw/emnist-balanced-{train,test}-{images-idx3,labels-idx1}-ubyte, not compressed",
        ({"split": "balanced", "train": True},),
        {"split": "balanced", "train": False},
    ),
    "EuroSAT": _unsplit("eurosat/2750"),
    "FER2013": _by_split("fer2013/fer2013.csv or fer2013/icml_face_data.csv", "train"),
    "FGVCAircraft": _by_split("fgvc-aircraft-2013b/data", "trainval"),
    "FashionMNIST": _idx("FashionMNIST"),
    "Flowers102": _by_split("flowers-102/{jpg,imagelabels.mat,setid.mat}", "train", "val"),
    "Food101": _by_split("food-101/{images,meta}", "train"),
    "GTSRB": _by_split("gtsrb/{GTSRB/Training,GTSRB/Final_Test/Images,GT-final_test.csv}", "train"),
    "INaturalist": Source("2021_train and 2021_valid", ({"version": "2021_train"},), {"version": "2021_valid"}),
    "ImageNet": _by_split("train, val and meta.bin, or the archives ILSVRC2012_*.tar", "train", test="val"),
    "Imagenette": _by_split("imagenette2/{train,val}", "train", test="val"),
    "KMNIST": _idx("KMNIST"),
    "LFWPeople": _by_split("lfw-py/{lfw_funneled,lfw-names.txt,peopleDevTrain.txt,peopleDevTest.txt}", "train"),
    "MNIST": _idx("MNIST"),
    "Omniglot": Source("omniglot-py/images_background", ({"background": True},), None),
    "OxfordIIITPet": _by_split("oxford-iiit-pet/{images,annotations}", "trainval"),
    "PCAM": _by_split("pcam/camelyonpatch_level_2_split_{train,valid,test}_{x,y}.h5", "train", "val"),
    "Places365": _by_split("the train-standard and val images and file lists", "train-standard", test="val"),
    "QMNIST": Source("QMNIST/raw/qmnist-{train,test}-{images-idx3-ubyte,labels-idx2-int}, not compressed"),
    "RenderedSST2": _by_split("rendered-sst2/{train,valid,test}", "train", "val"),
    "SEMEION": _unsplit("semeion.data"),
    "STL10": _by_split("stl10_binary/{train_X,train_y,test_X,test_y,unlabeled_X}.bin", "train"),
    "SUN397": _unsplit("SUN397"),
    "SVHN": _by_split("{train,test}_32x32.mat", "train"),
    "StanfordCars": _by_split("stanford_cars/{devkit,cars_train,cars_test,cars_test_annos_withlabels.mat}", "train"),
    "USPS": Source("usps.bz2 and usps.t.bz2"),
}


WITH_VALIDATION = tuple(name for name, source in SOURCES.items() if len(source.train) == 2)
"""Data sets with a validation split beside their training and test splits."""


def load(
    name: str,
    root: Path,
    *,
    download: bool,
    image_size: int | None,
    progress: ReportProgress | None = None,
    own_validation: bool = False,
    skip_bad: bool = False,
) -> RawData:
    """Read the data set `name` from `root`, in torchvision's layout.

    Arrays that torchvision keeps in memory are used directly, unless `image_size` requires another size. Otherwise
    the images are opened one by one.

    Args:
        name: One of :data:`SOURCES`.
        root: torchvision's ``root``.
        download: Whether torchvision may download missing files into `root`.
        image_size: Side in pixels to which every image is resized; None keeps the size, which must then be the same
            for all.
        progress: Called with the number of decoded images.
        own_validation: Whether the data set's validation split is used as such; else it joins the training data.
        skip_bad: Whether images that cannot be read are left out; else one is an error.

    Raises:
        LosstuneError: If the data is missing and is not downloaded; the message names the root and the expected
            files. Also if an image cannot be decoded, or sizes differ.
    """
    source = SOURCES[name]
    root = root.absolute()
    variants = [*source.train, *([source.test] if source.test is not None else [])]
    parts = [_construct(name, arguments, source, root, download=download) for arguments in variants]
    number_of_part = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    skipped: tuple[str, ...] = ()
    arrays = [_arrays(part, image_size) for part in parts]
    for pair in arrays:
        if pair is not None and len(pair[0]) != len(pair[1]):
            raise LosstuneError(
                f"data.root: {name} in {root} has {len(pair[0])} images and {len(pair[1])} labels, "
                "expected equal numbers"
            )
    in_memory = [pair for pair in arrays if pair is not None]
    if len(in_memory) == len(parts):
        images = [pair[0] for pair in in_memory]
        labels = [pair[1] for pair in in_memory]
    else:
        decode_items, all_labels, name_of = _items(name, parts, image_size, progress)
        all_images, missing = decoded(decode_items, len(all_labels), None, skip_bad=skip_bad)
        if len(missing):
            skipped = tuple(name_of(index) for index in missing.tolist())
            all_labels, number_of_part = np.delete(all_labels, missing), np.delete(number_of_part, missing)
        borders = np.searchsorted(number_of_part, np.arange(1, len(parts)))
        images, labels = np.split(all_images, borders), np.split(all_labels, borders)

    has_test = source.test is not None and bool((labels[-1] >= 0).all())
    num_train = len(source.train)
    labels, class_names = _name_classes(parts[0], labels[: num_train + has_test])
    validation = None
    if own_validation:
        validation = np.arange(len(labels[0]), sum(map(len, labels[:num_train])), dtype=np.int64)
    return RawData(
        images=_join(images[:num_train]),
        labels=_join(labels[:num_train]),
        class_names=class_names,
        validation=validation,
        skipped=skipped,
        test_images=images[-1] if has_test else None,
        test_labels=labels[-1] if has_test else None,
    )


def _construct(name: str, arguments: Arguments, source: Source, root: Path, *, download: bool) -> Any:
    # Imported here because it takes seconds and the other sources do not need it.
    import torchvision.datasets

    cls = getattr(torchvision.datasets, name, None)
    if cls is None:
        raise LosstuneError(f"data.name: this version of torchvision has no {name}; a newer one may")
    takes_download = any("download" in inspect.signature(base.__init__).parameters for base in cls.__mro__[:-1])
    try:
        return cls(str(root), **arguments, **({"download": download} if takes_download else {}))
    except Exception as error:  # data sets raise errors of different types for missing files
        reason = in_one_line(error, most=200)
        advice = (
            "the download failed"
            if download and takes_download
            else "set data.download to true, or copy the files there"
            if takes_download
            else "torchvision can't download it: copy the files there"
        )
        raise LosstuneError(
            f"data.root: no complete {name} in {root}; expected {source.wanted}; {advice} ({reason})"
        ) from None


def _arrays(part: Any, image_size: int | None) -> tuple[Array, Labels] | None:
    data, labels = getattr(part, "data", None), getattr(part, "targets", getattr(part, "labels", None))
    if data is None or labels is None or isinstance(data, list):
        return None
    images = np.asarray(data)
    if images.dtype != np.uint8 or images.ndim not in {3, 4}:
        return None
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[-1] in {1, 3}:
        images = images.transpose(0, 3, 1, 2)
    if image_size is not None and images.shape[2:] != (image_size, image_size):
        return None
    targets = np.asarray(labels).astype(np.int64)
    # QMNIST: each label is a row whose first entry is the class.
    return np.ascontiguousarray(images), targets if targets.ndim == 1 else np.ascontiguousarray(targets[:, 0])


def _items(
    name: str, parts: Sequence[Any], image_size: int | None, progress: ReportProgress | None
) -> tuple[Decode, Labels, Callable[[int], str]]:
    """Return what decodes the images of all parts, their labels (filled while decoding), and their names."""
    items = [(part, index) for part in parts for index in range(len(part))]
    labels = np.full(len(items), -1, dtype=np.int64)

    def open_image(index: int) -> Image.Image:
        part, index_in_part = items[index]
        image, label = part[index_in_part]
        if label is not None:
            labels[index] = label
        assert isinstance(image, Image.Image)
        return image

    def name_of(index: int) -> str:
        return f"{name}: image {items[index][1]}"

    decode_items: Decode = partial(decode, len(items), open_image, name_of, image_size=image_size, progress=progress)
    return decode_items, labels, name_of


def _name_classes(part: Any, labels: Sequence[Labels]) -> tuple[list[Labels], tuple[str, ...]]:
    present = np.unique(np.concatenate(labels))
    names = getattr(part, "classes", getattr(part, "categories", getattr(part, "all_categories", None)))
    if names is not None and hasattr(part, "data") and present[-1] >= len(names):
        raise LosstuneError(
            f"data.root: {part.root}: found the label {present[-1]}, expected 0 to {len(names) - 1}, the classes of "
            f"{type(part).__name__}; the files may be damaged"
        )
    if names is not None and len(names) == present[-1] + 1:
        # ImageNet and Imagenette give several synonyms each.
        return list(labels), tuple(name if isinstance(name, str) else name[0] for name in names)
    # If labels don't start at 0, such as CLEVR's 3 to 10 objects, the class name is the original number.
    return [np.searchsorted(present, part) for part in labels], tuple(str(label) for label in present)


def _join(arrays: Sequence[Array]) -> Array:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
