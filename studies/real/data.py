"""Make the data files of this study, always with the same samples.

    python data.py sklearn                   # two tables that ship with scikit-learn
    LOSSTUNE_MNIST=FOLDER python data.py mnist
    LOSSTUNE_CIFAR10=FOLDER python data.py cifar10

``LOSSTUNE_MNIST`` is the folder of the four gzipped IDX files, such as ``train-images-idx3-ubyte.gz``.
``LOSSTUNE_CIFAR10`` is a folder with ``train/<class>/`` and ``test/<class>/``, or such a folder in an archive ``.tar``,
``.tar.gz`` or ``.tar.zst``. With the value ``download``, torchvision downloads the original data sets.

``data.sha256`` has the digests of the files that the committed results were computed from. If a file differs, the
command says so: other figures are then to be expected. CIFAR-10 here was stored as JPEG, so torchvision's copy differs.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_wine

Array = NDArray[Any]
Split = dict[str, Array]
"""Images (N, H, W) or (N, H, W, 3) uint8 by class, in the order of the source."""

HERE = Path(__file__).resolve().parent
SEED = 27
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
KNOWN, UNSEEN = CLASSES[:5], CLASSES[5:]
"""The backbone is trained on the known classes; the studies of its features are about the unseen ones."""


def main() -> None:
    """Write the files of one source, and compare them with the committed digests."""
    makers = {"sklearn": tables, "mnist": mnist, "cifar10": cifar10}
    if len(sys.argv) != 2 or sys.argv[1] not in makers:
        sys.exit(f"data.py: found {' '.join(sys.argv[1:]) or 'nothing'!r}, expected one of {', '.join(makers)}")
    makers[sys.argv[1]]()


def tables() -> None:
    """Write the two tables as CSV."""
    for name, load in (("breast_cancer", load_breast_cancer), ("wine", load_wine)):
        found = load()
        names = [one.replace(" ", "_") for one in found.feature_names]
        lines = [",".join([*names, "label"])]
        for row, label in zip(found.data, found.target, strict=True):
            lines.append(",".join([*(f"{value:.10g}" for value in row), str(found.target_names[label])]))
        write(f"data/sklearn/{name}.csv", ("\n".join(lines) + "\n").encode())


def mnist() -> None:
    """Write the subset for the CNN, and another one, padded and in three channels, for the frozen backbone."""
    source = source_of("LOSSTUNE_MNIST")
    with contextlib.ExitStack() as stack:
        if source == "download":
            from torchvision.datasets import MNIST

            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            MNIST(folder, download=True)
            source = str(folder / "MNIST" / "raw")
        splits = {split: by_class(Path(source), file) for split, file in (("train", "train"), ("test", "t10k"))}
    write("data/mnist.npz", archive({"train": part(splits["train"], 0, 270), "test": part(splits["test"], 0, 440)}))
    second = {"train": part(splits["train"], 270, 300), "test": part(splits["test"], 440, 440)}
    padded = {
        split: {
            name: np.repeat(np.pad(images, ((0, 0), (2, 2), (2, 2)))[..., None], 3, axis=3)
            for name, images in found.items()
        }
        for split, found in second.items()
    }
    write("data/mnist_rgb.npz", archive(padded))


def cifar10() -> None:
    """Write the subset for the CNN, the classes for the backbone, and the classes that it does not see."""
    with cifar10_images() as splits:
        write(
            "data/cifar10.npz", archive({"train": part(splits["train"], 0, 350), "test": part(splits["test"], 0, 500)})
        )
        for name, classes, size, test_size in (("known", KNOWN, 2000, 200), ("unseen", UNSEEN, 600, 500)):
            chosen = {split: {one: splits[split][one] for one in classes} for split in splits}
            found = {"train": part(chosen["train"], 350, size), "test": part(chosen["test"], 500, test_size)}
            write(f"data/cifar10_{name}.npz", archive(found))


def source_of(variable: str) -> str:
    """Return where the data is."""
    source = os.environ.get(variable)
    if not source:
        sys.exit(f"{variable}: is not set, expected the place of the data, or `download`; see {HERE / 'README.md'}")
    if source != "download" and not Path(source).exists():
        sys.exit(f"{variable}: found {source!r}, which does not exist, expected the place of the data, or `download`")
    return source


def by_class(folder: Path, name: str) -> Split:
    """Read a split of MNIST."""
    images = gzip.decompress((folder / f"{name}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"{name}-labels-idx1-ubyte.gz").read_bytes())
    images_NHW = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    labels_N = np.frombuffer(labels, np.uint8, offset=8)
    return {str(digit): images_NHW[labels_N == digit] for digit in range(10)}


@contextlib.contextmanager
def cifar10_images() -> Iterator[Mapping[str, Split]]:
    """Yield both splits of CIFAR-10."""
    source = source_of("LOSSTUNE_CIFAR10")
    with contextlib.ExitStack() as stack:
        if source == "download":
            from torchvision.datasets import CIFAR10

            folder = stack.enter_context(tempfile.TemporaryDirectory())
            found = {split: CIFAR10(folder, train=split == "train", download=True) for split in ("train", "test")}
            yield {
                split: {name: one.data[np.array(one.targets) == label] for label, name in enumerate(CLASSES)}
                for split, one in found.items()
            }
            return
        path = Path(source)
        files = dict(read_folder(path)) if path.is_dir() else dict(read_archive(path, stack))
        yield {
            split: {
                name: np.stack([decoded(files[key]) for key in sorted(files) if key.startswith(f"{split}/{name}/")])
                for name in CLASSES
            }
            for split in ("train", "test")
        }


def read_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the path below the folder, and the content, of each image."""
    for path in sorted(folder.glob("*/*/*.*")):
        yield path.relative_to(folder).as_posix(), path.read_bytes()


