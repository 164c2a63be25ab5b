"""The last stage: compute the verdict from the records and write it as files, as a page, to MLflow and the terminal."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError

from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from losstune.core.files import write_atomically, write_json
from losstune.core.records import Execution, Record
from losstune.core.sources import code_digest
from losstune.data import imbalance, prepared
from losstune.losses.ranges import Choice
from losstune.losses.registry import get, registry
from losstune.models import adapt_head, build_model
from losstune.models.classifier import Classifier
from losstune.models.weights import load_weights
from losstune.report import figures, tables
from losstune.report.card import model_card
from losstune.report.diagnostics import Diagnostics, gather
from losstune.report.downloads import csv_files
from losstune.report.page import render_page
from losstune.report.spending import spent_line
from losstune.report.terminal import print_report
from losstune.stages import budgets, features
from losstune.stages.data_facts import data_facts, groups_note
from losstune.stages.device import recorded_device
from losstune.stages.layout import (
    BLOCK_EXECUTIONS,
    BLOCKS,
    METRICS,
    PLOTS,
    PREPARED,
    REGISTRATION,
    REPORT,
    RESULTS,
    TRIAL_EXECUTIONS,
    TRIALS,
    read_executions,
    read_records,
)
from losstune.stages.output_norms import with_output_norms
from losstune.stages.own import unverified
from losstune.stages.prior import narrowed_lines
from losstune.stages.recipe import mixing_note, soft_label_notes
from losstune.stages.registered import require_registered
from losstune.stages.run_info import stage_run
from losstune.stages.study import Study, open_study
from losstune.study import provenance
from losstune.study.jobs import loop_module
from losstune.study.ledger import Ledger, open_ledger
from losstune.study.registration import read_registration
from losstune.tracking import TrackingSummary, TrainedModel, experiment_of, open_tracker
from losstune.training.soft_labels import class_counts, train_target
from losstune.verdict.facts import CodeFacts
from losstune.verdict.pipeline import build_results
from losstune.verdict.results import Results

NUM_EXAMPLES = 8
"""Inputs that are stored with the model in MLflow."""


def run(params: Params, folder: Path, root: Path) -> None:
    """Write the report, see :func:`write`, and print the verdict."""
    results, diagnostics = write(params, folder, root)
    print(f"Full report: {os.path.relpath(folder / REPORT)}", flush=True)
    print_report(results, diagnostics.durations_sec(), spending=diagnostics.spending)


def write(params: Params, folder: Path, root: Path) -> tuple[Results, Diagnostics]:
    """Write ``results.json``, ``metrics.json`` and ``report/``.

    Trains nothing, and does not need MLflow's files.

    Args:
        params: Validated ``params.yaml``.
        folder: Folder of the stage's inputs and outputs.
        root: Folder of the ledger and of MLflow's database.

    Raises:
        LosstuneError: If the output of an earlier stage is missing or damaged.
    """
    study = open_study(params, folder, root, recorded_device)
    params = params.model_copy(update={"tune": study.params.tune})
    trained = [*read_records(folder / TRIALS), *read_records(folder / BLOCKS)]
    # The rounds of a pooled study train trials in confirm, too.
    trials = [record for record in trained if record.role == "trial"]
    blocks = [record for record in trained if record.role != "trial"]
    registration = read_registration(folder / REGISTRATION)
    require_registered(registration, study, trials, blocks)
    trial_executions = read_executions(folder / TRIAL_EXECUTIONS)
    block_executions = read_executions(folder / BLOCK_EXECUTIONS)
    results = build_results(
        params,
        data_facts(params, study.manifest),
        trials,
        blocks,
        equals={name: spec.equals for name, spec in registry().items() if spec.equals},
        protocol=registration.protocol,
        earlier=registration.earlier,
        data_warnings=imbalance.warnings_on(study.manifest, params.tune.measure.name, params.report.rope),
        more_notes=[
            *mixing_note(params),
            *groups_note(study.manifest),
            *soft_label_notes(params, study.manifest),
            *unverified(params),
        ],
        code=_code_facts(study),
        budget=budgets.of_registration(params, registration),
    )
    results = with_output_norms(results, study, blocks)
    test = prepared.read_test(folder / PREPARED) if study.manifest.has_samples else None
    diagnostics = gather(
        results,
        trials,
        blocks,
        [*trial_executions, *block_executions],
        learning_rates=_learning_rates(study),
        test_images=test.images if test else None,
        test_labels=test.labels if test else None,
    )
    plots, csvs = figures.draw(results, diagnostics), csv_files(results, diagnostics)
    for name, text in (plots | csvs).items():
        write_atomically(folder / PLOTS / name, text)
    facts = provenance.collect(folder)
    hardware = {"CPU": f"{facts.hardware.cpu}, {facts.hardware.num_cores} cores"}
    hardware |= {f"GPU {number}": name for number, name in enumerate(facts.hardware.gpus)}
    page = render_page(
        results,
        study.params,
        diagnostics,
        plots,
        csvs,
        commit=_commit(block_executions),
        versions=facts.versions | hardware,
        narrowed=narrowed_lines(study.narrowed),
    )
    write_atomically(folder / REPORT, page)
    write_json(folder / RESULTS, results.model_dump(mode="json"))
    write_json(folder / METRICS, tables.metrics(results))
    summary = show(study)
    if summary.problem:
        print(summary.problem, file=sys.stderr)
    return results, diagnostics


def show(study: Study) -> TrackingSummary:
    """Log the report in the study's folder to MLflow, with the models of the verdict's loss and of the baseline.

    Raises:
        LosstuneError: If a file of the report is missing or damaged.
    """
    params, folder = study.params, study.folder
    results = read_results(folder)
    tracker = open_tracker(params.tracking, experiment_of(study.params), study.root, stage_run(study, "report"))
    return tracker.finish(
        "FINISHED",
        metrics=_flat(results),
        note="\n\n".join((results.verdict.sentence, *results.warnings, *_spent(results))),
        tags=_decisions(results),
        artifacts={folder / REPORT: "", folder / RESULTS: "", folder / PLOTS: ""},
        models=_models(study, results, read_records(folder / BLOCKS)),
    )


def read_results(folder: Path, remedy: str = "run `dvc repro`") -> Results:
    """Read ``results.json``.

    Args:
        folder: The study's folder.
        remedy: What the message advises.

    Raises:
        LosstuneError: If it is missing or damaged.
    """
    try:
        return Results.model_validate_json((folder / RESULTS).read_bytes())
    except (OSError, ValidationError) as error:
        raise LosstuneError(f"{RESULTS}: cannot be read ({str(error).splitlines()[0]}); {remedy}") from None


def _code_facts(study: Study) -> CodeFacts:
    specs = {loss: get(loss) for loss in study.params.loss_names}
    return CodeFacts(
        training=code_digest(loop_module(study.params.training)),
        losses={loss: code_digest(spec.function.__module__) for loss, spec in specs.items() if spec.origin is None},
        own=study.own,
    )


def _learning_rates(study: Study) -> dict[str, tuple[float, float]]:
    """Return the lowest and the highest searched learning rate of each loss."""
    ranges = {loss: space.ranges["learning_rate"] for loss, space in study.spaces.items()}
    return {loss: (float(span.low), float(span.high)) for loss, span in ranges.items() if not isinstance(span, Choice)}


def _commit(executions: list[Execution]) -> str | None:
    """Return the commits that trained the blocks, usually one."""
    return ", ".join(sorted({execution.commit for execution in executions if execution.commit})) or None


def _spent(results: Results) -> list[str]:
    """Return what a pooled study spent. Times are left out, because a note of equal results is equal."""
    return [spent_line(results, None)] if results.is_pooled else []


def _flat(results: Results) -> dict[str, float]:
    scores = {
        f"test_{metric}.{result.loss}": result.scores[metric].mean
        for metric in (results.metric, *(secondary.name for secondary in results.secondary_metrics))
        for result in results.losses
        if metric in result.scores and math.isfinite(result.scores[metric].mean)
    }
    differences = {
        f"difference.{result.loss}": result.difference.mean for result in results.losses if result.difference
    }
    return scores | differences


def _decisions(results: Results) -> dict[str, str]:
    """Return the verdict and every loss's decision, as tags for filters."""
    decisions = {f"decision.{result.loss}": result.decision for result in results.losses if result.decision}
    verdict = {"verdict": results.verdict.action, "baseline": results.baseline}
    return verdict | decisions | ({"winner": results.verdict.loss} if results.verdict.loss else {})


