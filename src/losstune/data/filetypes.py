"""Recognise a file by its first bytes, to describe a file of an unexpected type. Nothing is executed."""

from __future__ import annotations

import codecs
import zipfile
from pathlib import Path

ARRAYS = "an archive of arrays (.npz)"
_BEGINNINGS = (
    (b"PAR1", "a Parquet table"),
    (b"ARROW1", "an Arrow table"),
    (b"\x89HDF", "an HDF5 file"),
    (b"MATLAB", "a MATLAB file"),
    (b"\x93NUMPY", "one NumPy array"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG", "a PNG image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"%PDF", "a PDF document"),
    (b"\xd0\xcf\x11\xe0", "an old Office document, such as .xls"),
    (b"\x1f\x8b", "compressed by gzip, such as .tar.gz"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ", "compressed by xz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xff\xfe", "text in UTF-16, such as a table"),
    (b"\xfe\xff", "text in UTF-16, such as a table"),
    (b"version https://git-lfs", "a Git LFS pointer: `git lfs pull` downloads the file"),
)
_PICKLE = "a pickle, which could run any code and is not opened"


def describe_file(path: Path) -> str:
    """Return what a file is, such as ``"a Parquet table"``.

    Raises:
        OSError: If it cannot be read.
        ValueError: If the path contains a null character.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    if not head:
        return "an empty file"
    if head.startswith(b"PK"):
        return _describe_zip(path)
    for beginning, kind in _BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP image"
    if head[257:262] == b"ustar":
        return "a TAR archive"
    if head[0] == 0x80 and head[1:2] <= b"\x05":
        return _PICKLE
    return _describe_text(head) or f"of an unknown kind (it begins with bytes {head[:4].hex(' ')})"


def _describe_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "a ZIP archive that is truncated or damaged"
    if "[Content_Types].xml" in names:
        return "an Office document, such as .xlsx"
    if any(name.endswith("data.pkl") for name in names):
        return f"a file of torch.save; it holds {_PICKLE}"
    if any(name.endswith(".npy") for name in names):
        return ARRAYS
    return f"a ZIP archive of {len(names):,} other files; unpack it if it holds the data"


def _describe_text(head: bytes) -> str | None:
    try:
        # The incremental decoder accepts an incomplete character at the end.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return None
    if any(not letter.isprintable() and letter not in "\r\n\t\f" for letter in text):
        return None
    lines = text.lstrip().splitlines() or [""]
    if lines[0].lower().startswith(("<!doctype", "<html", "<?xml")):
        return "a page of HTML or XML; perhaps a download that failed"
    if lines[0].startswith(("{", "[")):
        return "text in JSON"
    if any(mark in lines[0] for mark in ",;\t"):
        return "a table of text, such as CSV"
    return "text"
