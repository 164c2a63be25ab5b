"""A small pooled study, fabricated, that takes its course by the real rounds: a test sets how good each loss is."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import numpy as np

from losstune.config.load import load_params
from losstune.config.schema import Params
from losstune.core.records import Record
from losstune.study.plan_size import num_degraded
from losstune.verdict.pooled import follow_records
from losstune.verdict.results import Results
from tests.factories import make_record
from tests.paths import REPOSITORY
from tests.report.studies import EQUALS, Study

NUM_TRIALS = 8
LEVELS = {"cross_entropy": 0.900, "kl_divergence": 0.900, "focal": 0.930, "gce": 0.900, "apl": 0.870, "js": 0.903}
"""Accuracy of each loss's best configurations: focal is better, gce equivalent, apl worse, js between the last two."""


def make_pooled(
    levels: Mapping[str, float] = LEVELS,
    *,
    budget: int | None = None,
    num_searches: int = 2,
    num_blocks: int = 12,
    spread: float = 0.002,
    without_winner: tuple[str, ...] = (),
) -> Study:
    """Searches of eight trials a loss, and what the rounds ask for until they end.

    A configuration is worse than its loss's level by up to six points. Both splits add noise: what all losses share on
    a seed, and a part of their own.
    """
    params = load_params(REPOSITORY / "params.yaml")
    params = Params.model_validate(
        params.model_dump()
        | {
            "losses": [*levels, *without_winner],
            "protocol": "pooled",
            "budget": None if budget is None else {"trainings": budget},
            "tune": params.tune.model_dump() | {"num_searches": num_searches, "trials_per_loss": NUM_TRIALS},
            "confirm": params.confirm.model_dump() | {"num_blocks": num_blocks},
        }
    )
    tune = [_trial(loss, level, 0, index, spread) for loss, level in levels.items() for index in range(NUM_TRIALS)]
    tune += [
        make_record(loss=loss, index=index, status="diverged", learning_rate=_rate(0, index))
        for loss in without_winner
        for index in range(NUM_TRIALS)
    ]
    confirm: list[Record] = []
    while True:
        found = follow_records(params, [*tune, *confirm], budget)
        pools, course = found.pools, found.course
        if course.is_complete:
            break
        for loss, search in course.missing_trials:
            tune += [_trial(loss, levels[loss], search, index, spread) for index in range(NUM_TRIALS)]
        for loss, trial, block in course.missing_blocks:
            confirm.append(_block(pools.trial(loss, trial), levels[loss], block, spread))
    if "kl_divergence" in levels:
        first = next(record for record in confirm if record.configuration.loss == "cross_entropy" and record.index == 0)
        confirm.append(_retrained(first, 0, first.test["accuracy"], role="control", loss="kl_divergence"))
    confirm += [
        _retrained(record, record.index, 0.5, role="degraded")
        for record in confirm
        if record.configuration.loss == "cross_entropy" and record.index < num_degraded(params)
    ]
    return Study(params, tune, confirm, EQUALS, budget)


class Example(Study):
    """A pooled study with two undecided losses, whose numbers do not depend on the rules of the rounds.

    For gce the budget of 220 trainings ended, and about 1,077 more would settle it. js was set aside at the first look
    and needs 6,462.
    """

    def results(self) -> Results:
        found = super().results()
        assert found.rounds is not None
        undecided = {
            "gce": (1077, "budget", {"low": -0.0089, "high": 0.0024, "num_searches": 2, "num_blocks": 10, "look": 1}),
            "js": (6462, "out of reach", _UNBOUNDED | {"num_searches": 1, "num_blocks": 4, "look": 0, "p_holm": None}),
        }
        losses = []
        for loss in found.losses:
            if loss.loss in undecided:
                needed, reason, difference = undecided[loss.loss]
                update = {"decision": "undecided", "reason": reason, "trainings_needed": needed}
                update["difference"] = loss.difference.model_copy(update=difference)
                loss = loss.model_copy(update=update)
            losses.append(loss)
        rounds = found.rounds.model_copy(update={"num_trainings": 219, "budget": 220, "num_controls": 9})
        # So that 26 trainings of a yardstick are known: two searches and ten blocks.
        update = {"losses": tuple(losses), "rounds": rounds, "num_searches": 2, "num_blocks": 10}
        return found.model_copy(update=update)


_UNBOUNDED = {"low": -math.inf, "high": math.inf}


def make_example() -> Example:
    """Return the example, of which whatever is undecided is known."""
    study = make_pooled(LEVELS, budget=220)
    return Example(study.params, study.tune, study.confirm, study.equals, study.budget)


def _rate(search: int, index: int) -> float:
    return 1e-3 if index == 0 else float(10 ** np.random.default_rng([5, search, index]).uniform(-5, -1))


def _noise(*coordinates: object) -> float:
    return float(np.random.default_rng([zlib.crc32(str(part).encode()) for part in coordinates]).normal())


def _true(level: float, search: int, index: int) -> float:
    return level - 0.06 * float(np.random.default_rng([7, search, index]).uniform()) ** 2


def _trial(loss: str, level: float, search: int, index: int, spread: float) -> Record:
    accuracy = _true(level, search, index) + spread * _noise("trial", loss, search, index)
    return make_record(loss=loss, search=search, index=index, accuracy=accuracy, learning_rate=_rate(search, index))


def _block(trial: Record, level: float, block: int, spread: float) -> Record:
    loss = trial.configuration.loss
    accuracy = _true(level, trial.search, trial.index) + spread * (_noise("block", block) + _noise(loss, block))
    return _retrained(trial, block, accuracy)


def _retrained(record: Record, block: int, accuracy: float, *, role: str = "block", loss: str | None = None) -> Record:
    configuration = record.configuration
    return make_record(
        loss=loss or configuration.loss,
        stage="confirm",
        role=role,
        index=block,
        accuracy=accuracy,
        seed=1000 + block,
        learning_rate=configuration.learning_rate,
    )