def promoted(results: Results, blocks: list[Record], ledger: Ledger) -> dict[str, Record]:
    """Return the blocks of the verdict's loss (``champion``) and of the baseline whose weights were kept.

    Of a loss's searches, the one with the best validation score counts. The report recommends its configuration.
    """
    losses = {"champion": results.verdict.loss, "baseline": results.baseline}
    is_pooled = results.rounds is not None
    preferred = {result.loss: result.winner if is_pooled else result.winner_search for result in results.losses}
    kept = {
        record.configuration.loss: record
        for record in reversed(blocks)
        if record.role == "block"
        and record.configuration.loss in losses.values()
        and (record.configuration if is_pooled else record.search) == preferred[record.configuration.loss]
        and ledger.weights(record.key) is not None
    }
    return {role: kept[loss] for role, loss in losses.items() if loss in kept}


def _models(study: Study, results: Results, blocks: list[Record]) -> list[TrainedModel]:
    models: list[TrainedModel] = []
    if study.params.training.loop is not None:  # which builds a network that is not known here
        return models
    try:
        with open_ledger(study.params, study.root) as ledger:
            records = {record.key: record for record in promoted(results, blocks, ledger).values()}
            paths = {key: ledger.weights(key) for key in records}
    except LosstuneError as error:
        print(f"no model was logged: {error}", file=sys.stderr)
        return []
    for key, path in paths.items():
        record = records[key]
        try:
            assert path is not None, "promoted by it"
            models.append(_model(study, results, record, path))
        except LosstuneError as error:
            print(f"the model of {record.configuration.loss} was not logged: {error}", file=sys.stderr)
    return models


