"""The verdict in one sentence: which loss to train with."""

from __future__ import annotations

import math
from collections.abc import Sequence

from losstune.verdict import wording
from losstune.verdict.control_results import Control
from losstune.verdict.numbers import Difference
from losstune.verdict.results import LossResult, Verdict
from losstune.verdict.wording import Units


def draw_verdict(
    losses: Sequence[LossResult],
    control: Control,
    *,
    place: str,
    units: Units,
    baseline: str,
    is_amended: bool = False,
    pooled_trials: int | None = None,
) -> Verdict:
    """Return the verdict: which loss to train with.

    There is no verdict if a control failed, the baseline has no winner, or there is no candidate.

    Args:
        losses: The losses with their decisions.
        control: Results of the controls.
        place: The data and the model, such as ``digits with the cnn``.
        units: How differences are shown.
        baseline: Name of the baseline.
        is_amended: Whether the rules were changed after the test split was read. The sentence says so.
        pooled_trials: Of a pooled study, the trials of a search, whose expected result is compared.
    """
    after = _noise_floor(control, units) + (
        " The rules were changed after the test split was read." if is_amended else ""
    )
    reason = _why_no_verdict(losses, control, baseline, units)
    if reason:
        return Verdict(action="none", loss=None, sentence=f"No verdict on {place}: {reason}.")
    candidates = sorted(
        ((result, result.difference) for result in losses if result.part == "candidate" and result.difference),
        key=lambda pair: -units.sign * pair[1].mean,
    )
    better = [(result, difference) for result, difference in candidates if result.decision == "better"]
    if better:
        (best, difference), others = better[0], [result.loss for result, _ in better[1:]]
        verb = "beats" if len(others) == 1 else "beat"
        also = f"; {wording.enumeration(others)} {verb} it too" if others else ""
        how = (
            _in_blocks(best, next(result for result in losses if result.loss == baseline), units)
            if pooled_trials is None
            else f"each tuned with {wording.count(pooled_trials, 'trial')}"
        )
        sentence = (
            f"On {place}, use {best.loss}: it beats {baseline} by {_plus_minus(difference, units)}{units.of_metric}, "
            f"{how}{also}.{after}"
        )
        return Verdict(action="use", loss=best.loss, sentence=sentence)
    closest, difference = candidates[0]
    standing = _standing(closest, difference, control, units)
    decisions = [result.decision for result, _ in candidates]
    if len(candidates) == 1:
        sentence = f"On {place}, keep {baseline}: {closest.loss} is not shown to beat it; {standing}.{after}"
    else:
        tally = ", ".join(
            f"{decisions.count(decision)} {decision}"
            for decision in ("equivalent", "worse", "undecided")
            if decision in decisions
        )
        lead = (
            f"no loss of {len(candidates)} was ahead"
            if units.is_zero(difference.mean) or units.sign * difference.mean < 0
            else f"no loss of {len(candidates)} was ahead by more than {units.amount(difference.mean)}"
        )
        sentence = f"On {place}, keep {baseline}: {lead} in {units.label} ({tally}); {standing}.{after}"
    return Verdict(action="keep", loss=baseline, sentence=sentence)


def _in_blocks(best: LossResult, baseline: LossResult, units: Units) -> str:
    num_better = sum(
        units.sign * ours[units.metric] > units.sign * theirs[units.metric]
        for ours, theirs in zip(best.blocks, baseline.blocks, strict=False)
    )
    word = "lower" if units.minimize else "higher"
    return f"{word} in {num_better} of {wording.count(len(best.blocks), 'block')}"


def _why_no_verdict(losses: Sequence[LossResult], control: Control, baseline: str, units: Units) -> str:
    if not next(result for result in losses if result.loss == baseline).scores:
        return f"every trial of the baseline {baseline} diverged or failed"
    if control.identity is not None and not control.identity.passed:
        return (
            f"{control.identity.loss} equals {baseline} and was trained on the same seeds, but gave a different "
            f"model ({control.identity.detail}), so no difference between losses can be trusted"
        )
    positive = control.positive
    if positive is not None and positive.detected is False:
        return (
            f"{baseline} at a hundredth of its learning rate was not found worse than {baseline} itself "
            f"({_with_interval(positive.difference, units)}), so this study could not detect a bad loss either"
        )
    if not any(result.part == "candidate" for result in losses):
        return f"there is no loss to compare with {baseline}"
    if not any(result.part == "candidate" and result.difference for result in losses):
        return f"every trial of every loss but {baseline} diverged or failed"
    return ""


def _standing(result: LossResult, difference: Difference, control: Control, units: Units) -> str:
    is_ahead = units.sign * difference.mean > 0
    stands = "differs" if units.is_zero(difference.mean) else "is ahead" if is_ahead else "is behind"
    start = f"{result.loss} {stands} by {_plus_minus(difference, units)}{units.points}"
    if result.decision == "equivalent":
        return f"{start}, which is equivalent, within ±{units.size(units.rope)}"
    if result.decision != "undecided":
        return f"{start}, which is {result.decision}"
    if control.noise_floor is not None and abs(difference.mean) <= control.noise_floor:
        start += ", within the noise floor"
    if result.further is not None:
        return f"{start}, undecided: {result.further} could settle it"
    number = "no affordable number of trainings" if result.reason else "no number of blocks"
    return f"{start}, undecided: {number} would settle it"


def _noise_floor(control: Control, units: Units) -> str:
    if control.noise_floor is None:
        return ""
    widest = max(control.pairs, key=lambda pair: abs(pair.difference.mean))
    return (
        f" Noise floor: {widest.loss} and {widest.equals} are identical losses and differ by "
        f"{units.amount(control.noise_floor)} here when tuned separately."
    )


def _plus_minus(difference: Difference, units: Units) -> str:
    """Return ``0.12 ± 0.20``: the size, and the longer half of the interval."""
    reach = max(difference.mean - difference.low, difference.high - difference.mean)
    size = units.size(difference.mean)
    return f"{size} (unbounded)" if math.isinf(reach) else f"{size} ± {units.size(reach)}"


def _with_interval(difference: Difference, units: Units) -> str:
    interval = units.interval(difference.low, difference.high)
    return f"{units.difference(difference.mean)}{units.points} {interval}"
