"""A comparison's numbers as CSV text."""

from __future__ import annotations

from losstune.report.across.results import Across, Interval
from losstune.report.tables import csv_text


def draw(across: Across) -> dict[str, str]:
    """Return the tables as CSV text by file name; differences are in units of the metric."""
    return {
        "losses.csv": losses_csv(across),
        "cells.csv": cells_csv(across),
        "profiles.csv": profiles_csv(across),
        "nemenyi.csv": nemenyi_csv(across),
    }


def losses_csv(across: Across) -> str:
    """Return a row for each loss: rank, Holm's p, and the estimates over all cells with their bounds."""
    estimates = [f"{name}{bound}" for name in ("iqm", "improvement") for bound in ("", "_low", "_high")]
    return csv_text(
        ("loss", "part", "mean_rank", "p_holm", "standing", *estimates),
        (
            (
                loss.loss,
                loss.part,
                _number(loss.mean_rank),
                _number(loss.p_holm),
                loss.standing or "",
                *_three(loss.iqm),
                *_three(loss.improvement),
            )
            for loss in across.losses
        ),
    )


def cells_csv(across: Across) -> str:
    """Return a row for each loss in each cell: its difference, the study's interval and the study's decision."""
    return csv_text(
        ("loss", "cell", "difference", "low", "high", "decision"),
        (
            (
                loss.loss,
                cell.cell,
                _number(cell.mean),
                _number(cell.low),
                _number(cell.high),
                cell.decision or "",
            )
            for loss in across.losses
            if loss.part != "baseline"
            for cell in loss.cells
        ),
    )


def profiles_csv(across: Across) -> str:
    """Return a row for each loss and threshold: the share of blocks above it."""
    return csv_text(
        ("loss", "threshold", "share"),
        (
            (loss.loss, f"{threshold:.6f}", f"{share:.6f}")
            for loss in across.losses
            for threshold, share in zip(across.thresholds, loss.profile, strict=True)
        ),
    )


def nemenyi_csv(across: Across) -> str:
    """Return the p-value of every two methods, as a square table."""
    names = [loss.loss for loss in across.methods]
    return csv_text(
        ("loss", *names),
        ((name, *(f"{value:.6f}" for value in row)) for name, row in zip(names, across.nemenyi, strict=True)),
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _three(estimate: Interval | None) -> tuple[str, ...]:
    values = (estimate.value, estimate.low, estimate.high) if estimate else (None, None, None)
    return tuple(map(_number, values))
