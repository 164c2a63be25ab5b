"""Read a text file that a user wrote, with messages for a user."""

from __future__ import annotations

from pathlib import Path

from losstune.core.errors import LosstuneError


def read_text(path: Path, missing: str) -> str:
    """Return the text of a file in UTF-8.

    Args:
        path: The file.
        missing: What a missing file means, for the message.

    Raises:
        LosstuneError: If it is missing, cannot be read, or is not text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LosstuneError(f"{path}: no such file; {missing}") from None
    except UnicodeDecodeError:
        raise LosstuneError(f"{path}: not text in UTF-8") from None
    except OSError as error:
        raise LosstuneError(f"{path}: cannot be read: {error.strerror}") from None
