"""The third stage: retrain each search's winner on the same fresh seeds, and score it once on the test split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from losstune.core.records import Configuration, Record, Role, place_of
from losstune.core.seeds import derive_seed
from losstune.losses.registry import identical_losses
from losstune.stages import budgets, execute, pooled
from losstune.stages.layout import (
    BLOCK_EXECUTIONS,
    BLOCKS,
    REGISTRATION,
    TRIAL_EXECUTIONS,
    TRIALS,
    read_executions,
    read_records,
    write_entries,
)
from losstune.stages.study import Study, open_study, read_arrays
from losstune.stages.workers import find_device
from losstune.statistics import first_decision, num_control_blocks
from losstune.study.controls import controls_of
from losstune.study.jobs import Job
from losstune.study.ledger import Ledger, open_ledger
from losstune.study.plan import FixedPlan, GrowingPlan, Plan
from losstune.study.plan_size import num_controls, num_trainings
from losstune.study.registration import (
    Registration,
    register,
    share_registrations,
    take_registrations,
    write_registration,
)
from losstune.study.selection import select_winners
from losstune.verdict.failures import with_worst, worst_score


def run(params: Params, folder: Path, root: Path) -> None:
    """Register the study, retrain the winners in paired blocks, and write ``results/confirm``.

    A block belongs to one search. Each loss uses the winning configuration of that search. All losses share
    initialisation, data order and augmentation, which depend only on the block's seed.

    Args:
        params: Validated ``params.yaml``.
        folder: Folder of the stage's inputs and outputs.
        root: Folder of the ledger and of MLflow's database.

    Raises:
        LosstuneError: If settings or data are invalid, or a search of the baseline has no winner.
        UnfinishedStudyError: If not every training is finished.
    """
    study = open_study(params, folder, root, find_device)
    with open_ledger(study.params, root) as ledger, execute.exclusive(root, "confirm") as place:
        if ledger.shared is not None:
            take_registrations(study.root, ledger.shared)
        if study.params.is_pooled:
            plan = _pooled_plan(study, ledger)
        else:
            winners, worst = _searched(study)
            plan = plan_blocks(study, winners, ledger, worst)
            _register(study, [job.keys[0] for job in _block_jobs(study, winners, 0, winners)], ledger)
        execute.execute_stage(study, "confirm", plan, ledger, lambda: read_arrays(study, with_test=True), place=place)
        write_entries(plan.entries(), folder / BLOCKS, folder / BLOCK_EXECUTIONS)


def make_plan(study: Study, ledger: Ledger) -> Plan:
    """Select the winners, plan their blocks and the controls, and look up which of them are in the ledger.

    Raises:
        LosstuneError: If the records of the search are missing, or a search of the baseline has no winner.
    """
    winners, worst = _searched(study)
    return plan_blocks(study, winners, ledger, worst)


def plan_blocks(
    study: Study, winners: Mapping[str, Sequence[Record]], ledger: Ledger, worst: float | None = None
) -> Plan:
    """Plan the blocks of these winners (one winner per search of a loss), and the controls.

    Args:
        study: The study.
        winners: The winners.
        ledger: Provides finished trainings.
        worst: Score with which a diverged or failed block counts, see :func:`losstune.verdict.failures.worst_score`.
    """
    params, confirm = study.params, study.params.confirm
    if confirm.stopping == "anytime":
        most = len(winners) * confirm.num_blocks + num_controls(params)
        return GrowingPlan(_grow(study, winners, worst), most, ledger)
    jobs = [job for place in range(confirm.num_blocks) for job in _block_jobs(study, winners, place, winners)]
    return FixedPlan(jobs, ledger)


def undecided_after(
    records: Sequence[Record], params: Params, winners: Sequence[str], worst: float | None = None
) -> set[str]:
    """Return the candidates for which the e-process has not decided on the blocks so far."""
    metric, report = params.tune.measure.name, params.report
    identical = identical_losses(params.loss_names, params.baseline)
    candidates = [loss for loss in winners if loss != params.baseline and loss not in identical]
    scores: dict[str, list[float]] = {loss: [] for loss in winners}
    for record in with_worst(records, metric, worst):
        if record.role == "block" and record.test is not None:
            scores[record.configuration.loss].append(record.test[metric])
    undecided = set()
    for loss in candidates:
        differences = [ours - theirs for ours, theirs in zip(scores[loss], scores[params.baseline], strict=False)]
        decision = None
        if differences:
            decision, _ = first_decision(
                differences,
                alpha=report.alpha,
                num_candidates=len(candidates),
                rope=report.rope,
                every=params.tune.num_searches,
            )
        if decision is None:
            undecided.add(loss)
    return undecided


def _grow(
    study: Study, winners: Mapping[str, Sequence[Record]], worst: float | None
) -> Callable[[list[Record]], list[Job]]:
    params = study.params
    identical = identical_losses(params.loss_names, params.baseline)
    # These losses get all blocks: the baseline, and those whose difference is the noise floor.
    yardsticks = {params.baseline, *identical, *identical.values()}

    def grow(records: list[Record]) -> list[Job]:
        num_searches = params.tune.num_searches
        start = 1 + max((place_of(record, num_searches) for record in records), default=-1)
        undecided = undecided_after(records, params, list(winners), worst)
        is_over = not undecided and start >= num_control_blocks(params.report.alpha)
        if is_over or start == params.confirm.num_blocks:
            return []
        # One block per search at a time, so that a loss has the same number of blocks of each search.
        return [
            job
            for place in range(start, min(start + num_searches, params.confirm.num_blocks))
            for job in _block_jobs(study, winners, place, undecided | yardsticks)
        ]

    return grow


def _searched(study: Study) -> tuple[dict[str, tuple[Record, ...]], float | None]:
    """Return the winners of the search, and the score with which diverged and failed blocks count."""
    params = study.params
    trials = read_records(study.folder / TRIALS)
    winners = select_winners(trials, params.tune.measure, params.tune.num_searches)
    if params.baseline not in winners:
        raise LosstuneError(
            f"a search of the baseline '{params.baseline}' has no finished trial; see {TRIALS} for the causes"
        )
    worst = worst_score(trials, params.tune.measure)
    return {loss: winners[loss] for loss in params.loss_names if loss in winners}, worst


def _pooled_plan(study: Study, ledger: Ledger) -> Plan:
    """Register the study with its budget, and plan the rounds."""
    trials = read_records(study.folder / TRIALS)
    first = pooled.growing(study, trials, None)([])
    budget = budgets.num_trainings(study, read_executions(study.folder / TRIAL_EXECUTIONS))
    keys = [job.keys[0] for job in first if job.indices == (0,) and job.stage == "confirm"]
    budget = budgets.of_registration(study.params, _register(study, keys, ledger, budget))
    return pooled_plan(study, trials, budget, ledger)


def pooled_plan(study: Study, trials: Sequence[Record], budget: int | None, ledger: Ledger) -> GrowingPlan:
    """Plan the rounds of a pooled study.

    Args:
        study: The study.
        trials: The trials of ``tune``.
        budget: Most trainings of the study; None if the settings name numbers of searches and blocks.
        ledger: Provides finished trainings.
    """
    _, most = num_trainings(study.params, budget)
    assert most is not None, "minutes are resolved"
    grow, guess = pooled.growing(study, trials, budget), pooled.guessing(study, trials, budget)
    return GrowingPlan(grow, most, ledger, guess)


def _register(study: Study, keys: Sequence[str], ledger: Ledger, budget: int | None = None) -> Registration:
    in_minutes = study.params.budget is not None and study.params.budget.minutes is not None
    wanted = study.registration.model_copy(update={"num_trainings": budget if in_minutes else None})
    registration = register(
        study.root, study.params.study.name, wanted, lambda keys: any(key in ledger for key in keys), keys
    )
    if ledger.shared is not None:
        share_registrations(study.root, ledger.shared)
    write_registration(study.folder / REGISTRATION, registration)
    print(f"confirm: registered as {registration.protocol[:12]}", flush=True)
    for earlier in registration.earlier:
        print(f"confirm: after the test split was read under {earlier.protocol[:12]}: {'; '.join(earlier.differs)}")
    return registration


def _block_jobs(study: Study, winners: Mapping[str, Sequence[Record]], place: int, losses: Iterable[str]) -> list[Job]:
    """Return the jobs of a block: one for each of `losses`, and those of its controls."""
    params, losses = study.params, set(losses)
    index, search = divmod(place, params.tune.num_searches)

    def job(configuration: Configuration, role: Role) -> Job:
        seed = derive_seed(params.study.seed, "confirm", search, index)
        task = study.task(configuration, seed, test=True, keep_weights=index == 0 and role == "block")
        return study.make_job(task, "confirm", role, search, index)

    jobs = [job(searches[search].configuration, "block") for loss, searches in winners.items() if loss in losses]
    baseline = winners[params.baseline][search].configuration
    return jobs + [job(configuration, role) for role, configuration in controls_of(params, baseline, place)]