def _model(study: Study, results: Results, record: Record, weights: Path) -> TrainedModel:
    manifest, loss = study.manifest, record.configuration.loss
    spec = get(loss)
    bound = spec.bind(record.configuration.hyperparameters)
    head_options = bound.head_options(manifest.num_classes)
    if study.params.uses_features:
        network = features.whole(study.params, manifest, study.inputs, head_options, weights)
    else:
        network = build_model(study.params.model, manifest.input_shape, manifest.num_classes)
        network = adapt_head(network, manifest.num_classes, **head_options)
        load_weights(network, weights)
    images = len(manifest.input_shape) == 3
    development = prepared.read_development(study.folder / PREPARED)
    targets = None if development.train_targets is None else torch.from_numpy(development.train_targets)
    labels = torch.from_numpy(development.train_labels)
    target = train_target(labels, targets, bound, study.params.training.soft_labels)
    bound = bound.with_counts(class_counts(target, manifest.num_classes))
    # A copy, because the file is mapped read-only.
    example = np.array(development.validation_images[:NUM_EXAMPLES])
    shape = ", ".join(str(size) for size in manifest.input_shape)
    return TrainedModel(
        module=Classifier(network, manifest.mean, manifest.std, bound.probabilities, images=images),
        example=example,
        key=record.key,
        name=loss,
        card=model_card(
            results,
            record,
            objective=repr(bound),
            link=f"They come from `{spec.link.__name__}`, the loss's own map from outputs to probabilities.",
            takes=f"{manifest.dtype} of shape (N, {shape}), as the data set stores them",
        ),
        params={"loss": repr(bound), "block": record.number},
    )
