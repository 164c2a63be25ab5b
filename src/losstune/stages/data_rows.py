"""Facts about the data that are known before it is read."""

from __future__ import annotations

from losstune.config.schema import DataSettings
from losstune.core.errors import LosstuneError
from losstune.data.raw import describe_classes
from losstune.data.sources import check_settings, inspect


def data_rows(settings: DataSettings, source: str) -> list[tuple[str, str]]:
    """Check the settings, and the data as far as names of files show it; return rows for a person to read.

    Args:
        settings: A relative `root` is taken from the working directory.
        source: The file of settings, for messages.

    Raises:
        LosstuneError: If nothing can be loaded under these settings, or the data is there and is not what is wanted.
    """
    try:
        check_settings(settings)
    except LosstuneError as error:
        raise LosstuneError(f"{source}: {error}") from None
    class_names, notes = inspect(settings)
    classes = f": {describe_classes(class_names)}" if class_names else ""
    return [("data", f"{settings.name}{classes}"), *(("", note) for note in notes)]
