"""Differences, losses and controls of a verdict, made up: a test names only what it is about."""

from __future__ import annotations

from losstune.core.records import Configuration
from losstune.verdict.control_results import Control, IdentityCheck, NoisePair, PositiveControl
from losstune.verdict.numbers import Difference, Score
from losstune.verdict.results import LossResult

WINNER = Configuration(loss="any", hyperparameters={}, learning_rate=1e-3, weight_decay=0.0)
SCORES = {"accuracy": Score(mean=0.9, low=0.8, high=0.95)}


def difference(mean: float, low: float | None = None, high: float | None = None) -> Difference:
    """A difference with this interval; without one, 0.001 to both sides."""
    low, high = mean - 0.001 if low is None else low, mean + 0.001 if high is None else high
    return Difference(
        mean=mean, median=mean, sd=0.01, low=low, high=high, bca_low=low, bca_high=high, median_low=low,
        median_high=high, equivalence_low=low, equivalence_high=high, p_value=0.01, p_blocks=0.01, p_wilcoxon=0.01,
        probability_better=0.8, probability_low=0.6, probability_high=0.9, effect_size=1.0,
    )  # fmt: skip


def baseline(accuracies=(0.9, 0.9, 0.9), **replaced) -> LossResult:
    """Cross-entropy with these blocks."""
    return candidate("cross_entropy", None, part="baseline", difference=None, accuracies=accuracies, **replaced)


def candidate(name: str, decision, mean: float = 0.01, *, accuracies=(0.9, 0.91, 0.92), **replaced) -> LossResult:
    """A loss that is compared with the baseline."""
    values = {
        "loss": name, "part": "candidate", "equals": None, "num_trials": {"finished": 3}, "winner": WINNER,
        "scores": SCORES, "blocks": tuple({"accuracy": accuracy} for accuracy in accuracies),
        "difference": difference(mean), "decision": decision,
    }  # fmt: skip
    return LossResult(**(values | replaced))


def control(*, identity=None, positive=True, pairs=(), detected: bool | None = True) -> Control:
    """A control that holds; `pairs` are (loss, equal loss, mean difference)."""
    pairs = tuple(NoisePair(loss=a, equals=b, difference=difference(mean)) for a, b, mean in pairs)
    return Control(
        identity=None if identity is None else IdentityCheck(loss="twin", passed=identity, detail="a detail"),
        positive=PositiveControl(learning_rate=1e-5, difference=difference(-0.004, -0.02, 0.01), detected=detected)
        if positive
        else None,
        pairs=pairs,
        noise_floor=max((abs(pair.difference.mean) for pair in pairs), default=None),
    )
