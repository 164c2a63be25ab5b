"""The records of a pooled study, as the rounds read them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np

from losstune.config.schema import Params
from losstune.core.metric import Metric
from losstune.core.records import Record
from losstune.losses.registry import identical_losses
from losstune.statistics import Order
from losstune.study.selection import order_of
from losstune.verdict.course import UNLIMITED, RoundRules, Trials
from losstune.verdict.failures import has_failed, with_worst, worst_score


class Pools:
    """The trials and blocks of a pooled study.

    Trial number t of a loss is trial ``t % size`` of its search ``t // size``. A block has the number of its fresh seed
    and the search 0, because it belongs to the pool and not to one search.

    Args:
        records: All records of the study.
        measure: The study's metric.
        size: Trials of a search.

    Attributes:
        worst: Score of a configuration that diverged or failed, see :func:`losstune.verdict.failures.worst_score`. It
            comes from the first searches, which all losses have before the test split is read.
    """

    def __init__(self, records: Iterable[Record], measure: Metric, size: int) -> None:
        records = list(records)
        self.measure, self.size = measure, size
        self.worst = worst_score((r for r in records if r.role == "trial" and r.search == 0), measure)
        records = with_worst(records, measure.name, self.worst)
        self._trials: dict[str, dict[int, Record]] = {}
        self._blocks: dict[tuple[str, int], Record] = {}
        for record in records:
            loss = record.configuration.loss
            if record.role == "trial":
                self._trials.setdefault(loss, {})[record.search * size + record.index] = record
            elif record.role == "block":
                self._blocks[loss, record.index] = record
        self._known: dict[tuple[str, int], Trials | None] = {}

    def trial(self, loss: str, number: int) -> Record:
        """Return a trial's record."""
        return self._trials[loss][number]

    def block(self, loss: str, number: int) -> Record | None:
        """Return a block's record; None if it is missing."""
        return self._blocks.get((loss, number))

    def blocks(self, loss: str) -> list[Record]:
        """Return the finished blocks of a loss."""
        return [record for (owner, _), record in self._blocks.items() if owner == loss]

    def num_trials(self, loss: str) -> int:
        """Return the number of trials of a loss."""
        return len(self._trials.get(loss, ()))

    @cached_property
    def entrants(self) -> list[str]:
        """The losses of which a trial of the first search has a result. Of the others there is nothing to retrain."""
        return [
            loss
            for loss, trials in self._trials.items()
            if any(record.search == 0 and not has_failed(record) for record in trials.values())
        ]

    def trials(self, loss: str, num_searches: int) -> Trials | None:
        """Return the trials of a loss's first searches; None if one is missing."""
        if (loss, num_searches) not in self._known:
            self._known[loss, num_searches] = self._read(loss, num_searches)
        return self._known[loss, num_searches]

    def score(self, loss: str, trial: int, block: int) -> float | None:
        """Return the test score of a trial's configuration in a block; None if it was not trained."""
        record = self._blocks.get((loss, block))
        if record is None or record.test is None or record.configuration != self.trial(loss, trial).configuration:
            return None
        return record.test.get(self.measure.name)

    def _read(self, loss: str, num_searches: int) -> Trials | None:
        trials = self._trials.get(loss, {})
        if any(number not in trials for number in range(num_searches * self.size)):
            return None
        records = [trials[number] for number in range(num_searches * self.size)]
        is_default_T = np.array([record.index == 0 for record in records])
        return Trials(
            order=Order.of(order_of(records, self.measure), is_default_T),
            configuration_T=np.where(is_default_T, 0, np.arange(len(records))),
            validation_T=np.array([record.validation[self.measure.name] for record in records], np.float64),
            failed_T=np.array([has_failed(record) for record in records]),
        )


class Guessed:
    """The results so far, with guesses in place of blocks that are still training: to see what they will probably need.

    Args:
        pools: The results so far.
        missing: Loss, trial and block of the scores to guess.
    """

    def __init__(self, pools: Pools, missing: Iterable[tuple[str, int, int]]) -> None:
        self._pools, self._missing = pools, set(missing)

    def trials(self, loss: str, num_searches: int) -> Trials | None:
        """Return the trials of a loss's first searches; None if one is missing."""
        return self._pools.trials(loss, num_searches)

    def score(self, loss: str, trial: int, block: int) -> float | None:
        """Return the test score of a trial's configuration in a block, or the mean of the loss's blocks as a guess."""
        score = self._pools.score(loss, trial, block)
        if score is None and (loss, trial, block) in self._missing:
            metric = self._pools.measure.name
            known = [record.test[metric] for record in self._pools.blocks(loss) if record.test is not None]
            return float(np.mean(known)) if known else self._pools.trial(loss, trial).validation[metric]
        return score


def rules_of(params: Params, pools: Pools | None, num_controls: int, budget: int | None) -> RoundRules:
    """Return the rules of the rounds of a study.

    Args:
        params: The settings.
        pools: The results so far, for the losses that take part; None if all do.
        num_controls: Trainings of the controls.
        budget: Most trainings of the study; None if the settings name numbers of searches and blocks.
    """
    identical = identical_losses(params.loss_names, params.baseline)
    entrants = [loss for loss in params.loss_names if pools is None or loss in pools.entrants]
    has_budget = budget is not None
    return RoundRules(
        alpha=params.report.alpha,
        rope=params.report.rope,
        minimize=params.tune.measure.minimize,
        size=params.tune.trials_per_loss,
        most_searches=UNLIMITED if has_budget else params.tune.num_searches,
        most_blocks=UNLIMITED if has_budget else params.confirm.num_blocks,
        budget=budget,
        baseline=params.baseline,
        candidates=tuple(loss for loss in entrants if loss != params.baseline and loss not in identical),
        pairs=tuple((loss, equal) for loss, equal in identical.items() if {loss, equal} <= set(entrants)),
        num_controls=num_controls,
        worst=None if pools is None else pools.worst,
    )
