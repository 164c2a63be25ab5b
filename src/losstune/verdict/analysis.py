"""From records to the numbers of the report. Works on rows alone: no files, no clock, no network."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from losstune import statistics
from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from losstune.core.records import Record, place_of
from losstune.core.seeds import derive_seed
from losstune.losses.registry import identical_losses
from losstune.study import selection
from losstune.study.registration import Earlier
from losstune.verdict.comparison import Rules, blocks_needed, compare, decide
from losstune.verdict.control_results import Control
from losstune.verdict.controls import control_of
from losstune.verdict.diagnostics import calibration_of, optimism_of, variances_of
from losstune.verdict.failures import has_failed
from losstune.verdict.never_predicted import never_predicted
from losstune.verdict.notes import notes_on
from losstune.verdict.numbers import Score
from losstune.verdict.results import METRICS, DataFacts, LossResult, Part, Results, SearchResult
from losstune.verdict.sentence import draw_verdict


def build_results(
    params: Params,
    data: DataFacts,
    tune_records: Sequence[Record],
    confirm_records: Sequence[Record],
    *,
    equals: Mapping[str, str],
    protocol: str,
    earlier: tuple[Earlier, ...] = (),
    imbalance: str | None = None,
) -> Results:
    """Compute all numbers of the report and draw the verdict.

    Args:
        params: The study's settings.
        data: What the report says about the data.
        tune_records: All trials of the search.
        confirm_records: Blocks and controls.
        equals: Loss to the loss that it is identical to; only pairs within the study matter.
        protocol: Hash of what the verdict depends on.
        earlier: Registrations of the study under which the test split had been read before.
        imbalance: Which classes the metric hardly sees, see :func:`losstune.data.imbalance.hint`.

    Raises:
        LosstuneError: If a winner's blocks are incomplete, not paired, of another configuration, or not as many as the
            stopping rule asks for.
    """
    metric, anytime = params.tune.metric, params.confirm.stopping == "anytime"
    rules = Rules(
        alpha=params.report.alpha,
        rope=params.report.rope,
        power=params.report.power,
        num_searches=params.tune.num_searches,
        anytime=anytime,
    )
    trials = _by_loss(record for record in tune_records if record.stage == "tune")
    confirmed = _by_loss(record for record in confirm_records if record.role == "block")
    winners = selection.select_winners(tune_records, metric, rules.num_searches)
    winners = {loss: winners[loss] for loss in params.losses if loss in winners}
    blocks = {loss: _blocks_of(searches, confirmed[loss], params) for loss, searches in winners.items()}
    _require_pairing(blocks)
    identical = identical_losses(params.losses, params.baseline, equals)
    losses = [
        _describe(loss, params, trials[loss], winners.get(loss, ()), blocks.get(loss, []), identical)
        for loss in params.losses
    ]
    control = control_of(
        params.baseline,
        identical,
        blocks,
        confirm_records,
        rules,
        metric,
        lambda *coordinates: _generator(params, *coordinates),
    )
    if params.baseline in blocks:
        losses = _compare_with_baseline(losses, params, rules)
        if anytime:
            _require_stopping(losses, params)
    if _has_held(control):
        losses = _judge(losses, control, rules)
    losses = _add_overtakes(losses, params.baseline)
    verdict = draw_verdict(
        losses,
        control,
        data=data.name,
        model=params.model.name,
        metric=metric,
        baseline=params.baseline,
        rope=params.report.rope,
        is_amended=bool(earlier),
    )
    return Results(
        study=params.study.name,
        protocol=protocol,
        earlier=earlier,
        data=data,
        model=params.model.name,
        metric=metric,
        alpha=rules.alpha,
        rope=rules.rope,
        power=rules.power,
        num_searches=rules.num_searches,
        num_trials=params.tune.trials_per_loss,
        num_blocks=params.confirm.num_blocks,
        stopping=params.confirm.stopping,
        num_saved=sum(params.confirm.num_blocks - len(records) for records in blocks.values())
        if anytime
        else None,
        baseline=params.baseline,
        selection=selection.RULE,
        losses=tuple(losses),
        variances=variances_of(trials, blocks, metric, rules.num_searches),
        control=control,
        verdict=verdict,
        warnings=(
            *([f"{imbalance}."] if imbalance else []),
            *never_predicted(
                dict.fromkeys([verdict.loss or params.baseline, params.baseline]), blocks, data.class_names
            ),
        ),
        notes=tuple(notes_on(losses, control, params, earlier)),
    )


def _by_loss(records: Iterable[Record]) -> defaultdict[str, list[Record]]:
    found: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        found[record.configuration.loss].append(record)
    return found


def _has_held(control: Control) -> bool:
    identity, positive = control.identity, control.positive
    return (identity is None or identity.passed) and (positive is None or positive.detected is not False)


def _blocks_of(searches: Sequence[Record], confirmed: Iterable[Record], params: Params) -> list[Record]:
    """Return the winners' blocks in order: all of them, or with anytime stopping the first ones without a gap."""
    loss, num_searches = searches[0].configuration.loss, len(searches)
    found = {place_of(record, num_searches): record for record in confirmed}
    num_blocks = params.confirm.num_blocks
    num_expected = len(found) if params.confirm.stopping == "anytime" else num_blocks
    blocks = []
    for place in range(min(max(num_expected, 2), num_blocks)):
        record = found.get(place)
        index, search = divmod(place, num_searches)
        name = f"block {search}.{index}"
        if record is None or record.test is None or params.tune.metric not in record.test:
            raise LosstuneError(
                f"{loss} has no test scores for {name} ({num_blocks} in all): finish `losstune confirm`"
            )
        if record.configuration != searches[search].configuration:
            raise LosstuneError(
                f"{name} of {loss} was trained with another configuration than its search's winner: "
                "run `losstune confirm` again"
            )
        blocks.append(record)
    return blocks


