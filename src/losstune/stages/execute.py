"""Train a stage's plan: ledger, lock, progress, executor and MLflow, for tune and confirm alike."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from losstune.config.references import references
from losstune.core.errors import LosstuneError, UnfinishedStudyError
from losstune.core.gc_pause import collection_paused
from losstune.core.progress import Progress
from losstune.core.records import Entry, Stage
from losstune.execution import orphans, warm
from losstune.execution.cluster import cluster_address
from losstune.execution.resources import TrialResources
from losstune.execution.resources import resources_of as find_resources
from losstune.stages.interrupts import interruptible
from losstune.stages.own import own_code_of
from losstune.stages.run_info import stage_run
from losstune.stages.study import Study
from losstune.study import provenance
from losstune.study.asha import Brackets
from losstune.study.jobs import Job, train_pack
from losstune.study.ledger import Ledger, locked
from losstune.study.ledger_writer import LedgerWriter
from losstune.study.plan import Plan
from losstune.tracking import experiment_of, open_tracker
from losstune.training.task import Arrays


@contextmanager
def exclusive(root: Path, stage: Stage) -> Iterator[warm.Place | None]:
    """Hold the study's lock, without workers that a killed stage left behind. Plan only inside.

    Yields where Ray may stay up, if anywhere.

    Raises:
        LosstuneError: If another process holds the lock; the message names it.
    """
    with locked(root, stage):
        orphans.clear()
        place = warm.place_of(root.absolute())
        warm.end_others(root.absolute(), place)
        yield place


def execute_stage(
    study: Study,
    stage: Stage,
    plan: Plan,
    ledger: Ledger,
    read: Callable[[], Arrays],
    brackets: Brackets | None = None,
    place: warm.Place | None = None,
) -> None:
    """Train the jobs of the plan that the ledger lacks. `read` returns the data and is called only if needed.

    Ray may stay up at a `place`, see :func:`exclusive`.

    Raises:
        UnfinishedStudyError: If trainings are missing at the end. Finished trainings are kept.
        KeyboardInterrupt: On Ctrl-C, SIGTERM or the end of the parent ``dvc``. Finished trainings are kept.
        LosstuneError: If all trainings failed, because then the cause is not a loss.
    """
    num_kept = len(plan.kept)
    git = provenance.git_state()
    tracker = open_tracker(study.params.tracking, experiment_of(study.params), study.root, stage_run(study, stage))
    ledger.share(entry.record.key for entry in plan.kept)
    for entry in plan.kept:
        tracker.log(entry)
        if brackets is not None:
            brackets.remember(entry.record)
    num_to_train, notes = plan.total - num_kept, list[str]()
    print(f"{stage}: kept {num_kept}, to train {'at most ' * plan.is_open}{num_to_train}", flush=True)
    if num_to_train and git.commit is None and git.problem is not None:
        print(f"{stage}: the records name no commit: {git.problem}", file=sys.stderr)
    try:
        if num_to_train:
            arrays = read()  # before the progress bar, so that an error in the data comes first
            with interruptible(), Progress(num_to_train, stage, kept=num_kept, unit="training") as progress:

                def finished(job: Job, entry: Entry) -> None:
                    ledger.share(job.keys, are_new=True)
                    plan.finish(entry)
                    if plan.needs(entry.record.key):  # else it may be logged at the end
                        tracker.log(entry)
                    if entry.execution.note is not None and entry.execution.note not in notes:
                        notes.append(entry.execution.note)
                        print(f"{stage}: {entry.execution.note}", file=sys.stderr)
                    progress.update(plan.num_finished - num_kept, job.name)

                writer = LedgerWriter(study.root.absolute(), git.short_commit)
                train_plan(study, plan, arrays, brackets, writer, finished, place, stays=stage == "tune")
        if not plan.is_complete:
            raise UnfinishedStudyError(
                f"{stage}: {plan.num_finished} of {plan.total} trainings are finished and kept; "
                "run `dvc repro` to continue"
            )
        entries = plan.entries()
        _report_failures(stage, entries)
        for entry in plan.kept[num_kept:]:  # found in the ledger while the plan grew
            tracker.log(entry)
    except BaseException as error:
        tracker.finish("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    summary = tracker.finish("FINISHED", metrics=_counts(entries))
    if summary.problem:
        print(summary.problem, file=sys.stderr)


def train_plan(
    study: Study,
    plan: Plan,
    arrays: Arrays,
    brackets: Brackets | None,
    writer: LedgerWriter,
    finished: Callable[[Job, Entry], None],
    place: warm.Place | None = None,
    *,
    stays: bool = False,
) -> None:
    """Train the plan with the configured executor. `finished` must report finished jobs to the plan.

    Ray may stay up at a `place`, and does so for the next stage if it `stays`.
    """
    resources = study.params.resources
    width = None if resources.trials_per_gpu == "auto" else resources.trials_per_gpu
    train = partial(train_pack, width=width)
    if resources.executor == "inline":
        from losstune.execution import inline

        most = resources_of(study).most if study.device == "cuda" else 1
        inline.run(plan, train, arrays, brackets, writer, finished, most=most, limit_min=resources.trial_time_limit)
        return
    if cluster_address(resources) is None:
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray reads it when it is imported
    with collection_paused():
        from losstune.execution.trials import run  # takes 1 s to import; a study without Ray does not need it

    run.run(
        plan,
        partial(train, own=own_code_of(study.params)) if references(study.params) else train,
        arrays,
        brackets,
        writer,
        finished,
        resources=resources,
        per_trial=resources_of(study),
        versions=study.versions,
        place=place,
        stays=stays,
    )


def resources_of(study: Study) -> TrialResources:
    """Return the resources of one pack of the study's trainings."""
    own_loop = study.params.training.loop is not None
    return find_resources(study.device, study.params.resources, own_loop=own_loop)


def _counts(entries: list[Entry]) -> dict[str, float]:
    statuses = [entry.record.status for entry in entries]
    return {f"num_{status}": float(statuses.count(status)) for status in ("finished", "stopped", "diverged", "failed")}


def _report_failures(stage: str, entries: list[Entry]) -> None:
    failures = [entry.record for entry in entries if entry.record.status == "failed"]
    if not failures:
        return
    first = failures[0]
    line = (
        f"{len(failures)} of {len(entries)} trainings failed; "
        f"the first, {first.configuration.loss} #{first.number}: {first.cause}"
    )
    if len(failures) == len(entries):
        raise LosstuneError(f"{stage}: {line}")
    print(f"{stage}: {line}", file=sys.stderr)
