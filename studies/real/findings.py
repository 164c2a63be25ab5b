"""The numbers of the page: what the studies' results.json say together. page.py puts them into words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy
from statsmodels.stats.meta_analysis import combine_effects

from losstune.config.load import load_params
from losstune.config.matrix import load_matrix
from losstune.report.scaled import scaled_scores
from losstune.statistics import Estimate, holm
from losstune.verdict.results import LossResult, Results

HERE = Path(__file__).resolve().parent
BASELINE = "cross_entropy"
KL, KERAS = "kl_divergence", "keras_kl_divergence"
CLEAN, SYMMETRIC, ASYMMETRIC, TAIL = "clean", "sym40", "asym40", "tail50"
CONDITIONS = {
    CLEAN: "correct labels",
    SYMMETRIC: "40% symmetric noise",
    ASYMMETRIC: "40% asymmetric noise",
    TAIL: "long tail of 50:1",
}
ROPE = 0.005
"""As in params.yaml."""
FEWEST = 3
"""Studies that a pooled estimate needs: with fewer, nothing is known about how much studies differ."""
_SMALLEST_ERROR = 1e-6


@dataclass(frozen=True, slots=True)
class Cell:
    """A study of the matrix.

    Attributes:
        name: Name of its folder.
        data: Name of its data set, without the condition: ``wine``.
        condition: A key of :data:`CONDITIONS`.
        results: Its results; None if it has not run.
    """

    name: str
    data: str
    condition: str
    results: Results | None

    @property
    def title(self) -> str:
        """The data set and the condition, as in the matrix: ``wine_sym40``."""
        return self.data if self.condition == CLEAN else f"{self.data}_{self.condition}"

    @property
    def has_verdict(self) -> bool:
        """Whether it has run, and its controls passed."""
        return self.results is not None and self.results.verdict.action != "none"


@dataclass(frozen=True, slots=True)
class Pooled:
    """A mean difference over studies.

    Attributes:
        mean: The estimate.
        low: Lower bound of the 95% interval.
        high: Upper bound of it.
        p_value: Of the t test that it is zero.
        num_cells: Number of studies.
        spread: Standard deviation of the true differences over the studies.
    """

    mean: float
    low: float
    high: float
    p_value: float
    num_cells: int
    spread: float


def load(studies: Path) -> list[Cell]:
    """Return all cells of the matrix, with the results of those that have run."""
    cells = []
    for cell in load_matrix(load_params(HERE / "params.yaml"), HERE / "matrix.yaml"):
        entry = cell.name.rpartition("-")[0]
        data, _, ending = entry.rpartition("_")
        has_ending = ending in CONDITIONS
        path = studies / cell.name / "results.json"
        results = Results.model_validate_json(path.read_bytes()) if path.exists() else None
        cells.append(Cell(cell.name, data if has_ending else entry, ending if has_ending else CLEAN, results))
    return cells


def results_of(cells: Iterable[Cell], *conditions: str, with_verdict: bool = False) -> list[Results]:
    """Return the results of the cells of some conditions, or of all, that have run."""
    return [
        cell.results
        for cell in cells
        if cell.results is not None
        and cell.condition in (conditions or CONDITIONS)
        and (cell.has_verdict or not with_verdict)
    ]


def candidates(results: Results) -> list[LossResult]:
    """Return the losses that a study judges: not the baseline, nor those that are identical to another."""
    return [loss for loss in results.losses if loss.part == "candidate"]


def find(results: Results, loss: str) -> LossResult | None:
    """Return a loss's entry, or None if the study lacks it."""
    return next((one for one in results.losses if one.loss == loss), None)


def claims(cell: Cell) -> list[LossResult]:
    """Return the losses that a study with a verdict found better than the baseline."""
    if cell.results is None or not cell.has_verdict:
        return []
    return [loss for loss in candidates(cell.results) if loss.decision == "better"]


