"""``losstune cost``: what is left to train and how long it takes. Reads the ledger and may time a few trainings."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from losstune.config.schema import Params
from losstune.core.progress import format_duration
from losstune.core.records import Entry, Record
from losstune.execution.cluster import address_source
from losstune.stages import confirm, execute, tune
from losstune.stages.concurrency import num_workers_of
from losstune.stages.cost_of_rounds import Rounds
from losstune.stages.study import Study, open_study
from losstune.stages.timing import measure
from losstune.stages.workers import find_device
from losstune.study.cost import Estimate, Timings, estimate
from losstune.study.jobs import Job
from losstune.study.ledger import Ledger, open_ledger
from losstune.study.plan import Plan
from losstune.study.selection import best_of_searches
from losstune.verdict.failures import worst_score

FEWEST_KEPT = 8
"""Fewest finished trainings of the study for an estimate without test trainings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The trainings of a stage.

    Attributes:
        stage: Its name.
        num_asked: Number of trainings that it needs, at most.
        num_kept: Number of them that the ledger has.
        missing: The missing trainings that are known, in training order.
        num_unknown: Number of further ones, which depend on results.
        may_be_fewer: Whether fewer may be needed.
        epochs_may_be_fewer: Whether trainings may be stopped early.
    """

    stage: str
    num_asked: int
    num_kept: int
    missing: Sequence[Job]
    num_unknown: int
    may_be_fewer: bool
    epochs_may_be_fewer: bool

    @property
    def num_missing(self) -> int:
        """Return the number of missing trainings, at most."""
        return len(self.missing) + self.num_unknown

    def by_loss(self) -> dict[str, int]:
        """Return the number of missing trainings by loss; an empty name for those that are not known."""
        counts = Counter(job.task.configuration.loss for job in self.missing)
        return {**counts, "": self.num_unknown}


def rows(params: Params, folder: Path, root: Path) -> list[tuple[str, str]]:
    """Return the output as rows of a name and a text. Writes nothing to the study's folder.

    Args:
        params: Validated ``params.yaml``.
        folder: Folder of the stages' inputs and outputs.
        root: Folder of the ledger.

    Raises:
        LosstuneError: If settings or data are invalid, ``prepare`` has not run, or all test trainings failed.
    """
    study = open_study(params, folder, root, find_device)
    rounds = None
    with open_ledger(study.params, root, look_only=True) as ledger:
        search = tune.make_plan(study, ledger)
        if params.is_pooled:
            rounds = Rounds.of(study, search.kept, ledger)
            works = [_work("tune", search, may_be_fewer=False, epochs_may_be_fewer=False), _of_rounds(rounds)]
            kept = {"tune": search.kept, "confirm": rounds.kept}
        else:
            works, kept = _replicated(study, search, ledger)
    if not any(work.num_missing for work in works) and (rounds is None or rounds.most is not None):
        return [(work.stage, _counts(work, study)) for work in works]
    num_workers = num_workers_of(study)
    timings, source = _timings(study, works, kept, num_workers)
    if rounds is not None and rounds.most is None:
        tuned = estimate(works[0].by_loss(), timings["tune"], None)
        rounds = rounds.paid_by(tuned.busy_sec / works[0].num_missing)
        works[1] = _of_rounds(rounds)
    found = []
    estimates: list[Estimate] = []
    for work in works:
        text = _counts(work, study)
        if work.num_missing:
            estimates.append(estimate(work.by_loss(), timings[work.stage], num_workers))
            text += ": " + _described(estimates[-1], study, num_workers)
        found.append((work.stage, text))
    if len(estimates) > 1:
        walls = [one.wall_sec for one in estimates if one.wall_sec is not None]
        whole = Estimate(
            busy_sec=math.fsum(one.busy_sec for one in estimates),
            wall_sec=(sum(low for low, _ in walls), sum(high for _, high in walls)) if walls else None,
        )
        found.append(("in all", _described(whole, study, num_workers)))
    if num_workers is None:
        setting = address_source(params.resources)
        source += f"; {setting}: the number of concurrent trainings on the cluster is not known here"
    return [*found, ("timed by", source), *(rounds.rows() if rounds is not None else ())]


def _replicated(study: Study, search: Plan, ledger: Ledger) -> tuple[list[Work], dict[str, Sequence[Entry]]]:
    """Return the trainings of a study whose searches are not pooled, and those of them that are finished."""
    worst = worst_score((entry.record for entry in search.kept), study.params.tune.measure)
    blocks = confirm.plan_blocks(study, _winners_so_far(study, search.kept), ledger, worst)
    is_settled = len(search.kept) == search.total
    is_stopped_early = study.params.tune.scheduler == "asha"
    works = [
        _work("tune", search, may_be_fewer=False, epochs_may_be_fewer=is_stopped_early),
        _work("confirm", blocks, may_be_fewer=not is_settled, epochs_may_be_fewer=False),
    ]
    return works, {"tune": search.kept, "confirm": blocks.kept}


def _of_rounds(rounds: Rounds) -> Work:
    num_asked = rounds.most if rounds.most is not None else len(rounds.kept) + len(rounds.missing)
    return Work(
        stage="confirm",
        num_asked=num_asked,
        num_kept=len(rounds.kept),
        missing=rounds.missing,
        num_unknown=max(num_asked - len(rounds.kept) - len(rounds.missing), 0),
        may_be_fewer=rounds.is_open,
        epochs_may_be_fewer=False,
    )


def _work(stage: str, plan: Plan, *, may_be_fewer: bool, epochs_may_be_fewer: bool) -> Work:
    missing = list(iter(plan.next, None))
    num_unknown = plan.total - len(plan.kept) - len(missing)
    return Work(
        stage=stage,
        num_asked=plan.total,
        num_kept=len(plan.kept),
        missing=missing,
        num_unknown=num_unknown,
        may_be_fewer=may_be_fewer or plan.is_open or num_unknown > 0,
        epochs_may_be_fewer=epochs_may_be_fewer,
    )


def _winners_so_far(study: Study, trials: Iterable[Entry]) -> dict[str, tuple[Record, ...]]:
    """Return the winner of each search among the finished trials, or the defaults if there are none yet.

    A loss is left out if all trials of one of its searches diverged or failed, because it will not be confirmed.
    """
    params, lanes = study.params, Counter[tuple[str, int]]()
    done: dict[tuple[str, int], list[Record]] = {}
    for record in (entry.record for entry in trials):
        lane = record.configuration.loss, record.search
        lanes[lane] += 1
        if record.status in ("finished", "stopped"):
            done.setdefault(lane, []).append(record)
    searches = range(params.tune.num_searches)
    winners = {}
    for loss in params.loss_names:
        failed = any(
            lanes[loss, search] == params.tune.trials_per_loss and (loss, search) not in done for search in searches
        )
        if not failed or loss == params.baseline:
            winners[loss] = tuple(
                best_of_searches(done[loss, search], params.tune.measure)
                if (loss, search) in done
                else _at_defaults(study, loss, search)
                for search in searches
            )
    return winners


def _at_defaults(study: Study, loss: str, search: int) -> Record:
    space = study.spaces[loss]
    return Record(
        key="",
        stage="tune",
        role="trial",
        search=search,
        index=0,
        seed=0,
        configuration=space.configuration(space.defaults),
        status="failed",
        num_parameters=0,
        curve=(),
        validation={},
    )


def _counts(work: Work, study: Study) -> str:
    """Return, say, ``kept 168, to train 12 of 180, 180 epochs``."""
    most = "at most " * work.may_be_fewer
    text = f"kept {work.num_kept:,}, to train {most}{work.num_missing:,} of {work.num_asked:,}"
    if not work.num_missing:
        return text
    epochs = work.num_missing * study.params.training.epochs
    return f"{text}, {'at most ' * (work.may_be_fewer or work.epochs_may_be_fewer)}{epochs:,} epochs"


def _described(found: Estimate, study: Study, num_workers: int | None) -> str:
    """Return, say, ``about 2.1 core-minutes, 1:05 to 1:30 on 2 cores``."""
    gpus = 0.0 if study.device == "cpu" else execute.resources_of(study).gpus
    minutes = found.busy_sec / 60 * (gpus or 1)
    text = f"about {minutes:,.1f} {'GPU' if gpus else 'core'}-minutes"
    if found.wall_sec is None:
        return text
    low, high = (format_duration(sec) for sec in found.wall_sec)
    where = f"on {num_workers} cores" if study.device == "cpu" and num_workers != 1 else f"{num_workers} at a time"
    return f"{text}, {low} to {high}, {where}"


def _timings(
    study: Study, works: Sequence[Work], kept: Mapping[str, Sequence[Entry]], num_workers: int | None
) -> tuple[dict[str, Timings], str]:
    """Return the known durations of trainings for each stage, and a description of their source.

    Trainings that the ledger has for the plan have the same data, model, settings and code, because their keys are
    equal.
    """
    epochs = study.params.training.epochs
    seconds = {stage: _by_loss(entries, epochs) for stage, entries in kept.items()}
    together = _by_loss([entry for entries in kept.values() for entry in entries], epochs)
    num_kept = _number(together)
    is_known = num_kept >= FEWEST_KEPT
    if num_workers is None:
        resources = study.params.resources.model_copy(update={"executor": "inline"})
        study = replace(study, params=study.params.model_copy(update={"resources": resources}))
    jobs = [job for work in works for job in work.missing]
    measured = measure(study, jobs, num_workers or 1, together if is_known else None)
    if not is_known:
        whole = "whole" if measured.passes == epochs else f"of {measured.passes:.2g} of {epochs} epochs"
        return dict.fromkeys(kept, measured.timings), f"{measured.num} trainings, {whole}, just now"
    return {
        stage: replace(measured.timings, seconds=own if _number(own) >= FEWEST_KEPT else together)
        for stage, own in seconds.items()
    }, f"{num_kept:,} finished trainings of this study; start and end, just now"


def _by_loss(entries: Iterable[Entry], epochs: int) -> dict[str, list[float]]:
    """Return the durations of trainings by loss. The duration of a stopped one is scaled to all epochs."""
    found: dict[str, list[float]] = {}
    for entry in entries:
        record, sec = entry.record, entry.execution.duration_sec
        if record.status == "stopped" and record.curve:
            sec *= epochs / len(record.curve)
        if record.status != "failed":
            found.setdefault(record.configuration.loss, []).append(sec)
    return found


def _number(seconds: Mapping[str, Sequence[float]]) -> int:
    return sum(len(times) for times in seconds.values())
