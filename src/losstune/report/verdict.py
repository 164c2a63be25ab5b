"""The outcomes of all losses in one sentence: which loss to train with."""

from __future__ import annotations

from collections.abc import Sequence

from losstune.report import wording
from losstune.report.results import Control, Difference, LossResult, Verdict


def draw_verdict(
    losses: Sequence[LossResult],
    control: Control,
    *,
    data: str,
    model: str,
    metric: str,
    baseline: str,
    rope: float,
    is_amended: bool = False,
) -> Verdict:
    """Say which loss to train with.

    There is no verdict if a control failed, the baseline has no winner, or nothing can be held against it. A study
    whose rules were changed after the test split had been read (`is_amended`) is told so in the sentence itself.
    """
    where = f"{data} with the {model}"
    after = " The rules were changed after the test split had been read." if is_amended else ""
    reason = _why_no_verdict(losses, control, baseline)
    if reason:
        return Verdict(action="none", loss=None, sentence=f"No verdict on {where}: {reason}.")
    metric_name = wording.METRIC_NAMES[metric]
    candidates = sorted(
        (
            (result, result.difference)
            for result in losses
            if result.part == "candidate" and result.difference
        ),
        key=lambda pair: -pair[1].mean,
    )
    better = [(result, difference) for result, difference in candidates if result.outcome == "better"]
    if better:
        (best, difference), others = better[0], [result.loss for result, _ in better[1:]]
        verb = "beats" if len(others) == 1 else "beat"
        also = f"; {wording.enumeration(others)} {verb} it too" if others else ""
        rivals = next(result for result in losses if result.loss == baseline).blocks
        num_higher = sum(
            ours[metric] > theirs[metric] for ours, theirs in zip(best.blocks, rivals, strict=False)
        )
        sentence = (
            f"On {where}, use {best.loss}: {_with_interval(difference)} of {metric_name} over {baseline}, "
            f"Holm p {wording.p_value(difference.p_holm or 0.0)}, "
            f"higher in {num_higher} of {wording.count(len(best.blocks), 'block')}{also}.{after}"
        )
        return Verdict(action="use", loss=best.loss, sentence=sentence)
    closest, difference = candidates[0]
    standing = _standing(closest, difference, control, rope)
    if len(candidates) == 1:
        sentence = (
            f"On {where}, keep {baseline}: "
            f"{closest.loss} does not beat it in {metric_name}; it is {standing}.{after}"
        )
    else:
        outcomes = [result.outcome for result, _ in candidates]
        tally = ", ".join(
            f"{outcomes.count(outcome)} {outcome}"
            for outcome in ("equivalent", "worse", "undecided")
            if outcome in outcomes
        )
        sentence = (
            f"On {where}, keep {baseline}: none of {len(candidates)} other losses beats it in {metric_name} "
            f"({tally}); the closest, {closest.loss}, is {standing}.{after}"
        )
    return Verdict(action="keep", loss=baseline, sentence=sentence)


def _why_no_verdict(losses: Sequence[LossResult], control: Control, baseline: str) -> str:
    if not next(result for result in losses if result.loss == baseline).scores:
        return f"every trial of the baseline {baseline} diverged or failed"
    if control.identity is not None and not control.identity.passed:
        return (
            f"{control.identity.loss} equals {baseline} and was trained on the same seeds, yet it is not the "
            f"same model ({control.identity.detail}), so no difference between losses can be trusted"
        )
    positive = control.positive
    if positive is not None and positive.detected is False:
        return (
            f"{baseline} at a hundredth of its learning rate was not found worse than {baseline} itself "
            f"({_with_interval(positive.difference)}), so this study could not have found a bad loss either"
        )
    if not any(result.part == "candidate" for result in losses):
        return f"there is no loss to hold against {baseline}"
    if not any(result.part == "candidate" and result.difference for result in losses):
        return f"every trial of every loss but {baseline} diverged or failed"
    return ""


def _standing(result: LossResult, difference: Difference, control: Control, rope: float) -> str:
    start = f"{result.outcome} at {_with_interval(difference)}"
    if result.outcome == "equivalent":
        return f"{start}, within ±{100 * rope:.2f}"
    if result.outcome != "undecided":
        return start
    if result.blocks_needed is not None:
        return f"{start}, and {wording.further_blocks(result.blocks_needed)} would settle it"
    if control.noise_floor is not None and abs(difference.mean) <= control.noise_floor:
        floor = f"{100 * control.noise_floor:.2f} points"
        return f"{start}, no more than the {floor} by which two identical losses, tuned apart, differ here"
    return f"{start}, and no number of blocks would settle it"


def _with_interval(difference: Difference) -> str:
    return f"{wording.points(difference.mean)} points {wording.interval(difference.low, difference.high)}"
