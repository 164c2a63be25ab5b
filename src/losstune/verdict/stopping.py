"""Check the number of blocks against the stopping rule of an anytime study."""

from __future__ import annotations

from collections.abc import Sequence

from losstune import statistics
from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from losstune.verdict.results import LossResult


def require_stopping(losses: Sequence[LossResult], params: Params) -> None:
    """Raise, with anytime stopping, if a number of blocks contradicts the stopping rule.

    Raises:
        LosstuneError: If a loss has too few or too many blocks.
    """
    if params.confirm.stopping != "anytime":
        return
    metric = params.tune.measure.name
    baseline = next(result for result in losses if result.loss == params.baseline)
    candidates = [result for result in losses if result.part == "candidate" and result.blocks]
    for result in candidates:
        differences = [
            ours[metric] - theirs[metric] for ours, theirs in zip(result.blocks, baseline.blocks, strict=False)
        ]
        decision, num_blocks = statistics.first_decision(
            differences,
            alpha=params.report.alpha,
            num_candidates=len(candidates),
            rope=params.report.rope,
            every=params.tune.num_searches,
        )
        if decision is None and len(result.blocks) < params.confirm.num_blocks:
            raise LosstuneError(
                f"{result.loss} has {len(result.blocks)} blocks, and its e-process has not decided: "
                "finish `losstune confirm`"
            )
        if num_blocks < len(result.blocks):
            raise LosstuneError(
                f"{result.loss} has {len(result.blocks)} blocks, and its e-process decided after {num_blocks}: "
                "run `losstune confirm` again"
            )
