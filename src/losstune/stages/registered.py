"""Holds what was run against what was registered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from losstune.errors import LosstuneError
from losstune.records import Record
from losstune.registration import Registration, differences
from losstune.seeds import derive_seed
from losstune.stages.layout import BLOCKS, REGISTRATION, TRIALS
from losstune.stages.study import Study

_MOST_LINES = 5


def require_registered(
    registration: Registration, study: Study, trials: Iterable[Record], blocks: Iterable[Record]
) -> None:
    """Refuse a study that is not the registered one.

    Settings and search spaces have to be those of the registration, and the records what they lead to: for every loss
    its number of trials, in its space, and blocks on the seeds that follow from the root seed. Configurations, pairing
    and the number of blocks are checked where they are compared, in :func:`losstune.report.analysis.build_results`.

    Raises:
        LosstuneError: If anything differs; the message says what.
    """
    lines = differences(registration.terms, study.registration.terms)
    if lines:
        more = f"; and {len(lines) - _MOST_LINES} more" if len(lines) > _MOST_LINES else ""
        raise LosstuneError(
            f"{REGISTRATION}: no verdict, because the study is not the registered one: "
            f"{'; '.join(lines[:_MOST_LINES])}{more}; `dvc repro` registers it anew, and the verdict will say so"
        )
    for path, problem in [*_of_trials(study, trials), *_of_blocks(study, blocks)]:
        raise LosstuneError(f"{path}: no verdict, because it is not what was registered: {problem}")


def _of_trials(study: Study, trials: Iterable[Record]) -> Iterator[tuple[Path, str]]:
    counts = dict.fromkeys(study.params.losses, 0)
    for record in trials:
        configuration = record.configuration
        space = study.spaces.get(configuration.loss)
        if space is None:
            yield TRIALS, f"{configuration.loss} is none of the losses"
            continue
        counts[configuration.loss] += 1
        values = {
            "learning_rate": configuration.learning_rate,
            "weight_decay": configuration.weight_decay,
            **configuration.hyperparameters,
        }
        for name, searched in space.ranges.items():
            # The first trial is at the defaults, which may lie outside of a range that the study has narrowed.
            if record.index and not searched.contains(values[name]):
                yield (
                    TRIALS,
                    f"trial {record.index} of {configuration.loss} has {name} {values[name]:g}, expected {searched}",
                )
    for loss, count in counts.items():
        if count != study.params.tune.trials_per_loss:
            yield TRIALS, f"{loss} has {count} trials, expected {study.params.tune.trials_per_loss}"


def _of_blocks(study: Study, blocks: Iterable[Record]) -> Iterator[tuple[Path, str]]:
    for record in blocks:
        if record.index >= study.params.confirm.num_blocks:
            yield BLOCKS, f"block {record.index} is one too many, expected {study.params.confirm.num_blocks}"
        if record.seed != derive_seed(study.params.study.seed, "confirm", record.index):
            yield BLOCKS, f"block {record.index} of {record.configuration.loss} has another seed"
