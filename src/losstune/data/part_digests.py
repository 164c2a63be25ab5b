"""The digests of the parts of the prepared folder, and whether its files still have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from losstune.core.errors import LosstuneError
from losstune.core.files import digest
from losstune.data import arrays
from losstune.data.encoded import Blob, EncodedImages, Images, offsets_path
from losstune.data.manifest import EncodedFacts, Manifest
from losstune.data.raw import Array, Labels


def digest_of_part(digests: Mapping[str, str], part: str, class_names: Sequence[str]) -> str:
    """Return the digest of a part of the prepared folder, from those of its files."""
    contents = {file: value for file, value in digests.items() if file.startswith(f"{part}/")}
    return digest({"arrays": contents, "class_names": list(class_names)})


def encoded_facts(part: Path, digests: Mapping[str, str], images: EncodedImages) -> EncodedFacts:
    """Return what the manifest says about images that were written encoded."""
    pixels = {file: value for file, value in digests.items() if file.endswith("images.npy")}
    content = {
        file: _digest_of_bytes(
            np.load(part / file, mmap_mode="r", allow_pickle=False),
            np.load(offsets_path(part / file), allow_pickle=False),
        )
        for file in pixels
    }
    return EncodedFacts(resized=images.resized, pixels=pixels, bytes=content)


def _digest_of_bytes(data: Array, offsets: Labels) -> str:
    return digest([arrays.digest_of_array(data), arrays.digest_of_array(offsets)])


def require_intact(part: Path, contents: Mapping[str, Images], manifest: Manifest, expected: str) -> None:
    """Hash the contents of a part and compare them with the manifest.

    Raises:
        LosstuneError: If they differ.
    """
    digests = {file: _verified(file, images, manifest) for file, images in contents.items()}
    found = digest_of_part(digests, part.name, manifest.class_names)
    if found != expected:
        raise LosstuneError(
            f"{part}: contents have digest {found[:12]}, the manifest says {expected[:12]}; "
            "`losstune prepare` writes them anew"
        )


def _verified(file: str, images: Images, manifest: Manifest) -> str:
    """Return a file's digest. Encoded images are not decoded for it if their bytes are right."""
    if isinstance(images, EncodedImages) and manifest.encoded is not None and isinstance(images.source, Blob):
        content = _digest_of_bytes(images.source.data, images.source.offsets)
        return manifest.encoded.pixels[file] if content == manifest.encoded.bytes[file] else content
    return arrays.digest_of_array(images)
