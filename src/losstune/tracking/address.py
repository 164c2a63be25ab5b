"""The address of MLflow's storage, and the name of the experiment."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from losstune.config.data import FILES, OF_ANY_CONTENT, DataSettings
from losstune.config.schema import Params, TrackingSettings
from losstune.core.secrets import without_credentials

_VARIABLE = "MLFLOW_TRACKING_URI"
_SQLITE = "sqlite:///"
_DATABASE = re.compile(r"^(sqlite|postgresql|mysql|mssql)(\+\w+)?://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The storage of runs and artifacts.

    Attributes:
        uri: MLflow tracking URI.
        artifacts: Folder for artifacts; None if a server decides.
        database: The SQLite file; None for any other store.
        is_own: Whether it is the study's own database, which can be restored from the records.
        variable: Environment variable that the URI comes from; None if it comes from ``params.yaml``.
    """

    uri: str
    artifacts: Path | None
    database: Path | None
    is_own: bool
    variable: str | None = None

    def __str__(self) -> str:
        """Return the database file, or the URI without credentials."""
        return without_credentials(self.uri) if self.database is None else str(self.database)

    @property
    def shown(self) -> str:
        """The address and the environment variable that it comes from, for error messages."""
        return f"{self} ({self.variable} in the environment)" if self.variable else str(self)


def locate(settings: TrackingSettings, root: Path) -> Address:
    """Return the address of the study's runs: ``tracking.uri``, MLFLOW_TRACKING_URI, or else ``<root>/mlflow.db``.

    Plain ``mlflow ui`` in `root` opens the last one, with artifacts in ``<root>/mlruns``. A relative SQLite path starts
    at `root`, not at the working directory, which differs in DVC's temporary copies.
    """
    variable = None if settings.uri or not os.environ.get(_VARIABLE) else _VARIABLE
    chosen = settings.uri or os.environ.get(_VARIABLE)
    uri = chosen or f"{_SQLITE}mlflow.db"
    database = None
    if uri.startswith(_SQLITE) and uri != _SQLITE:
        path, _, options = uri.removeprefix(_SQLITE).partition("?")
        database = (root.resolve() / path).resolve()
        uri = f"{_SQLITE}{database}" + (f"?{options}" if options else "")
    artifacts = root.resolve() / "mlruns" if _DATABASE.match(uri) else None
    return Address(uri=uri, artifacts=artifacts, database=database, is_own=not chosen, variable=variable)


def experiment_of(params: Params) -> str:
    """Return the name of the study's experiment: ``tracking.experiment``, or data set and model (``digits cnn``)."""
    return params.tracking.experiment or f"{data_name(params.data)} {params.model_label}"


def data_name(data: DataSettings) -> str:
    """Return the name of the data set; for the user's own files, the name of the folder or file."""
    own = Path(data.root).resolve().stem if data.name in {*OF_ANY_CONTENT, FILES} else ""
    return own or data.name