def _require_pairing(blocks: Mapping[str, Sequence[Record]]) -> None:
    seeds: dict[tuple[int, int], int] = {}
    for records in blocks.values():
        for record in records:
            if seeds.setdefault((record.search, record.index), record.seed) != record.seed:
                raise LosstuneError(
                    f"block {record.number} was not trained on the same seed for every loss, so it pairs nothing"
                )


def _require_stopping(losses: Sequence[LossResult], params: Params) -> None:
    """Refuse a number of blocks that the stopping rule would not have led to."""
    metric = params.tune.metric
    baseline = next(result for result in losses if result.loss == params.baseline)
    candidates = [result for result in losses if result.part == "candidate" and result.blocks]
    for result in candidates:
        differences = [
            ours[metric] - theirs[metric]
            for ours, theirs in zip(result.blocks, baseline.blocks, strict=False)
        ]
        decision, num_blocks = statistics.first_decision(
            differences,
            alpha=params.report.alpha,
            num_candidates=len(candidates),
            rope=params.report.rope,
            every=params.tune.num_searches,
        )
        if decision is None and len(result.blocks) < params.confirm.num_blocks:
            raise LosstuneError(
                f"{result.loss} has {len(result.blocks)} blocks, and its e-process has not decided: "
                "finish `losstune confirm`"
            )
        if num_blocks < len(result.blocks):
            raise LosstuneError(
                f"{result.loss} has {len(result.blocks)} blocks, and its e-process decided after {num_blocks}: "
                "run `losstune confirm` again"
            )


