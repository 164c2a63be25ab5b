"""Facts about the data that are available before it is read."""

from __future__ import annotations

from losstune.config.data import DataSettings
from losstune.data.raw import describe_classes
from losstune.data.sources import check_settings, inspect
from losstune.stages.naming import naming


def data_rows(settings: DataSettings, source: str) -> list[tuple[str, str]]:
    """Check the settings, and the data as far as file names allow. Return rows for the terminal.

    Args:
        settings: The data settings. A relative `root` starts at the working directory.
        source: Name of the settings file, for messages.

    Raises:
        LosstuneError: If these settings cannot load any data, or the data does not match them.
    """
    with naming(source):
        check_settings(settings)
    class_names, notes = inspect(settings)
    classes = f": {describe_classes(class_names)}" if class_names else ""
    return [("data", f"{settings.name}{classes}"), *(("", note) for note in notes)]
