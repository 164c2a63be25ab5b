"""Keep a finished training in the ledger, from whichever process of this machine it ended in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from losstune.core.records import Entry
from losstune.study.jobs import Job, Timed, entries_of
from losstune.study.ledger import Ledger


@dataclass(frozen=True, slots=True)
class LedgerWriter:
    """Writes finished trainings into the ledger of a study.

    Attributes:
        root: Root of the study, an absolute path.
        commit: Git commit of the code that trains, see :class:`losstune.core.records.Execution`.
    """

    root: Path
    commit: str | None

    def write(self, job: Job, timed: Timed) -> Entry:
        """Store the result of a job. It is on the disk when this returns.

        Raises:
            LosstuneError: If the ledger cannot be written.
        """
        ((entry, weights),) = entries_of(job, timed, self.commit)
        Ledger(self.root).put(entry, weights)
        return entry

    def written(self, job: Job, since: float) -> Entry | None:
        """Return the entry of a job if its training began after a time, in Unix seconds; else None."""
        entry = Ledger(self.root).get(job.keys[0])
        return entry if entry is not None and entry.execution.started_at >= since else None
