"""Data that only a training loop of the user's own can read: prepared is the digest of its content, and no sample.

The loop makes the splits. So the identity of a training covers all files, in the search and in the confirmation.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from losstune.config.data import FILES, DataSettings
from losstune.core.errors import LosstuneError
from losstune.core.files import digest, replaced, write_json
from losstune.data.manifest import ClassCounts, Manifest
from losstune.data.prepared import DEVELOPMENT, MANIFEST, TEST
from losstune.data.walk import files_below

LISTING = "files.json"


def listing(root: Path) -> dict[str, str]:
    """Return the SHA-256 of each file below `root` by its relative path, or of `root` itself if it is a file.

    Hidden files are left out.

    Raises:
        LosstuneError: If there is no such path, it holds no file, or a file can't be read.
    """
    try:
        if root.is_file():
            return {root.name: _digest(root)}
        paths = [Path(entry.path) for entry in files_below(str(root))]
        found = {path.relative_to(root).as_posix(): _digest(path) for path in paths}
    except OSError as error:
        raise LosstuneError(
            f"data.root: {error.filename or root}: {error.strerror or error}; expected the folder or file that the "
            "training loop reads"
        ) from None
    if not found:
        raise LosstuneError(f"data.root: {root}: holds no files, expected those that the training loop reads")
    return found


def write(folder: Path, root: Path, settings: DataSettings) -> Manifest:
    """Write the listing of the files and a manifest without samples, and replace `folder`.

    Args:
        folder: The prepared folder.
        root: The data.
        settings: ``data`` of ``params.yaml``.

    Raises:
        LosstuneError: As :func:`listing`.
        OSError: If the folder cannot be written.
    """
    files = listing(root)
    found = digest(files)
    num_classes: int = settings.options.get("num_classes") or 0
    manifest = Manifest(
        name=FILES,
        class_names=tuple(str(number) for number in range(num_classes)),
        counts=ClassCounts(train=(), validation=(), test=()),
        input_shape=(),
        dtype="",
        mean=(),
        std=(),
        label_noise=0.0,
        num_labels_changed=0,
        digest=found,
        development_digest=found,
        test_digest=found,
    )
    with replaced(folder) as part:
        for name in (DEVELOPMENT, TEST):  # DVC knows these folders
            write_json(part / name / LISTING, files)
        write_json(part / MANIFEST, manifest.model_dump(mode="json"))
    return manifest


def require_same(root: Path, manifest: Manifest) -> None:
    """Compare the files with those that were prepared.

    Raises:
        LosstuneError: If they differ.
    """
    if digest(listing(root)) != manifest.digest:
        raise LosstuneError(
            f"data.root: {root}: the files are not those that were prepared; `dvc repro` or `losstune prepare` reads "
            "them again"
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