def _describe(
    loss: str,
    params: Params,
    trials: Sequence[Record],
    winners: Sequence[Record],
    blocks: Sequence[Record],
    identical: Mapping[str, str],
) -> LossResult:
    metric = params.tune.metric
    defaults = [record.validation[metric] for record in trials if record.index == 0]
    equal_loss = identical.get(loss)
    part: Part = (
        "candidate" if equal_loss is None else "control" if equal_loss == params.baseline else "alias"
    )
    facts: dict[str, Any] = {
        "loss": loss,
        "part": "baseline" if loss == params.baseline else part,
        "equals": equal_loss,
        "num_trials": dict(sorted(Counter(record.status for record in trials).items())),
        "default_validation": math.fsum(defaults) / len(defaults) if defaults else None,
    }
    if trials:
        facts["best_of"] = tuple(
            statistics.expected_best([trial.validation[metric] for trial in trials]).tolist()
        )
    if not winners:
        return LossResult(**facts)
    winner = selection.best_of_searches(winners, metric)
    scores = tuple({name: (block.test or {})[name] for name in METRICS} for block in blocks)
    calibration, temperature = calibration_of(blocks)
    return LossResult(
        **facts,
        searches=tuple(_search_result(record, blocks, metric) for record in winners),
        winner=winner.configuration,
        winner_search=winner.search,
        winner_index=winner.index,
        winner_validation=winner.validation[metric],
        num_parameters=winner.num_parameters,
        num_failed_blocks=sum(has_failed(block) for block in blocks),
        blocks=scores,
        scores={
            name: _score([block[name] for block in scores], params, _generator(params, "score", loss, name))
            for name in METRICS
        },
        optimism=optimism_of(
            winners,
            blocks,
            metric,
            confidence=1.0 - params.report.alpha,
            rng=_generator(params, "optimism", loss),
        ),
        calibration=calibration,
        temperature=temperature,
    )


def _search_result(winner: Record, blocks: Sequence[Record], metric: str) -> SearchResult:
    own = [block for block in blocks if block.search == winner.search]
    return SearchResult(
        winner=winner.configuration,
        index=winner.index,
        validation=winner.validation[metric],
        fresh=math.fsum(block.validation[metric] for block in own) / len(own),
        test=math.fsum((block.test or {})[metric] for block in own) / len(own),
    )


def _score(values: Sequence[float], params: Params, rng: np.random.Generator) -> Score:
    if not all(math.isfinite(value) for value in values):
        return Score(mean=math.inf, low=None, high=None)
    estimate = statistics.mean_with_interval(values, confidence=1.0 - params.report.alpha, rng=rng)
    return Score(mean=estimate.value, low=estimate.low, high=estimate.high)


def _compare_with_baseline(losses: Sequence[LossResult], params: Params, rules: Rules) -> list[LossResult]:
    """Add the paired differences and, for the candidates, Holm's p-values."""
    metric = params.tune.metric
    differences = compare(
        {result.loss: [block[metric] for block in result.blocks] for result in losses if result.blocks},
        params.baseline,
        [result.loss for result in losses if result.part == "candidate" and result.blocks],
        rules,
        lambda loss: _generator(params, "difference", loss, params.baseline),
    )
    return [result.model_copy(update={"difference": differences.get(result.loss)}) for result in losses]


def _judge(losses: Sequence[LossResult], control: Control, rules: Rules) -> list[LossResult]:
    """Add the decisions of the candidates, and what the undecided still need."""
    num_candidates = sum(result.part == "candidate" and result.difference is not None for result in losses)
    judged = []
    for result in losses:
        if result.part == "candidate" and result.difference is not None:
            decision = decide(
                result.difference, alpha=rules.alpha, rope=rules.rope, noise_floor=control.noise_floor
            )
            needed = None
            if decision == "undecided":
                needed = blocks_needed(
                    result.difference,
                    num_blocks=len(result.blocks),
                    num_candidates=num_candidates,
                    rules=rules,
                )
            result = result.model_copy(update={"decision": decision, "blocks_needed": needed})
        judged.append(result)
    return judged


def _add_overtakes(losses: Sequence[LossResult], baseline: str) -> list[LossResult]:
    reference = next(result for result in losses if result.loss == baseline).best_of
    return [
        result
        if result.loss == baseline
        else result.model_copy(update={"overtakes": tuple(statistics.overtakes(result.best_of, reference))})
        for result in losses
    ]


def _generator(params: Params, *coordinates: str) -> np.random.Generator:
    # A stream for each number: adding a loss to the study leaves the intervals of the others as they were.
    return np.random.default_rng(derive_seed(params.study.seed, "report", *coordinates))
