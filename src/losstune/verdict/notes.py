"""Notes beside the verdict: what limits it, and what went wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from losstune.config.schema import Params
from losstune.study.registration import Earlier
from losstune.verdict import wording
from losstune.verdict.control_results import Control
from losstune.verdict.results import LossResult


def notes_on(
    losses: Sequence[LossResult], control: Control, params: Params, earlier: Sequence[Earlier]
) -> Iterator[str]:
    """Yield a sentence for each thing that limits what the study can say, or that went wrong in it.

    Args:
        losses: Judged.
        control: Whether the study can be trusted.
        params: The study's settings.
        earlier: Registrations under which the test split had been read before.
    """
    for registration in earlier:
        yield (
            f"The rules were changed after the test split had been read: registered first as "
            f"{registration.protocol[:12]}, where {'; '.join(registration.differs) or 'nothing differs'}. "
            "No p-value here accounts for that."
        )
    if control.positive is not None and control.positive.detected is None:
        yield (
            f"Not even {params.baseline} at a hundredth of its learning rate can be found worse on so few blocks, "
            "so the positive control says nothing."
        )
    if control.positive is None:
        yield "No positive control: nothing shows that a bad loss would be found (confirm.positive_control)."
    num_candidates = sum(result.part == "candidate" and result.difference is not None for result in losses)
    if num_candidates and params.confirm.stopping == "fixed":
        num_blocks, alpha = params.confirm.num_blocks, params.report.alpha
        blocks, rivals = wording.count(num_blocks, "block"), wording.count(num_candidates, "loss", "losses")
        fewest = math.ceil(math.log2(2.0 * num_candidates / alpha))
        if num_blocks < fewest:
            yield (
                f"With {blocks} no p-value over {rivals} can reach {alpha:g}: a loss can be found better or worse "
                f"from {fewest} blocks on, and more easily from {fewest + 2} (confirm.num_blocks)."
            )
        elif num_blocks == fewest:
            least = wording.p_value(2.0 * num_candidates / 2.0**num_blocks)
            yield (
                f"{blocks} are just enough for {rivals}: Holm's p-value is {least} at best, for a loss that is ahead "
                f"or behind in every block, and one tie with {params.baseline} doubles that, above {alpha:g}. "
                f"{fewest + 2} or more leave room for ties (confirm.num_blocks)."
            )
    if control.identity is None and not control.pairs:
        yield (
            "No control: the study has no loss that equals another, so nothing shows by how much the search "
            "alone makes two losses differ. Adding kl_divergence beside cross_entropy gives one."
        )
    for result in losses:
        if result.winner is None:
            yield f"{result.loss} has no winner: all trials of one of its searches diverged or failed."
        elif result.num_failed_blocks:
            lost = f"{result.num_failed_blocks} of {wording.count(len(result.blocks), 'block')}"
            yield f"{result.loss} diverged or failed in {lost}, counted with the worst scores."
