"""What a study will train, in words, and hints on settings of its protocol that do not do what they seem to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from losstune.config.protocol import FEWEST_DRAWS
from losstune.config.schema import Params
from losstune.losses.registry import identical_to
from losstune.stages.budgets import first_look
from losstune.study.plan_size import num_controls, num_degraded, num_trainings
from losstune.verdict.forecast import first_claim
from losstune.verdict.pools import rules_of

_OF_ROUNDS = "further searches, blocks and controls, in rounds"


def plan_rows(params: Params) -> Iterator[tuple[str, str]]:
    """Yield a row each on the trainings of ``tune`` and ``confirm``, on the budget and on the protocol."""
    num_losses, tune, confirm = len(params.loss_names), params.tune, params.confirm
    num_tuned, num_confirmed = num_trainings(params)
    if params.is_pooled:
        size = tune.trials_per_loss
        yield "tune", f"one search of {size} trials for each of {num_losses} losses = {num_tuned:,} trainings"
        most = "what the budget pays for" if num_confirmed is None else f"at most {num_confirmed:,} trainings"
        yield "confirm", f"{_OF_ROUNDS}: {most}"
        yield "budget", _budget(params)
    else:
        searches = f"{tune.num_searches} searches x {tune.trials_per_loss} trials"
        yield "tune", f"{num_losses} losses x {searches} = {num_tuned:,} trainings"
        most = "at most " if confirm.stopping == "anytime" else ""
        blocks = f"{num_losses} losses x {confirm.num_blocks} blocks{_controls(params)}"
        yield "confirm", f"{blocks} = {most}{num_confirmed:,} trainings"
    yield "protocol", _protocol(params)


def total_of(studies: Iterable[Params]) -> str:
    """Return the number of trainings of several studies, such as ``at most 1,200 trainings``."""
    studies = list(studies)
    numbers = [number for params in studies for number in num_trainings(params)]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers):
        return f"{sum(known):,} trainings and what the budgets pay for"
    is_most = any(params.is_pooled or params.confirm.stopping == "anytime" for params in studies)
    return f"{'at most ' * is_most}{sum(known):,} trainings"


def protocol_notes(params: Params) -> Iterator[tuple[str, str]]:
    """Yield hints: a topic and a line each."""
    budget, tune = params.budget, params.tune
    if budget is not None:
        given = [
            f"{section}.{key}"
            for section, key, settings in (("tune", "num_searches", tune), ("confirm", "num_blocks", params.confirm))
            if key in settings.model_fields_set
        ]
        if given:
            yield "budget", f"{' and '.join(given)} {'has' if len(given) == 1 else 'have'} no effect with a budget"
        needed = fewest_to_decide(params)
        if budget.trainings is not None and first_look(params) <= budget.trainings < needed:
            yield (
                "budget",
                f"{budget.trainings:,} trainings pay for the first look, which decides nothing; the second look needs "
                f"{needed:,}, or fewer if the first one sets losses aside",
            )
    elif params.protocol == "pooled" and not params.is_pooled and _is_only_too_small(params):
        draws = tune.num_searches * (tune.trials_per_loss - 1)
        advice = (
            "tune.trials_per_loss: 2 or more"
            if tune.trials_per_loss < 2
            else f"budget: {{trainings: {fewest_to_decide(params)}}} or more in place of tune.num_searches and "
            f"confirm.num_blocks, or tune.num_searches: {math.ceil(FEWEST_DRAWS / (tune.trials_per_loss - 1))} or more"
        )
        yield (
            "protocol",
            f"{draws} random configurations for each loss are too few for a pool of searches, which needs "
            f"{FEWEST_DRAWS} and settles more at the same price; for it, write {advice}",
        )


def fewest_to_decide(params: Params) -> int:
    """Return the trainings up to the first look that may decide, if all losses are still in the race."""
    return first_claim(rules_of(params, None, num_controls(params), 0))


def _budget(params: Params) -> str:
    budget = params.budget
    if budget is None:
        return f"at most {params.tune.num_searches} searches and {params.confirm.num_blocks} blocks for each loss"
    if budget.trainings is not None:
        return f"{budget.trainings:,} trainings"
    return (
        f"{budget.minutes:g} minutes on this machine; after `losstune prepare`, `losstune cost` says how many "
        "trainings that is"
    )


def _protocol(params: Params) -> str:
    reason = params.not_pooled_because
    if reason is None:
        return "pooled"
    return "replicated" if params.protocol == "replicated" else f"replicated, because {reason}"


def _controls(params: Params) -> str:
    equal_loss, degraded = identical_to(params.baseline, params.loss_names), num_degraded(params)
    text = f" + 1 control ({equal_loss} as {params.baseline})" if equal_loss else ""
    return text + (f" + {degraded} of the degraded {params.baseline}" if degraded else "")


def _is_only_too_small(params: Params) -> bool:
    return (params.not_pooled_because or "").startswith("tune: ")
