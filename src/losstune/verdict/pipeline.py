"""From records to the verdict, one module per step: blocks, loss results, controls, comparison, decisions, sentence.

Uses records only: no files, no clock, no network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from losstune.config.schema import Params
from losstune.core.records import Record
from losstune.losses.registry import identical_losses
from losstune.study import selection
from losstune.study.registration import Earlier
from losstune.verdict.blocks import blocks_of_winners, by_loss
from losstune.verdict.controls import control_of
from losstune.verdict.decisions import add_overtakes, compare_with_baseline, decide_all, has_held
from losstune.verdict.diagnostics import variances_of
from losstune.verdict.facts import CodeFacts, DataFacts
from losstune.verdict.failures import with_worst, worst_score
from losstune.verdict.left_out import left_out
from losstune.verdict.loss_results import loss_result
from losstune.verdict.never_predicted import never_predicted
from losstune.verdict.notes import notes_on
from losstune.verdict.pooled import PooledStudyRecords, noise_pairs, read_pooled, rounds_of, with_decisions
from losstune.verdict.results import Results, SecondaryMetric
from losstune.verdict.rules import Rules, generator_of
from losstune.verdict.sentence import draw_verdict
from losstune.verdict.stopping import require_stopping
from losstune.verdict.wording import Units


def build_results(
    params: Params,
    data: DataFacts,
    tune_records: Sequence[Record],
    confirm_records: Sequence[Record],
    *,
    equals: Mapping[str, str],
    protocol: str,
    earlier: tuple[Earlier, ...] = (),
    data_warnings: Sequence[str] = (),
    more_notes: Sequence[str] = (),
    code: CodeFacts | None = None,
    budget: int | None = None,
) -> Results:
    """Compute all numbers of the report, and the verdict.

    Args:
        params: The study's settings.
        data: Facts about the data.
        tune_records: All trials of the search.
        confirm_records: Blocks and controls.
        equals: Maps a loss to the loss that it is identical to. Only pairs within the study are used.
        protocol: Hash of the registration.
        earlier: Earlier registrations of the study, under which the test split was read.
        code: Digests of the code that trained.
        more_notes: Further notes, such as what could not be verified about the user's own code; one sentence each.
        budget: The budget of a pooled study, in trainings.
        data_warnings: What limits the verdict, see :func:`losstune.data.imbalance.warnings_on`.

    Raises:
        LosstuneError: If a winner's blocks are incomplete, not paired, of another configuration, or contradict the
            stopping rule.
    """
    measure, baseline, rules = params.tune.measure, params.baseline, Rules.of(params)
    pooled = read_pooled(params, [*tune_records, *confirm_records], budget) if params.is_pooled else None
    metric, worst = measure.name, pooled.pools.worst if pooled else worst_score(tune_records, measure)
    tune_records = with_worst(tune_records, metric, worst)
    confirm_records = with_worst(confirm_records, metric, worst)
    trials = by_loss(record for record in tune_records if record.stage == "tune")
    winners, blocks = _confirmed(params, rules, tune_records, confirm_records, pooled)
    identical = identical_losses(params.loss_names, baseline, equals)
    groups = {name: [data.class_names.index(label) for label in labels] for name, labels in data.class_groups.items()}
    losses = [
        loss_result(loss, params, trials[loss], winners.get(loss, ()), blocks.get(loss, []), identical, groups, pooled)
        for loss in params.loss_names
    ]
    control = control_of(
        baseline,
        identical,
        blocks,
        confirm_records,
        rules,
        metric,
        partial(generator_of, params),
        same_values=not data.has_soft_labels or params.training.soft_labels == "mode",
        pairs=noise_pairs(pooled, params, rules) if pooled else None,
    )
    if pooled is not None:
        losses = with_decisions(losses, pooled, params, rules, has_held=has_held(control))
    elif baseline in blocks:
        losses = compare_with_baseline(losses, params, rules)
        require_stopping(losses, params)
        losses = decide_all(losses, control, rules)
    losses = add_overtakes(losses, baseline, measure.sign)
    verdict = draw_verdict(
        losses,
        control,
        place=params.place(data.name),
        units=Units(metric, measure.minimize, measure.percent, rules.rope),
        baseline=baseline,
        is_amended=bool(earlier),
        pooled_trials=params.tune.trials_per_loss if pooled else None,
    )
    rounds = rounds_of(pooled) if pooled else None
    in_doubt = dict.fromkeys([verdict.loss or baseline, baseline])
    return Results(
        study=params.study.name,
        protocol=protocol,
        earlier=earlier,
        data=data,
        model=params.model_label,
        metric=metric,
        minimize=measure.minimize,
        percent=measure.percent,
        secondary_metrics=tuple(
            SecondaryMetric(name=metric.name, minimize=metric.minimize, percent=metric.percent)
            for metric in params.tune.secondary
        ),
        worst=worst,
        alpha=rules.alpha,
        rope=rules.rope,
        power=rules.power,
        num_searches=max(pooled.course.sizes[baseline].searches, 1) if pooled else rules.num_searches,
        num_trials=params.tune.trials_per_loss,
        num_blocks=pooled.course.sizes[baseline].blocks if pooled else params.confirm.num_blocks,
        stopping=params.confirm.stopping,
        num_saved=_num_saved(blocks, params) if rules.anytime else None,
        baseline=baseline,
        selection=selection.rule(measure),
        losses=tuple(losses),
        variances=None if pooled else variances_of(trials, blocks, metric, rules.num_searches),
        control=control,
        verdict=verdict,
        warnings=(*(f"{line}." for line in data_warnings), *never_predicted(in_doubt, blocks, data.class_names)),
        notes=(
            *left_out(losses, metric, data),
            *notes_on(losses, control, params, earlier, worst, rounds),
            *more_notes,
        ),
        code=code,
        rounds=rounds,
    )


def _confirmed(
    params: Params,
    rules: Rules,
    tune_records: Sequence[Record],
    confirm_records: Sequence[Record],
    pooled: PooledStudyRecords | None,
) -> tuple[Mapping[str, Sequence[Record]], Mapping[str, Sequence[Record]]]:
    """Return the winners and the blocks of each loss that was confirmed."""
    if pooled is not None:
        losses = [loss for loss in params.loss_names if loss in pooled.rules.losses]
        return {loss: [pooled.winner(loss)] for loss in losses}, {loss: pooled.blocks(loss) for loss in losses}
    winners = selection.select_winners(tune_records, params.tune.measure, rules.num_searches)
    winners = {loss: winners[loss] for loss in params.loss_names if loss in winners}
    return winners, blocks_of_winners(winners, confirm_records, params)


def _num_saved(blocks: Mapping[str, Sequence[Record]], params: Params) -> int:
    return sum(params.confirm.num_blocks - len(records) for records in blocks.values())
