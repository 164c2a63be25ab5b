"""Atomic writes, and text with the same bytes on every platform."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil


def canonical_json(value: Any) -> str:
    """Return the canonical JSON of `value`: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: If `value` holds a NaN or an infinity, which JSON cannot express.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """Return the SHA-256 (64 hex digits) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write `content` atomically: a reader, also after a crash, sees the old file or the new one, never a part.

    The content is written to a temporary file beside `path`, flushed to disk, and renamed to `path`.

    Raises:
        OSError: If the folder cannot be written; no temporary file remains.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    payload = content.encode() if isinstance(content, str) else content
    # Not tempfile: its files are readable by their owner only, and stay so when renamed.
    part = path.with_name(part_name(path))
    try:
        with part.open("xb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException as error:
        # On a full disk this frees space. After a crash, the name marks the file as incomplete.
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # set by opening, but not by writing
        raise
    with suppress(OSError):
        remove_stale_parts(path)


def part_name(path: Path) -> str:
    """Return the name of a temporary file for `path`; it contains the id of the writing process."""
    return f".{path.name}.{os.getpid()}-{secrets.token_hex(8)}.part"


def remove_stale_parts(path: Path) -> None:
    """Remove the temporary files that killed writers of `path` left beside it."""
    start = f".{path.name}."
    for name in os.listdir(path.parent):  # a pattern would take ten times as long, for every training that is stored
        if name.startswith(start) and name.endswith((".part", ".old", ".part-journal")):
            writer, found = name.removeprefix(start).partition("-")[0], path.parent / name
            if writer.isdigit() and not psutil.pid_exists(int(writer)):
                shutil.rmtree(found, ignore_errors=True) if found.is_dir() else found.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, atomically."""
    write_atomically(path, json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `folder` at the end; after an error nothing remains.

    Raises:
        OSError: If the folder cannot be written.
    """
    is_first = not folder.parent.exists()
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(part_name(folder))
    part.mkdir()
    try:
        yield part
        _replace(folder, part)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if is_first:
            folder.parent.rmdir()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(folder)  # set by opening, but not by writing
        raise


def _replace(folder: Path, part: Path) -> None:
    old = part.with_suffix(".old")
    if folder.exists():
        os.replace(folder, old)
    os.replace(part, folder)
    shutil.rmtree(old, ignore_errors=True)
    remove_stale_parts(folder)
