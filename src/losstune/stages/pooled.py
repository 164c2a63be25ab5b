"""The jobs of a pooled study: searches that share points and seeds over losses, and blocks in rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from losstune.core.records import Configuration, Record, Role
from losstune.core.seeds import derive_seed
from losstune.losses.registry import identical_losses
from losstune.stages.study import Study
from losstune.study.controls import controls_of
from losstune.study.jobs import Job
from losstune.study.search import propose_shared
from losstune.verdict.course import Course
from losstune.verdict.pooled import follow_records
from losstune.verdict.pools import Guessed, Pools
from losstune.verdict.rounds import follow


def trial_jobs(study: Study, loss: str, search: int) -> list[Job]:
    """Return the trials of one search of a loss.

    All losses share the points of the search space and the seeds of a search. A loss that is identical to another one
    has points and seeds of its own: the difference of both is the noise of tuning.
    """
    params = study.params
    identical = identical_losses(params.loss_names, params.baseline)
    stream = loss if loss in identical else "shared"
    jobs = []
    for index in range(params.tune.trials_per_loss):
        configuration = propose_shared(study.spaces[loss], index, params.tune, params.study.seed, search, stream)
        task = study.task(configuration, derive_seed(params.study.seed, "pool", stream, search, index))
        jobs.append(study.make_job(task, "tune", "trial", search, index))
    return jobs


def first_searches(study: Study) -> list[Job]:
    """Return the trials of the first search of every loss: all trials 0 first, then all trials 1, and so on."""
    by_loss = [trial_jobs(study, loss, 0) for loss in study.params.loss_names]
    return [job for jobs in zip(*by_loss, strict=True) for job in jobs]


def growing(study: Study, trials: Sequence[Record], budget: int | None) -> Callable[[list[Record]], list[Job]]:
    """Return what plans the next jobs of ``confirm`` from its records so far."""

    def grow(records: list[Record]) -> list[Job]:
        found = follow_records(study.params, [*trials, *records], budget)
        return _missing_jobs(study, found.pools, found.course)

    return grow


def guessing(study: Study, trials: Sequence[Record], budget: int | None) -> Callable[[list[Record]], list[Job]]:
    """Return what guesses the next jobs of ``confirm`` while results are missing.

    A loss whose trials are there needs its blocks, whatever those of other losses are. Where only blocks are missing,
    their scores are guessed, and the study is followed one look further.
    """

    def guess(records: list[Record]) -> list[Job]:
        found = follow_records(study.params, [*trials, *records], budget)
        course = found.course
        if not course.missing_trials:
            course = follow(Guessed(found.pools, course.missing_blocks), found.rules)
        return _missing_jobs(study, found.pools, course)

    return guess


def _missing_jobs(study: Study, pools: Pools, course: Course) -> list[Job]:
    jobs = [job for loss, search in course.missing_trials for job in trial_jobs(study, loss, search)]
    controls = []
    for loss, trial, block in course.missing_blocks:
        configuration = pools.trial(loss, trial).configuration
        keep_weights = course.keeps_weights(loss, trial, block)
        jobs.append(_block_job(study, configuration, block, "block", keep_weights=keep_weights))
        if loss == study.params.baseline:
            controls += [
                _block_job(study, control, block, role)
                for role, control in controls_of(study.params, configuration, block)
            ]
    return jobs + controls


def _block_job(
    study: Study, configuration: Configuration, block: int, role: Role, *, keep_weights: bool = False
) -> Job:
    """Return the job that trains a configuration on a block's seed."""
    seed = derive_seed(study.params.study.seed, "confirm", "pool", block)
    task = study.task(configuration, seed, test=True, keep_weights=keep_weights)
    return study.make_job(task, "confirm", role, 0, block)
