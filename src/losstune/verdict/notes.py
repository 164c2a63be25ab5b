"""Notes on the verdict: limits and problems of the study."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from losstune.config.schema import Params
from losstune.study.registration import Earlier
from losstune.verdict import wording
from losstune.verdict.control_results import Control
from losstune.verdict.facts import Rounds
from losstune.verdict.results import LossResult


def notes_on(
    losses: Sequence[LossResult],
    control: Control,
    params: Params,
    earlier: Sequence[Earlier],
    worst: float | None = None,
    rounds: Rounds | None = None,
) -> Iterator[str]:
    """Yield one note for each limit of the study and each problem in it.

    Args:
        losses: The losses with their decisions.
        control: Results of the controls.
        params: The study's settings.
        earlier: Earlier registrations, under which the test split was read.
        worst: The score with which diverged and failed trainings count.
        rounds: What a pooled study spent; None if the searches are replicated.
    """
    for registration in earlier:
        yield (
            f"The rules were changed after the test split was read: first registered as "
            f"{registration.protocol[:12]}, with these differences: {'; '.join(registration.differs) or 'none'}. "
            "The p-values do not account for this."
        )
    if control.positive is not None and control.positive.detected is None:
        yield (
            f"There are too few blocks to find {params.baseline} at a hundredth of its learning rate worse, "
            "so the positive control is not informative."
        )
    if control.positive is None:
        yield "No positive control: it is not known whether the study can detect a bad loss (confirm.positive_control)."
    num_candidates = sum(result.part == "candidate" and result.difference is not None for result in losses)
    if rounds is not None:
        yield from _on_rounds(losses, params, rounds)
    elif num_candidates and params.confirm.stopping == "fixed":
        num_blocks, alpha = params.confirm.num_blocks, params.report.alpha
        blocks, rivals = wording.count(num_blocks, "block"), wording.count(num_candidates, "loss", "losses")
        fewest = math.ceil(math.log2(2.0 * num_candidates / alpha))
        if num_blocks < fewest:
            yield (
                f"With {blocks} and {rivals}, no corrected p-value can reach {alpha:g}. A loss can be found "
                f"better or worse with {fewest} blocks or more, and more easily with {fewest + 2} (confirm.num_blocks)."
            )
        elif num_blocks == fewest:
            least = wording.p_value(2.0 * num_candidates / 2.0**num_blocks)
            yield (
                f"{blocks} are just enough for {rivals}: the smallest Holm p-value is {least}, for a loss that is "
                f"ahead or behind in every block. One tie with {params.baseline} doubles it, to more than {alpha:g}. "
                f"{fewest + 2} or more blocks allow ties (confirm.num_blocks)."
            )
    if control.identity is None and not control.pairs:
        yield (
            "No control: the study has no two identical losses, so it is not known how much two losses differ by the "
            "search alone. Add kl_divergence to a study with cross_entropy to get a control."
        )
    for result in losses:
        if result.winner is None:
            search = "one of its searches" if rounds is None else "its first search"
            yield f"{result.loss} has no winner: all trials of {search} diverged or failed."
        elif result.num_failed_blocks:
            failed = f"{result.num_failed_blocks} of {wording.count(len(result.blocks), 'block')}"
            yield f"{result.loss} diverged or failed in {failed}, counted with {_worst(params, worst)}."


def _on_rounds(losses: Sequence[LossResult], params: Params, rounds: Rounds) -> Iterator[str]:
    """Yield why losses of a pooled study were not settled."""
    undecided = [result for result in losses if result.decision == "undecided" and result.difference is not None]
    first = [result.loss for result in undecided if result.difference and result.difference.look == 0]
    if first:
        yield (
            "Set aside after the first search, because all trainings that were left would not have settled them: "
            f"{wording.enumeration(first)}. Their differences have no interval."
        )
    for reason, text in (
        ("out of reach", "Set aside, because all trainings that were left would not have settled them"),
        ("budget", f"Not settled when the budget of {rounds.budget:,} trainings ended" if rounds.budget else ""),
        ("limit", "Not settled with all searches and blocks (tune.num_searches, confirm.num_blocks)"),
    ):
        names = [result.loss for result in undecided if result.reason == reason and result.loss not in first]
        if names:
            yield f"{text}: {wording.enumeration(names)}."


def _worst(params: Params, worst: float | None) -> str:
    measure = params.tune.measure
    if worst is None or math.isfinite(measure.worst):
        return "the worst scores"
    units = wording.Units(measure.name, measure.minimize, measure.percent, params.report.rope)
    return f"{units.label} {units.score(worst)}, the worst validation score of any trial and epoch of the search"
