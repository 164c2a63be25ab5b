"""Notes on a comparison: its limits, and what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from losstune.report.across.cells import Cell, names
from losstune.report.across.results import LossAcross
from losstune.statistics.across import Ranking, least_p_value
from losstune.verdict import wording


def notes_on(
    cells: Sequence[Cell],
    losses: Sequence[LossAcross],
    left_out: Sequence[str],
    *,
    num_data: int,
    ranking: Ranking,
    noise_floor: float | None,
    lost: Sequence[tuple[str, str]],
) -> tuple[str, ...]:
    """Return the notes, one sentence or two each: first what was left out, then what can't be shown, then caveats.

    Args:
        cells: All of them.
        losses: Over the cells that count.
        left_out: Losses that some cell lacks.
        num_data: Data sets that the cells that count rest on.
        ranking: Of the methods.
        noise_floor: By how much identical losses differ over all cells.
        lost: Loss and cell of each search in which nothing trained to the end.
    """
    return (
        *_on_absence(cells, left_out, lost),
        *_on_power(cells, losses, ranking),
        *_on_trust(cells, num_data, noise_floor),
    )


def cells_needed(alpha: float, num_candidates: int) -> int:
    """Return the fewest cells on which Holm's smallest p-value can reach `alpha`."""
    num_cells = 1
    while num_candidates * least_p_value(num_cells) > alpha:
        num_cells += 1
    return num_cells


def _on_absence(
    cells: Sequence[Cell], left_out: Sequence[str], lost: Sequence[tuple[str, str]]
) -> Iterator[str]:
    unjudged = [cell for cell in cells if not cell.is_counted]
    if unjudged:
        has = "has" if len(unjudged) == 1 else "have"
        yield f"{names(unjudged)} {has} no verdict, and so no say in any number over studies."
    if left_out:
        yield f"Left out, because not every study has them: {wording.enumeration(left_out)}."
    for loss, cell in lost:
        yield f"{loss} never trained to the end in {cell}, and counts there with the worst score."


def _on_power(cells: Sequence[Cell], losses: Sequence[LossAcross], ranking: Ranking) -> Iterator[str]:
    counted = [cell for cell in cells if cell.is_counted]
    baseline, alpha, num_cells = counted[0].study.baseline, counted[0].study.alpha, len(counted)
    num_methods = sum(loss.mean_rank is not None for loss in losses)
    num_candidates = num_methods - 1
    least = least_p_value(num_cells)
    if num_candidates * least > alpha:
        corrected = min(1.0, num_candidates * least)
        yield (
            f"On {num_cells} studies Wilcoxon's p, corrected for {num_candidates} losses, can't go below "
            f"{corrected:.2g}: none can differ significantly from {baseline}; that takes "
            f"{cells_needed(alpha, num_candidates)}."
        )
    if least > alpha:
        yield f"Nor can so few studies bound a difference: that takes {cells_needed(alpha, 1)}."
    if ranking.p_friedman > alpha:
        p_value = wording.p_value(ranking.p_friedman)
        yield f"Friedman's test finds no difference in rank (p = {p_value}): the order may be chance."
    most = num_methods - 1
    if ranking.critical_difference >= most:
        yield (
            f"Mean ranks can differ by {most} at most, less than the critical difference of "
            f"{ranking.critical_difference:.2f}: no two differ by Nemenyi's test."
        )


def _on_trust(cells: Sequence[Cell], num_data: int, noise_floor: float | None) -> Iterator[str]:
    counted = [cell for cell in cells if cell.is_counted]
    if noise_floor is not None:
        yield (
            "Noise floor: identical losses, each with its own search, differ by "
            f"{100 * noise_floor:.2f} points; less counts for nothing."
        )
    if num_data < len(counted):
        yield (
            f"{len(counted)} studies rest on {wording.count(num_data, 'data set')}, so they are not independent, and "
            "p-values over them are too small."
        )
    if len({cell.study.num_blocks for cell in counted}) > 1:
        yield "The studies have different numbers of blocks; one with more weighs more in the interquartile mean."
