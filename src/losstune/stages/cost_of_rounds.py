"""What ``losstune cost`` says about the rounds of a pooled study: what is left to train, and what it can decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from losstune.core.records import Entry, Record
from losstune.stages import budgets, confirm, pooled
from losstune.stages.study import Study
from losstune.study.jobs import Job
from losstune.study.ledger import Ledger
from losstune.study.plan import FixedPlan
from losstune.study.plan_size import num_controls, num_trainings
from losstune.verdict.course import UNLIMITED, Course, RoundRules
from losstune.verdict.forecast import TYPICAL, Reach, Spread, first_claim, forecast, spreads_of
from losstune.verdict.pooled import follow_records
from losstune.verdict.pools import rules_of
from losstune.verdict.wording import Units


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """The rounds, as far as they are known.

    Attributes:
        study: The study.
        kept: Finished trainings of ``confirm``.
        missing: Its missing trainings that are known.
        budget: Most trainings of the study; None if the settings name numbers of searches and blocks, or if it is not
            known yet how many the minutes pay for.
        most: Most trainings of ``confirm``; None if not known yet.
        is_open: Whether fewer may be needed.
        course: The course so far; None before ``tune`` is finished.
    """

    study: Study
    kept: Sequence[Entry]
    missing: Sequence[Job]
    budget: int | None
    most: int | None
    is_open: bool
    course: tuple[Course, RoundRules] | None = None

    @classmethod
    def of(cls, study: Study, tuned: Sequence[Entry], ledger: Ledger) -> Rounds:
        """Plan the rounds as far as the trials of ``tune`` allow.

        Raises:
            LosstuneError: If the budget does not pay for the first look.
        """
        params, trials = study.params, [entry.record for entry in tuned]
        if len(trials) == num_trainings(params)[0]:
            budget = budgets.num_trainings(study, [entry.execution for entry in tuned])
            plan = confirm.pooled_plan(study, trials, budget, ledger)
            missing = list(iter(plan.next, None))
            found = follow_records(params, [*trials, *(entry.record for entry in plan.entries())], budget)
            return cls(
                study=study,
                kept=plan.kept,
                missing=missing,
                budget=budget,
                most=plan.total,
                is_open=plan.is_open,
                course=(found.course, found.rules),
            )
        budgets.require_budget(params)
        budget = budgets.known(study)
        kept, missing = _first_blocks(study, trials, ledger)
        most = num_trainings(params, budget)[1]
        return cls(study=study, kept=kept, missing=missing, budget=budget, most=most, is_open=True)

    def paid_by(self, each_sec: float) -> Rounds:
        """Return the same with the budget that the minutes pay for, at so many seconds a training.

        Raises:
            LosstuneError: If it does not pay for the first look, or the number of workers is not known.
        """
        budget = budgets.in_minutes(self.study, each_sec)
        return replace(self, budget=budget, most=num_trainings(self.study.params, budget)[1])

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield what a budget in minutes pays for, and what the largest study can decide."""
        params = self.study.params
        if params.budget is not None and params.budget.minutes is not None:
            registered = "; registered" if budgets.registered(self.study) else ""
            yield "budget", f"{params.budget.minutes:g} minutes pay for {self.budget:,} trainings{registered}"
        for number, line in enumerate(self._decides()):
            yield "" if number else "decides", line

    def _decides(self) -> Iterator[str]:
        params = self.study.params
        course, rules = self.course or (None, rules_of(params, None, num_controls(params), self.budget))
        own = spreads_of(course) if course is not None else ()
        measure = params.tune.measure
        if not own and measure.name != "accuracy":
            yield "`losstune cost` knows what this study can decide once its first round is finished"
            return
        spreads = (own,) if own else TYPICAL
        units = Units(measure.name, measure.minimize, measure.percent, params.report.rope)
        shared, alone = (
            _described(rules, course, spreads, units, power=params.report.power, alone=alone) for alone in (False, True)
        )
        if alone is None:
            yield (
                "nothing: the budget ends before the first look that may decide, which needs "
                f"{first_claim(rules):,} trainings if all losses are still in the race"
            )
            return
        where = "where all losses go on to the end"
        yield f"with {params.report.power:.0%} power, {where}: {shared or 'nothing, because the budget ends before'}"
        if alone != shared:
            yield f"for a loss that gets all that is left: {alone}"
        known = "the variances of this study's rounds so far"
        typical = "typical variances, until the first round shows this study's own"
        yield f"by {known if own else typical}; the ROPE is {units.amount(units.rope)}"


def _described(
    rules: RoundRules,
    course: Course | None,
    spreads: Sequence[Sequence[Spread]],
    units: Units,
    *,
    power: float,
    alone: bool,
) -> str | None:
    """Return, say, ``differences of 0.94 points, equivalence within 0.81``; None if nothing can be decided."""
    found = [forecast(rules, course, known, power=power, alone=alone) for known in spreads]
    reached = [reach for reach in found if reach is not None]
    if not reached:
        return None
    parts = []
    if all(reach.difference is not None for reach in reached):
        parts.append(f"differences of {_range(reached, units, of_margin=False)}{units.points}")
    parts.append(f"equivalence within {_range(reached, units, of_margin=True)}")
    return ", ".join(parts)


def _range(reached: Sequence[Reach], units: Units, *, of_margin: bool) -> str:
    values = [reach.margin if of_margin else reach.difference or 0.0 for reach in reached]
    return " to ".join(dict.fromkeys(units.size(value) for value in (min(values), max(values))))


def _first_blocks(study: Study, trials: Sequence[Record], ledger: Ledger) -> tuple[list[Entry], list[Job]]:
    """Return the finished and the missing trainings of the first look, of losses whose search is finished."""
    if not any(record.configuration.loss == study.params.baseline for record in trials):
        return [], []
    any_budget = None if study.params.budget is None else UNLIMITED  # the first look is the same with each
    jobs = [job for job in pooled.growing(study, trials, any_budget)([]) if job.stage == "confirm"]
    plan = FixedPlan(jobs, ledger)
    return plan.kept, list(iter(plan.next, None))
