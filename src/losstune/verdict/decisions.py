"""The decision on every loss, from its difference from the baseline."""

from __future__ import annotations

from collections.abc import Sequence

from losstune import statistics
from losstune.config.schema import Params
from losstune.verdict.comparison import blocks_needed, compare, decide
from losstune.verdict.control_results import Control
from losstune.verdict.results import LossResult
from losstune.verdict.rules import Rules, generator_of


def compare_with_baseline(losses: Sequence[LossResult], params: Params, rules: Rules) -> list[LossResult]:
    """Add the paired differences and, for the candidates, Holm's p-values."""
    metric = params.tune.measure.name
    differences = compare(
        {result.loss: [block[metric] for block in result.blocks] for result in losses if result.blocks},
        params.baseline,
        [result.loss for result in losses if result.part == "candidate" and result.blocks],
        rules,
        lambda loss: generator_of(params, "difference", loss, params.baseline),
    )
    return [result.model_copy(update={"difference": differences.get(result.loss)}) for result in losses]


def decide_all(losses: Sequence[LossResult], control: Control, rules: Rules) -> list[LossResult]:
    """Add the decisions on the candidates, and the blocks that undecided ones need. None if a control failed."""
    if not has_held(control):
        return list(losses)
    num_candidates = sum(result.part == "candidate" and result.difference is not None for result in losses)
    judged = []
    for result in losses:
        if result.part == "candidate" and result.difference is not None:
            decision = decide(
                result.difference,
                alpha=rules.alpha,
                rope=rules.rope,
                noise_floor=control.noise_floor,
                minimize=rules.minimize,
            )
            needed = None
            if decision == "undecided":
                needed = blocks_needed(
                    result.difference, num_blocks=len(result.blocks), num_candidates=num_candidates, rules=rules
                )
            result = result.model_copy(update={"decision": decision, "blocks_needed": needed})
        judged.append(result)
    return judged


def add_overtakes(losses: Sequence[LossResult], baseline: str, sign: int) -> list[LossResult]:
    """Add the numbers of trials at which the best trial of a loss starts, or stops, to beat the baseline's best.

    Args:
        losses: The results.
        baseline: Name of the baseline.
        sign: Factor that makes larger scores better.
    """
    gains = {result.loss: [sign * score for score in result.best_of] for result in losses}
    return [
        result
        if result.loss == baseline
        else result.model_copy(update={"overtakes": tuple(statistics.overtakes(gains[result.loss], gains[baseline]))})
        for result in losses
    ]


def has_held(control: Control) -> bool:
    """Return whether no control failed; otherwise there are no decisions."""
    identity, positive = control.identity, control.positive
    return (identity is None or identity.passed) and (positive is None or positive.detected is not False)
