"""Check that a study matches its registration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from losstune.core.errors import LosstuneError
from losstune.core.records import Record, place_of
from losstune.core.seeds import derive_seed
from losstune.stages import budgets
from losstune.stages.layout import BLOCKS, REGISTRATION, TRIALS
from losstune.stages.study import Study
from losstune.study.registration import Registration, differences
from losstune.verdict.pooled import follow_records

_MOST_LINES = 5


def require_registered(
    registration: Registration, study: Study, trials: Sequence[Record], blocks: Sequence[Record]
) -> None:
    """Raise if the study does not match its registration.

    Settings and search spaces must be those of the registration. The records must follow from them: for every loss the
    number of trials, within its space, and blocks on the seeds that follow from the root seed. Configurations, pairing
    and the number of blocks are checked in :func:`losstune.verdict.pipeline.build_results`.

    Raises:
        LosstuneError: If anything differs; the message names it.
    """
    lines = differences(registration.terms, study.registration.terms)
    if lines:
        more = f"; and {len(lines) - _MOST_LINES} more" if len(lines) > _MOST_LINES else ""
        raise LosstuneError(
            f"{REGISTRATION}: no verdict, because the study differs from its registration: "
            f"{'; '.join(lines[:_MOST_LINES])}{more}; `dvc repro` registers it again, and the verdict will mention that"
        )
    problems = (
        [*_in_spaces(study, trials), *_of_pool(study, registration, trials, blocks)]
        if study.params.is_pooled
        else [*_in_spaces(study, trials), *_of_trials(study, trials), *_of_blocks(study, blocks)]
    )
    for path, problem in problems:
        raise LosstuneError(f"{path}: no verdict, because it differs from the registration: {problem}")


def _in_spaces(study: Study, trials: Iterable[Record]) -> Iterator[tuple[Path, str]]:
    for record in trials:
        configuration = record.configuration
        space = study.spaces.get(configuration.loss)
        if space is None:
            yield TRIALS, f"{configuration.loss} is not a loss of the study"
            continue
        for name, searched in space.ranges.items():
            # The first trial uses the defaults, which may lie outside a range that the study narrowed.
            if record.index and not searched.contains(configuration.values[name]):
                yield (
                    TRIALS,
                    f"trial {record.number} of {configuration.loss} has {name} {configuration.values[name]:g}, "
                    f"expected {searched}",
                )


def _of_pool(
    study: Study, registration: Registration, trials: Sequence[Record], blocks: Sequence[Record]
) -> Iterator[tuple[Path, str]]:
    """Yield what the rounds did not ask for. What is missing raises in :func:`losstune.verdict.pooled.read_pooled`."""
    budget = budgets.of_registration(study.params, registration)
    found = follow_records(study.params, [*trials, *blocks], budget)
    course, rules = found.course, found.rules
    if not course.is_complete:
        return
    for loss in rules.losses:
        searches, number = course.sizes[loss].searches, found.pools.num_trials(loss)
        if number != searches * rules.size:
            yield TRIALS, f"{loss} has {number} trials, but the rounds ask for {searches * rules.size}"
    for record in blocks:
        loss, name = record.configuration.loss, f"block {record.index}"
        if record.role == "block" and record.index >= len(course.allocation.get(loss, ())):
            yield BLOCKS, f"{name} of {loss} is unexpected, because the rounds did not ask for it"
        if record.seed != derive_seed(study.params.study.seed, "confirm", "pool", record.index):
            yield BLOCKS, f"{name} of {loss} has another seed"


def _of_trials(study: Study, trials: Iterable[Record]) -> Iterator[tuple[Path, str]]:
    tune = study.params.tune
    counts = {(loss, search): 0 for loss in study.params.loss_names for search in range(tune.num_searches)}
    for record in trials:
        lane = record.configuration.loss, record.search
        if lane not in counts:
            yield TRIALS, f"{lane[0]} has a search {record.search}, expected {tune.num_searches} searches"
            continue
        counts[lane] += 1
    for (loss, search), count in counts.items():
        if count != tune.trials_per_loss:
            yield TRIALS, f"search {search} of {loss} has {count} trials, expected {tune.trials_per_loss}"


def _of_blocks(study: Study, blocks: Iterable[Record]) -> Iterator[tuple[Path, str]]:
    params = study.params
    num_searches = params.tune.num_searches
    for record in blocks:
        name = f"block {record.number}"
        if record.search >= num_searches or place_of(record, num_searches) >= params.confirm.num_blocks:
            yield (
                BLOCKS,
                f"{name} is unexpected: expected {params.confirm.num_blocks} blocks over {num_searches} searches",
            )
        if record.seed != derive_seed(params.study.seed, "confirm", record.search, record.index):
            yield BLOCKS, f"{name} of {record.configuration.loss} has another seed"
