"""The numbers of a comparison as CSV text."""

from __future__ import annotations

from losstune.report.across.results import Across, Interval
from losstune.report.parts.text import csv_text


def draw(across: Across) -> dict[str, str]:
    """Return the tables as CSV text by file name. Differences are in units of the metric."""
    return {
        "losses.csv": losses_csv(across),
        "cells.csv": cells_csv(across),
        "profiles.csv": profiles_csv(across),
        "nemenyi.csv": nemenyi_csv(across),
    }


def losses_csv(across: Across) -> str:
    """Return one row per loss: rank, Holm's p, and the estimates over all cells with their bounds."""
    estimates = [f"{name}{bound}" for name in ("iqm", "improvement") for bound in ("", "_low", "_high")]
    return csv_text(
        ("loss", "part", "mean_rank", "p_holm", "standing", *estimates),
        (
            (
                loss.loss,
                loss.part,
                loss.mean_rank,
                loss.p_holm,
                loss.standing or "",
                *_three(loss.iqm),
                *_three(loss.improvement),
            )
            for loss in across.losses
        ),
    )


def cells_csv(across: Across) -> str:
    """Return one row per loss and cell: the difference, the study's interval and the study's decision."""
    return csv_text(
        ("loss", "cell", "difference", "low", "high", "decision"),
        (
            (loss.loss, cell.cell, cell.mean, cell.low, cell.high, cell.decision or "")
            for loss in across.losses
            if loss.part != "baseline"
            for cell in loss.cells
        ),
    )


def profiles_csv(across: Across) -> str:
    """Return one row per loss and threshold: the share of blocks above the threshold."""
    return csv_text(
        ("loss", "threshold", "share"),
        (
            (loss.loss, threshold, share)
            for loss in across.losses
            for threshold, share in zip(across.thresholds, loss.profile, strict=True)
        ),
    )


def nemenyi_csv(across: Across) -> str:
    """Return the p-value of each pair of methods as a square table."""
    names = [loss.loss for loss in across.methods]
    return csv_text(("loss", *names), ((name, *row) for name, row in zip(names, across.nemenyi, strict=True)))


def _three(estimate: Interval | None) -> tuple[float | None, ...]:
    return (estimate.value, estimate.low, estimate.high) if estimate else (None, None, None)
