"""Compare the results of several studies.

Scores on different data are not comparable. So this module compares a loss's score minus the baseline's in the same
block, in units of the metric. The seed of the block, the model and the difficulty of the data cancel, and the ROPE and
the verdicts of the studies have the same unit. If lower is better, gains (differences with the opposite sign) are
ranked. The alternative, the fraction of the baseline's errors that a loss
removes, would give most weight to data on which the baseline makes few errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from losstune.core.errors import LosstuneError
from losstune.core.seeds import derive_seed
from losstune.report.across.cells import Cell, LossRead
from losstune.report.across.notes import notes_on
from losstune.report.across.results import Across, CellFacts, InCell, Interval, LossAcross, Standing
from losstune.report.across.sentence import sentence_of
from losstune.statistics.across import (
    against_baseline,
    interquartile_mean,
    nemenyi,
    performance_profile,
    probability_of_improvement,
    rank_methods,
)
from losstune.statistics.paired import Estimate
from losstune.verdict import wording
from losstune.verdict.wording import Units

Array = NDArray[np.float64]

MIN_METHODS = 3
NUM_THRESHOLDS = 81


def compare(cells: Sequence[Cell]) -> Across:
    """Compare the losses over all cells that have a verdict.

    If all trials of a loss in a cell diverged or failed, the loss counts there with the study's worst score in every
    block.

    Args:
        cells: Comparable cells, see :func:`losstune.report.across.cells.require_comparable`.

    Raises:
        LosstuneError: If fewer than two cells have a verdict, or they share fewer than three methods.
    """
    counted = [cell for cell in cells if cell.is_counted]
    if len(counted) < 2:
        missing = ", ".join(cell.name for cell in cells if not cell.is_counted)
        raise LosstuneError(
            f"found {wording.count(len(counted), 'study', 'studies')} with a verdict, expected two or more to compare; "
            f"without one: {missing}"
        )
    first = counted[0].study
    methods, identical, left_out = _sort_out(counted)
    gains = {loss: [_gains(cell, loss) for cell in counted] for loss in (*methods, *identical)}
    means_TM = np.array(
        [[_mean_gain(cell, loss, gains[loss][t]) for loss in methods] for t, cell in enumerate(counted)]
    )
    ranking = rank_methods(means_TM, alpha=first.alpha)
    p_holm = dict(zip(methods, against_baseline(means_TM, methods.index(first.baseline)), strict=True))
    p_nemenyi = nemenyi(means_TM) if ranking.p_friedman < 1.0 else np.ones((len(methods), len(methods)))
    thresholds = _thresholds([gains[loss] for loss in methods], max(c.study.rope for c in counted), first.percent)
    order = np.argsort(ranking.mean_ranks, kind="stable").tolist()
    iqms = {loss: _iqm(loss, runs, first.alpha) for loss, runs in gains.items()}
    noise_floor = _noise_floor(identical, gains, first.baseline, first.alpha)
    losses = []
    for loss in (*(methods[place] for place in order), *identical):
        is_baseline, is_identical = loss == first.baseline, loss in identical
        place = None if is_identical else methods.index(loss)
        losses.append(
            LossAcross(
                loss=loss,
                part="baseline" if is_baseline else identical[loss].part if is_identical else "candidate",
                equals=identical[loss].equals if is_identical else None,
                mean_rank=None if place is None else ranking.mean_ranks[place],
                p_holm=None if is_baseline or is_identical else p_holm[loss],
                standing=None
                if place is None or is_baseline
                else _standing(iqms[loss].value, noise_floor, p_holm[loss] <= first.alpha),
                iqm=None if is_baseline else _in_units(iqms[loss], first.minimize),
                improvement=None if is_baseline else _improvement(loss, gains[loss], first.alpha),
                profile=tuple(performance_profile(gains[loss], thresholds).tolist()),
                cells=tuple(_in_cell(cell, result) for cell in cells if (result := cell.study.of(loss))),
            )
        )
    facts = tuple(_facts(cell) for cell in cells)
    units = Units(first.metric, first.minimize, first.percent, min(cell.study.rope for cell in counted))
    num_data = len({cell.source for cell in counted})
    notes = notes_on(
        cells,
        losses,
        left_out,
        num_data=num_data,
        ranking=ranking,
        noise_floor=None if noise_floor is None else units.amount(noise_floor),
        without_winner=_without_winner(counted, methods),
    )
    return Across(
        metric=first.metric,
        minimize=first.minimize,
        percent=first.percent,
        baseline=first.baseline,
        alpha=first.alpha,
        cells=facts,
        num_data=num_data,
        losses=tuple(losses),
        p_friedman=ranking.p_friedman,
        critical_difference=ranking.critical_difference,
        noise_floor=noise_floor,
        groups=tuple(tuple(methods[place] for place in group) for group in ranking.groups),
        nemenyi=tuple(tuple(row) for row in p_nemenyi[np.ix_(order, order)].tolist()),
        thresholds=tuple(thresholds.tolist()),
        notes=notes,
        sentence=sentence_of(losses, facts, first.baseline, units, ranking.p_friedman),
    )


def _sort_out(cells: Sequence[Cell]) -> tuple[list[str], dict[str, LossRead], list[str]]:
    """Return the methods, the identical losses, and the losses that some cell lacks, each in the order of the studies.

    A loss that equals another in any cell counts as equal in all cells, even in a cell that lacks the other.

    Raises:
        LosstuneError: If too few methods remain.
    """
    every = list(dict.fromkeys(result.loss for cell in cells for result in cell.study.losses))
    shared = [loss for loss in every if all(cell.study.of(loss) for cell in cells)]
    identical: dict[str, LossRead] = {}
    for cell in cells:
        for result in cell.study.losses:
            if result.loss in shared and result.part in ("control", "alias"):
                identical.setdefault(result.loss, result)
    methods = [loss for loss in shared if loss not in identical]
    left_out = [loss for loss in every if loss not in shared]
    if len(methods) < MIN_METHODS:
        also = f"; {', '.join(left_out)} not in all of them" if left_out else ""
        raise LosstuneError(
            f"found {wording.count(len(methods), 'loss', 'losses')} in all {len(cells)} studies "
            f"({', '.join(methods)}), expected {MIN_METHODS} or more to rank{also}"
        )
    return methods, identical, left_out


def _gains(cell: Cell, loss: str) -> Array:
    """Return by how much a loss is ahead of the baseline in each block that both have."""
    study, result = cell.study, cell.study.of(loss)
    baseline = study.of(study.baseline)
    assert result is not None
    assert baseline is not None
    theirs = np.array([block[study.metric] for block in baseline.blocks])
    scores = [block[study.metric] for block in result.blocks]
    ours = np.array(scores) if scores else np.full_like(theirs, study.worst or 0.0)
    num_shared = min(len(ours), len(theirs))
    difference: Array = (ours[:num_shared] - theirs[:num_shared]).round(12)
    return -difference if study.minimize else difference


def _mean_gain(cell: Cell, loss: str, gains_B: Array) -> float:
    """Return by how much a loss is ahead: the mean over the blocks, or the estimate of a pooled study."""
    study, result = cell.study, cell.study.of(loss)
    if study.rounds is None or result is None or result.difference is None:
        return float(gains_B.mean())
    return -result.difference.mean if study.minimize else result.difference.mean


def _without_winner(cells: Sequence[Cell], methods: Sequence[str]) -> list[tuple[str, str]]:
    """Return the loss and the cell of each search without a finished training."""
    return [
        (loss, cell.name) for loss in methods for cell in cells if (result := cell.study.of(loss)) and not result.blocks
    ]


def _thresholds(gains: Sequence[Sequence[Array]], rope: float, percent: bool) -> Array:
    """Return evenly spaced thresholds around 0 that cover nine of ten blocks and at least twice the ROPE."""
    pooled = np.abs(np.concatenate([runs for by_cell in gains for runs in by_cell]))
    span = max(float(np.quantile(pooled, 0.9)), 2.0 * rope, 0.001 if percent else 1e-9)
    thresholds = np.linspace(-span, span, NUM_THRESHOLDS)
    return thresholds.round(6) if percent else thresholds


def _standing(iqm: float, noise_floor: float | None, is_significant: bool) -> Standing:
    if not is_significant or abs(iqm) <= (noise_floor or 0.0):
        return "undecided"
    return "better" if iqm > 0 else "worse"


def _noise_floor(
    identical: Mapping[str, LossRead], differences: Mapping[str, Sequence[Array]], baseline: str, alpha: float
) -> float | None:
    """Return the largest interquartile mean of the differences between an identical loss and what it equals."""
    found = []
    for name, equal_loss in identical.items():
        other = equal_loss.equals or baseline
        if other in differences:
            pairs = zip(differences[name], differences[other], strict=True)
            apart = [ours[: len(theirs)] - theirs[: len(ours)] for ours, theirs in pairs]
            found.append(abs(_iqm(name, apart, alpha).value))
    return max(found, default=None)


def _iqm(loss: str, differences: Sequence[Array], alpha: float) -> Interval:
    rng = np.random.default_rng(derive_seed(0, "across", "iqm", loss))
    return _interval(interquartile_mean(differences, confidence=1.0 - alpha, rng=rng))


def _improvement(loss: str, differences: Sequence[Array], alpha: float) -> Interval:
    rng = np.random.default_rng(derive_seed(0, "across", "improvement", loss))
    return _interval(probability_of_improvement(differences, confidence=1.0 - alpha, rng=rng))


def _in_units(gain: Interval, minimize: bool) -> Interval:
    """Return the difference of which this is the gain."""
    return Interval(value=-gain.value, low=-gain.high, high=-gain.low) if minimize else gain


def _interval(estimate: Estimate) -> Interval:
    return Interval(value=estimate.value, low=estimate.low, high=estimate.high)


def _in_cell(cell: Cell, result: LossRead) -> InCell:
    difference = result.difference
    return InCell(
        cell=cell.name,
        mean=difference.mean if difference else None,
        low=difference.low if difference else None,
        high=difference.high if difference else None,
        decision=result.decision if cell.is_counted else None,
    )


def _facts(cell: Cell) -> CellFacts:
    study = cell.study
    return CellFacts(
        name=cell.name,
        folder=cell.folder.as_posix(),
        study=study.study,
        data=study.data.name,
        model=study.model,
        rope=study.rope,
        num_blocks=study.num_blocks,
        is_counted=cell.is_counted,
        action=study.verdict.action,
        loss=study.verdict.loss,
        sentence=study.verdict.sentence,
    )
