"""Results of studies, fabricated: what a comparison reads of them and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from losstune.verdict.results import RESULTS_VERSION

LOSSES = ("cross_entropy", "kl_divergence", "focal", "gce", "js")
TWINS = {"kl_divergence": "cross_entropy"}


def study_values(
    scores: Mapping[str, Sequence[float]],
    *,
    data: str = "digits",
    digest: str = "5f",
    model: str = "cnn",
    metric: str = "accuracy",
    minimize: bool = False,
    percent: bool = True,
    worst: float = 0.0,
    baseline: str = "cross_entropy",
    alpha: float = 0.05,
    rope: float = 0.005,
    action: str = "keep",
    identical: Mapping[str, str] = TWINS,
) -> dict[str, object]:
    """Return the contents of a ``results.json`` in which each loss has these scores in its blocks."""

    def entry(loss: str, blocks: Sequence[float]) -> dict[str, object]:
        part = "baseline" if loss == baseline else "control" if loss in identical else "candidate"
        difference = None
        if loss != baseline and blocks:
            mean = float(np.mean(np.subtract(blocks, scores[baseline][: len(blocks)])))
            difference = {"mean": mean, "low": mean - 0.01, "high": mean + 0.01, "sd": 0.01}
        return {
            "loss": loss,
            "part": part,
            "equals": identical.get(loss),
            "blocks": [{metric: score, "nll": "Infinity"} for score in blocks],
            "difference": difference,
            "decision": "undecided" if part == "candidate" and difference and action != "none" else None,
        }

    return {
        "results_version": RESULTS_VERSION,
        "study": f"{data}-{model}",
        "data": {"name": data, "digest": digest, "num_test": 360},
        "model": model,
        "metric": metric,
        "minimize": minimize,
        "percent": percent,
        "worst": worst,
        "baseline": baseline,
        "alpha": alpha,
        "rope": rope,
        "num_blocks": len(scores[baseline]),
        "losses": [entry(loss, blocks) for loss, blocks in scores.items()],
        "verdict": {
            "action": action,
            "loss": None if action == "none" else baseline,
            "sentence": f"On {data} with the {model}, {action}.",
        },
    }


def write_study(folder: Path, scores: Mapping[str, Sequence[float]], **settings: object) -> Path:
    """Write that into a folder, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(study_values(scores, **settings)))  # type: ignore[arg-type]
    return folder


def random_scores(
    num_cells: int, num_blocks: int = 8, losses: Sequence[str] = LOSSES, seed: int = 0
) -> list[dict[str, list[float]]]:
    """Return scores by cell and loss, whole numbers of 1,000 test samples; later losses are a little better."""
    rng = np.random.default_rng(seed)
    return [
        {
            loss: (rng.integers(900, 960, num_blocks) / 1000 + 0.006 * place).tolist()
            for place, loss in enumerate(losses)
        }
        for _ in range(num_cells)
    ]


def write_cells(root: Path, scores: Sequence[Mapping[str, Sequence[float]]], **settings: object) -> list[Path]:
    """Write a study for each cell, on data of its own, and return their folders."""
    return [
        write_study(root / f"cell{number}", by_loss, **{"data": "npz", "digest": f"{number:02x}"} | settings)
        for number, by_loss in enumerate(scores)
    ]
