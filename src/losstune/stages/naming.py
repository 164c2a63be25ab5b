"""Messages that begin with the name of the settings file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from losstune.core.errors import LosstuneError


@contextmanager
def naming(source: str) -> Iterator[None]:
    """Put the name of the settings file before the message of an error.

    Raises:
        LosstuneError: The same with the longer message.
    """
    try:
        yield
    except LosstuneError as error:
        raise LosstuneError(f"{source}: {error}") from None
