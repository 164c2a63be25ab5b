"""Notes on a comparison: its limits, and losses and studies that are left out."""

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
    noise_floor: str | None,
    without_winner: Sequence[tuple[str, str]],
) -> tuple[str, ...]:
    """Return the notes, one or two sentences each: first what is left out, then limits of the tests, then caveats.

    Args:
        cells: All cells.
        losses: The losses over the counted cells.
        left_out: Losses that some cell lacks.
        num_data: Number of data sets of the counted cells.
        ranking: Ranking of the methods.
        noise_floor: Difference of identical losses over all cells, in words.
        without_winner: Loss and cell of each search without a finished training.
    """
    return (
        *_on_absence(cells, left_out, without_winner),
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
    cells: Sequence[Cell], left_out: Sequence[str], without_winner: Sequence[tuple[str, str]]
) -> Iterator[str]:
    unjudged = [cell for cell in cells if not cell.is_counted]
    if unjudged:
        has, does = ("has", "does") if len(unjudged) == 1 else ("have", "do")
        yield f"{names(unjudged)} {has} no verdict and {does} not count in numbers over studies."
    if left_out:
        yield f"Left out, because not every study has them: {wording.enumeration(left_out)}."
    for loss, cell in without_winner:
        yield f"In {cell}, all trials of {loss} diverged or failed, so it counts there with the worst score."


def _on_power(cells: Sequence[Cell], losses: Sequence[LossAcross], ranking: Ranking) -> Iterator[str]:
    counted = [cell for cell in cells if cell.is_counted]
    baseline, alpha, num_cells = counted[0].study.baseline, counted[0].study.alpha, len(counted)
    num_methods = sum(loss.mean_rank is not None for loss in losses)
    num_candidates = num_methods - 1
    least = least_p_value(num_cells)
    if num_candidates * least > alpha:
        corrected = min(1.0, num_candidates * least)
        yield (
            f"On {num_cells} studies Wilcoxon's p, corrected for {num_candidates} losses, is at least "
            f"{corrected:.2g}, so no loss can differ significantly from {baseline}; that takes "
            f"{cells_needed(alpha, num_candidates)} studies."
        )
    if least > alpha:
        yield f"The interval of a difference is unbounded with fewer than {cells_needed(alpha, 1)} studies."
    if ranking.p_friedman > alpha:
        p_value = wording.p_value(ranking.p_friedman)
        yield f"Friedman's test finds no difference in rank (p = {p_value}), so the order may be chance."
    most = num_methods - 1
    if ranking.critical_difference >= most:
        yield (
            f"Mean ranks can differ by {most} at most, less than the critical difference of "
            f"{ranking.critical_difference:.2f}. So Nemenyi's test finds no difference."
        )


def _on_trust(cells: Sequence[Cell], num_data: int, noise_floor: str | None) -> Iterator[str]:
    counted = [cell for cell in cells if cell.is_counted]
    if noise_floor is not None:
        yield (
            "Noise floor: identical losses, each with its own search, differ by "
            f"{noise_floor}; a smaller difference does not count."
        )
    if num_data < len(counted):
        yield (
            f"{len(counted)} studies use {wording.count(num_data, 'data set')}, so they are not independent, and "
            "p-values over them are too small."
        )
    if len({cell.study.num_blocks for cell in counted}) > 1:
        yield (
            "The studies have different numbers of blocks. A study with more blocks has more weight in the "
            "interquartile mean."
        )
