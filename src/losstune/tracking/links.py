"""Links to a study's runs in MLflow's UI. Reads only; creates no database."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from losstune.config.schema import TrackingSettings
from losstune.core.gc_pause import collection_paused
from losstune.core.library_logging import configure_environment
from losstune.tracking.address import locate
from losstune.tracking.connect import reason_of
from losstune.tracking.ui import HOST

PORT = 5000
_MOST_RUNS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLink:
    """A stage's run in MLflow.

    Attributes:
        name: Name of the run.
        url: Its URL in MLflow's UI; for the study's own database, in ``losstune ui`` at its default port.
        commit: Short commit that ran it, with ``-dirty`` if the work tree differed; None outside Git.
        versions: Version by library.
    """

    name: str
    url: str
    commit: str | None = None
    versions: dict[str, str] = field(default_factory=dict)


def find_runs(settings: TrackingSettings, root: Path, protocol: str) -> tuple[list[RunLink], str | None]:
    """Return the stage runs of the study with this protocol hash, newest first, and why there are none, or None.

    Args:
        settings: The tracking settings.
        root: Root of the study.
        protocol: Hash of its registration, which every run has as tag ``losstune.protocol_hash``.
    """
    address = locate(settings, root)
    if address.database is not None and not address.database.exists():
        return [], f"{address.database.name}: no such database; `losstune track sync` fills it"
    configure_environment()
    with collection_paused():
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    base = f"http://{HOST}:{PORT}" if not address.uri.startswith("http") else str(address).rstrip("/")
    try:
        client = MlflowClient(tracking_uri=address.uri)
        experiments = [found.experiment_id for found in client.search_experiments()]
        condition = f"tags.`losstune.protocol_hash` = '{protocol}' and tags.`losstune.role` = 'stage'"
        found = client.search_runs(experiments, condition, max_results=_MOST_RUNS) if experiments else []
    except MlflowException as error:
        return [], f"cannot be read: {reason_of(error)}"
    runs = [
        RunLink(
            name=run.info.run_name,
            url=f"{base}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}",
            commit=run.data.tags.get("losstune.commit"),
            versions={
                name.removeprefix("losstune.version."): value
                for name, value in run.data.tags.items()
                if name.startswith("losstune.version.")
            },
        )
        for run in found
    ]
    return runs, None if runs else f"no run has the protocol {protocol[:12]}"