def read_archive(path: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, bytes]]:
    """Yield the path in the archive, and the content, of each image."""
    stream: IO[bytes] = stack.enter_context(path.open("rb"))
    if path.suffix == ".zst":
        process = stack.enter_context(subprocess.Popen(["zstd", "-dc"], stdin=stream, stdout=subprocess.PIPE))
        assert process.stdout is not None
        stream = process.stdout
    # Read as a stream: nothing is unpacked, so no name in the archive becomes a path on this machine.
    with tarfile.open(fileobj=stream, mode="r|*") as files:
        for member in files:
            if member.isfile() and (content := files.extractfile(member)) is not None:
                yield "/".join(Path(member.name).parts[-3:]), content.read()


def decoded(content: bytes) -> Array:
    """Return an image, (32, 32, 3) uint8."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def part(images: Split, start: int, size: int) -> Split:
    """Return `size` images of each class, other ones for every `start`."""
    chosen = {}
    for label, (name, found) in enumerate(images.items()):
        order = np.random.default_rng([SEED, len(found), label]).permutation(len(found))
        chosen[name] = found[np.sort(order[start : start + size])]
        assert len(chosen[name]) == size, f"class {name} has too few images"
    return chosen


def archive(splits: Mapping[str, Split]) -> bytes:
    """Return the splits as an .npz file, whose bytes depend on nothing else."""
    arrays: dict[str, Any] = {"class_names": np.array(list(splits["train"]))}
    for split, images in splits.items():
        arrays[f"{split}_images"] = np.concatenate(list(images.values()))
        arrays[f"{split}_labels"] = np.repeat(np.arange(len(images)), [len(one) for one in images.values()])
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def write(name: str, content: bytes) -> None:
    """Write a file below this folder, and say whether it is the one that the committed results were computed from."""
    path = HERE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    found = hashlib.sha256(content).hexdigest()
    lines = (HERE / "data.sha256").read_text(encoding="utf-8").splitlines()
    expected = {file: digest for digest, file in (line.split(maxsplit=1) for line in lines)}
    same = found == expected.get(name)
    print(f"{found}  {name}: {'as committed' if same else 'NOT as committed, so figures will differ'}", flush=True)


if __name__ == "__main__":
    main()
