"""List the files and folders of an image folder by name, without hidden ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

SUFFIXES = frozenset(
    ".avif .bmp .gif .jfif .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split()  # noqa: SIM905
)


def visible(folder: str | Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder sorted by name, without hidden ones and the folder that macOS adds to archives.

    Raises:
        OSError: If the folder cannot be read.
    """
    with os.scandir(folder) as entries:
        shown = [entry for entry in entries if not is_hidden(entry.name)]
    return sorted(shown, key=lambda entry: os.fsencode(entry.name))


def is_image(entry: os.DirEntry[str]) -> bool:
    """Whether a file has the extension of an image."""
    return os.path.splitext(entry.name)[1].lower() in SUFFIXES and not entry.is_dir()


def images_below(folder: str) -> Iterator[os.DirEntry[str]]:
    """Yield the images in a folder and its subfolders, sorted by name.

    Raises:
        OSError: If a folder cannot be read.
    """
    return (entry for entry in files_below(folder) if is_image(entry))


def files_below(folder: str, seen: set[str] | None = None) -> Iterator[os.DirEntry[str]]:
    """Yield all visible files in a folder and its subfolders, sorted by name; follow links, but no cycles.

    Raises:
        OSError: If a folder cannot be read.
    """
    seen = {os.path.realpath(folder)} if seen is None else seen
    for entry in visible(folder):
        if entry.is_dir():
            # A link to a parent folder would recurse forever.
            target = os.path.realpath(entry.path)
            if target not in seen:
                seen.add(target)
                yield from files_below(entry.path, seen)
        else:
            yield entry


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or is the ``__MACOSX`` folder that macOS adds to archives."""
    return name.startswith(".") or name == "__MACOSX"
