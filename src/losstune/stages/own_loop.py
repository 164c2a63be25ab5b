"""``losstune check`` tries a training loop of the user's own on a few samples."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from losstune.config.data import FILES
from losstune.config.load import data_path
from losstune.config.schema import Params
from losstune.core.errors import LosstuneError
from losstune.data import files, prepared
from losstune.losses.registry import get
from losstune.models import weights_files
from losstune.stages.device import resolve_device
from losstune.stages.layout import PREPARED
from losstune.stages.model_fit import known_input, known_manifest
from losstune.stages.naming import naming
from losstune.stages.own_checks import printed_note
from losstune.study.search import Space
from losstune.training.task import Arrays, Task, without_samples

SAMPLES = 128


def loop_notes(params: Params, spaces: Mapping[str, Space], folder: Path, source: str = "params.yaml") -> list[str]:
    """Try the loop with the baseline, and with one loss of each other kind: of last layer, and with class counts.

    Returns:
        Notes for the user. None without such a loop, and where the data is not known yet.

    Raises:
        LosstuneError: As :func:`losstune.training.own_loop_check.check_loop`, with the name of the file first.
    """
    if params.training.loop is None or (arrays := _arrays(params, folder)) is None:
        return []
    from losstune.training.own_loop_check import check_loop, try_loop  # only a study with such a loop needs greenlets

    arrays = replace(arrays, weights=weights_files.read_if_any(params.model))

    def task(loss: str) -> Task:
        return Task(
            configuration=spaces[loss].configuration(spaces[loss].defaults),
            seeds=(1,),
            model=params.model,
            training=params.training.model_copy(update={"precision": "float32"}),
            device=resolve_device(params.resources.device),
            metrics=params.tune.further_metrics,
            score=params.tune.measure.name,
        )

    specs = {name: get(name) for name in (params.baseline, *params.loss_names)}
    kinds = {(spec.head, spec.needs_counts): name for name, spec in reversed(specs.items())}
    printed = io.StringIO()
    with naming(source), redirect_stdout(printed):
        for name in kinds.values():
            if name != params.baseline:
                made = task(name)
                try_loop(made, arrays, specs[name].bind(made.configuration.hyperparameters))
        made = task(params.baseline)
        notes = check_loop(made, arrays, specs[params.baseline].bind(made.configuration.hyperparameters))
    return [*notes, *printed_note(printed.getvalue())]


def _arrays(params: Params, folder: Path) -> Arrays | None:
    """Return the prepared samples, or else made-up ones of the same shape; None if the shape is not known."""
    root = data_path(params.data.root, folder).absolute()
    if params.data.name == FILES:
        files.listing(root)
        return without_samples(params.data.options.get("num_classes") or 0, "not prepared", str(root))
    known = known_input(params, folder)
    if known is None:
        return None
    shape, num_classes, _ = known
    manifest = known_manifest(folder)
    if manifest is not None and (manifest.name, manifest.input_shape) == (params.data.name, shape):
        with suppress(LosstuneError):
            development = prepared.read_development(folder / PREPARED)
            return Arrays(
                train_images=development.train_images,
                train_labels=development.train_labels,
                validation_images=development.validation_images,
                validation_labels=development.validation_labels,
                train_targets=development.train_targets,
                validation_targets=development.validation_targets,
                mean=manifest.mean,
                std=manifest.std,
                num_classes=manifest.num_classes,
                digest=manifest.development_digest,
                root=str(root),
            )
    samples = np.random.default_rng(0).standard_normal((SAMPLES, *shape), dtype=np.float32)
    labels = np.arange(SAMPLES, dtype=np.int64) % num_classes
    return Arrays(
        train_images=samples,
        train_labels=labels,
        validation_images=samples,
        validation_labels=labels,
        mean=(0.0,) * shape[0],
        std=(1.0,) * shape[0],
        num_classes=num_classes,
        digest=f"made up {shape} {num_classes}",
        root=str(root),
    )