@dataclass(frozen=True, slots=True)
class Repetition:
    """A claim of a better loss, and what the repeated study says of that loss.

    Attributes:
        cell: The study.
        first: The claim.
        second: The loss in the repetition.
    """

    cell: Cell
    first: LossResult
    second: LossResult

    @property
    def is_found(self) -> bool:
        """Whether the repetition calls the loss better, too."""
        return self.second.decision == "better"

    @property
    def has_same_sign(self) -> bool:
        """Whether the second estimate is positive, too."""
        return bool(self.second.difference and self.second.difference.mean > 0)

    @property
    def is_smaller(self) -> bool:
        """Whether the second estimate is smaller."""
        both = self.first.difference, self.second.difference
        return bool(both[0] and both[1] and both[1].mean < both[0].mean)


def repetitions(cells: Iterable[Cell], repeated: Mapping[str, Results]) -> list[Repetition]:
    """Return the claims of the studies that were repeated.

    Args:
        cells: All studies.
        repeated: Results of the repetitions by the title of the study.
    """
    return [
        Repetition(cell, loss, second)
        for cell in cells
        if cell.title in repeated
        for loss in claims(cell)
        if (second := find(repeated[cell.title], loss.loss))
    ]


def decisions(all_results: Iterable[Results]) -> dict[str, Counter[str]]:
    """Return how often each loss got which decision."""
    found: dict[str, Counter[str]] = {}
    for results in all_results:
        for loss in candidates(results):
            if loss.decision is not None:
                found.setdefault(loss.loss, Counter())[loss.decision] += 1
    return found


def pooled(means: Sequence[float], errors: Sequence[float]) -> Pooled | None:
    """Return the mean of a random-effects model; None with fewer than :data:`FEWEST` studies.

    The variance between studies is Paule and Mandel's. The interval is that of Hartung, Knapp, Sidik and Jonkman with
    ``k - 1`` degrees of freedom, and never narrower than without their correction.

    Source:
        Röver, Knapp & Friede 2015, *Hartung-Knapp-Sidik-Jonkman approach and its modification for random-effects
        meta-analysis with few studies*.
    """
    if len(means) < FEWEST:
        return None
    variances = np.maximum(errors, _SMALLEST_ERROR) ** 2
    with np.errstate(divide="ignore"):  # where all means are equal
        found = combine_effects(np.array(means), variances, method_re="pm", use_t=True)
    mean, error = float(found.mean_effect_re), float(max(found.sd_eff_w_re, found.sd_eff_w_re_hksj))
    freedom = len(means) - 1
    reach = float(scipy.stats.t.ppf(0.975, freedom)) * error
    p_value = float(2.0 * scipy.stats.t.sf(abs(mean) / error, freedom))
    return Pooled(mean, mean - reach, mean + reach, p_value, len(means), math.sqrt(max(float(found.tau2), 0.0)))


def pooled_loss(all_results: Iterable[Results], loss: str) -> Pooled | None:
    """Return a loss's mean difference from the baseline over studies.

    A study counts if it knows both errors of the difference, of the search and of the seeds.
    """
    means, errors = [], []
    for results in all_results:
        entry = find(results, loss)
        difference = entry.difference if entry else None
        if difference is not None and math.isfinite(difference.low) and math.isfinite(difference.high):
            means.append(difference.mean)
            errors.append(math.hypot(difference.search_error or 0.0, difference.seed_error or 0.0))
    return pooled(means, errors)


def pooled_losses(all_results: Sequence[Results]) -> dict[str, tuple[Pooled, float]]:
    """Return each candidate's pooled difference, with its p-value after Holm's correction; the best first."""
    names = dict.fromkeys(loss.loss for results in all_results for loss in candidates(results))
    found = {name: one for name in names if (one := pooled_loss(all_results, name))}
    adjusted = holm([one.p_value for one in found.values()]) if found else []
    order = sorted(zip(found, adjusted, strict=True), key=lambda pair: -found[pair[0]].mean)
    return {name: (found[name], float(p_value)) for name, p_value in order}


def total(all_results: Iterable[Results]) -> Counter[str]:
    """Return how many comparisons have which decision."""
    return sum(decisions(all_results).values(), Counter())


def num_without_advantage(pooled: Mapping[str, tuple[Pooled, float]]) -> int:
    """Return for how many losses the interval of the mean lies below the ROPE."""
    return sum(one.high < ROPE for one, _ in pooled.values())


def excluding_zero(all_results: Iterable[Results], loss: str) -> tuple[int, int]:
    """Return in how many studies the interval of a loss excludes zero, and the number of studies."""
    found = [entry.difference for results in all_results if (entry := find(results, loss)) and entry.difference]
    return sum(one.low > 0.0 or one.high < 0.0 for one in found), len(found)


def chance(number: int, among: int, level: float = 0.05) -> float:
    """Return the probability of that many intervals or more that exclude zero, if nothing differs."""
    return float(scipy.stats.binom.sf(number - 1, among, level))


def median_interval(values: Sequence[float]) -> Estimate:
    """Return the median with its exact 95% interval, unbounded with fewer than six values."""
    median = float(np.median(values))
    found = scipy.stats.quantile_test(values, q=median, p=0.5).confidence_interval(0.95)
    low, high = float(found.low), float(found.high)
    return Estimate(median, -math.inf if math.isnan(low) else low, math.inf if math.isnan(high) else high)


@dataclass(frozen=True, slots=True)
class Tuning:
    """What the search changes in a study.

    Attributes:
        before: Standard deviation over the losses of the validation score at the published defaults.
        after: The same of the expected best validation score of a search.
        gain: By how much the search raises the baseline's score.
        is_leader_new: Whether the losses that lead before and after have none in common.
        rank_correlation: Spearman's, of the losses before and after.
    """

    before: float
    after: float
    gain: float
    is_leader_new: bool
    rank_correlation: float


def tuning(results: Results) -> Tuning | None:
    """Return what the search changes; None if too few losses have scores. Identical losses count once."""
    losses = [loss for loss in results.losses if loss.part in ("baseline", "candidate")]
    known = [loss for loss in losses if loss.default_validation is not None and len(loss.best_of) >= results.num_trials]
    scores = {loss.loss: (loss.default_validation or 0.0, loss.best_of[results.num_trials - 1]) for loss in known}
    if len(scores) < FEWEST or results.baseline not in scores:
        return None
    before, after = np.array(list(scores.values())).round(12).T
    leaders = [{place for place, score in enumerate(side) if score == side.max()} for side in (before, after)]
    start, end = scores[results.baseline]
    return Tuning(
        before=float(before.std(ddof=1)),
        after=float(after.std(ddof=1)),
        gain=end - start,
        is_leader_new=not (leaders[0] & leaders[1]),
        rank_correlation=float(scipy.stats.spearmanr(before, after).statistic),
    )


def learning_rates(all_results: Iterable[Results]) -> dict[str, list[float]]:
    """Return the learning rate of each loss's winner over that of the baseline's, study by study."""
    found: dict[str, list[float]] = {}
    for results in all_results:
        base = results.of(results.baseline).winner
        for loss in results.losses:
            if base is not None and loss.winner is not None and loss.part != "baseline":
                found.setdefault(loss.loss, []).append(loss.winner.learning_rate / base.learning_rate)
    return found


def calibration(all_results: Iterable[Results], loss: str) -> dict[str, list[float]]:
    """Return, study by study, a loss's ECE by its own map, its scaled ECE, and its scaled NLL minus the baseline's."""
    found: dict[str, list[float]] = {"own_ece": [], "scaled_ece": [], "scaled_nll": []}
    for results in all_results:
        entry, base = find(results, loss), results.of(results.baseline)
        scaled, theirs = scaled_scores(entry) if entry else {}, scaled_scores(base)
        if entry is not None and scaled and theirs and "ece" in entry.scores:
            found["own_ece"].append(entry.scores["ece"].mean)
            found["scaled_ece"].append(scaled["scaled_ece"])
            found["scaled_nll"].append(scaled["scaled_nll"] - theirs["scaled_nll"])
    return found


def half_widths(all_results: Iterable[Results]) -> list[float]:
    """Return half the length of each candidate's interval; infinite if it is unbounded."""
    return [
        (loss.difference.high - loss.difference.low) / 2.0
        for results in all_results
        for loss in candidates(results)
        if loss.difference is not None
    ]


def relative_seconds(facts: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]) -> dict[str, list[float]]:
    """Return the seconds of a training over those of the baseline's, by loss, study by study."""
    found: dict[str, list[float]] = {}
    for cell in facts.values():
        for loss, times in cell["losses"].items():
            if "relative" in times and loss != BASELINE:
                found.setdefault(loss, []).append(times["relative"])
    return found
